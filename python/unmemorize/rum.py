"""RUM, the meta-algorithm: refine the forget set by how memorized it is, then unlearn stratum after stratum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from unmemorize import unlearn
from unmemorize.forget_set import ForgetSet
from unmemorize.unlearn import Algorithm, Step

One = str | Algorithm  # an algorithm, or the name of one with its defaults
WHOLE = "all"  # the stratum that is the whole forget set


@dataclass(frozen=True)
class RUM:
    """Which algorithm unlearns which stratum of a forget set, and in which order.

    The steps make one chain: each starts from the model that the one before left, and retains what is not yet
    unlearned (`unlearn.run`).

    Args:
        steps: one algorithm for each entry of `order`, or a single one for all of them.
        order: names of strata, first to last; None: those of the forget set, lowest first.
        shuffle_seed: of a cut into equal random parts, as many as there are strata, which takes their place: the
            control that tells whether refining by score is what helps. None: the strata are kept.

    Source: Zhao et al. 2024, arXiv 2406.01257 (RUM, RUM^F, vanilla, shuffle).

    Example:
        >>> from unmemorize import ForgetSet
        >>> forget = ForgetSet.from_ids(range(6), score=[0.1, 0.9, 0.2, 0.8, 0.5, 0.6])
        >>> best = RUM(steps=["nothing", "fine_tune", "salun"])
        >>> [(step.stratum, step.ids.tolist()) for step in best.plan(forget)]
        [('low', [0, 2]), ('medium', [4, 5]), ('high', [1, 3])]
    """

    steps: One | Sequence[One]
    order: Sequence[str] | None = ("low", "medium", "high")
    shuffle_seed: int | None = None

    @classmethod
    def refine(cls, algorithm: One | Sequence[One]) -> Self:
        """RUM^F: the strata of the forget set, lowest first, with one algorithm or one for each stratum."""
        return cls(algorithm, order=None)

    @classmethod
    def shuffle(cls, algorithm: One | Sequence[One], seed: int) -> Self:
        """The control: as many equal random parts as there are strata, one after another."""
        return cls(algorithm, order=None, shuffle_seed=seed)

    @classmethod
    def vanilla(cls, algorithm: One) -> Self:
        """The whole forget set in one step."""
        return cls(algorithm, order=(WHOLE,))

    def plan(self, forget_set: ForgetSet) -> list[Step]:
        """The steps of this plan on `forget_set`.

        Raises:
            ValueError: a stratum that is unknown, repeated or left out; a wrong number of algorithms, or unknown ones.
        """
        if self.shuffle_seed is not None:
            forget_set = forget_set.shuffled(self.shuffle_seed, strata=len(forget_set.names))
        order = tuple(forget_set.names if self.order is None else self.order)
        if order == (WHOLE,):
            parts = [forget_set.ids]
        else:
            _covers(order, forget_set.names)
            parts = [forget_set.stratum(name) for name in order]
        algorithms = [unlearn.make(one) if isinstance(one, str) else one for one in self._each(order)]
        return [Step(*step) for step in zip(algorithms, parts, order, strict=True)]

    def _each(self, order: tuple[str, ...]) -> Sequence[One]:
        if isinstance(self.steps, str) or not isinstance(self.steps, Sequence):
            return [self.steps] * len(order)
        if len(self.steps) != len(order):
            raise ValueError(f"steps: expected {len(order)}, one for each of {', '.join(order)}, got {len(self.steps)}")
        return self.steps


def _covers(order: tuple[str, ...], names: Sequence[str]) -> None:
    """Every stratum once: one that is left out would never be forgotten."""
    for name in order:
        if name not in names:
            raise ValueError(f"order: no stratum {name!r} in this forget set; it has {', '.join(names)}")
    if len(order) != len(set(order)) or len(order) != len(names):
        raise ValueError(f"order: expected each of {', '.join(names)} once, got {', '.join(order)}")
