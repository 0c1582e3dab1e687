"""How well scores tell members from others: the ROC curve with its intervals."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.stats import Estimate, proportion_interval

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Roc:
    """The curve of an attack that calls an example "member" if its score is at least a threshold.

    Attributes:
        fpr: float64 (k,), share of the non-members that are called members; ascending from 0 to 1.
        tpr: float64 (k,), share of the members that are.
        thresholds: float64 (k,), descending from infinity: every distinct score.
        auc: area under the curve: the probability that a member scores higher than another, ties counting half.
        n_members: number of members.
        n_others: number of non-members.
    """

    fpr: Vector = field(repr=False)
    tpr: Vector = field(repr=False)
    thresholds: Vector = field(repr=False)
    auc: float
    n_members: int
    n_others: int
    _sorted: _core.Roc = field(repr=False)

    def tpr_at(self, fpr: float) -> float:
        """The largest true positive rate of a threshold whose false positive rate is at most ``fpr``.

        It is a point of the curve, not one between two thresholds; 0 if already the highest score is a non-member's.

        Raises:
            ValueError: fpr outside [0, 1].
        """
        if not 0 <= fpr <= 1:
            raise ValueError(f"fpr: expected a share in [0, 1], got {fpr}")
        return float(self.tpr[np.searchsorted(self.fpr, fpr, side="right") - 1])

    def auc_interval(
        self, *, level: float = 0.95, resamples: int = 1000, seed: int = 0, n_threads: int | None = None
    ) -> Estimate:
        """The area with its bootstrap percentile interval over the examples.

        Resamples are counts over the scores as they were sorted once: O(n) time each. Those without members, or with
        nothing else, are left out. The same seed gives the same bits for any number of threads, and the same resamples
        for every score of the same examples.

        Args:
            level: of the interval, in (0, 1).
            resamples: of the bootstrap; 0: no interval.
            seed: of the resamples.
            n_threads: None: all that the process may use.

        Raises:
            ValueError: an argument out of range.
        """
        arguments = _bootstrap(level, resamples, seed, n_threads)
        return Estimate(*self._sorted.auc(*arguments), self.n_members + self.n_others)

    def tpr_interval(
        self,
        fpr: float,
        method: Literal["bootstrap", "clopper-pearson"] = "bootstrap",
        *,
        level: float = 0.95,
        resamples: int = 1000,
        seed: int = 0,
        n_threads: int | None = None,
    ) -> Estimate:
        """`tpr_at` with an interval.

        Args:
            fpr: in [0, 1].
            method: "bootstrap" over all examples, which moves the threshold too; "clopper-pearson" takes the threshold
                as given and is exact over the members, also where few of them are found.
            level: of the interval, in (0, 1).
            resamples: of the bootstrap; 0: no interval.
            seed: of the resamples.
            n_threads: None: all that the process may use.

        Raises:
            ValueError: an argument out of range.
        """
        value = self.tpr_at(fpr)
        if method == "clopper-pearson":
            return proportion_interval(round(value * self.n_members), self.n_members, level)
        if method != "bootstrap":
            raise ValueError(f"method: expected 'bootstrap' or 'clopper-pearson', got {method!r}")
        arguments = _bootstrap(level, resamples, seed, n_threads)
        return Estimate(*self._sorted.tpr_at(fpr, *arguments), self.n_members + self.n_others)


def roc(scores: ArrayLike, members: ArrayLike, *, n_threads: int | None = None) -> Roc:
    """The ROC curve of an attack.

    Args:
        scores: (n,) real numbers, higher = more likely a member; infinite ones are ordered like others.
        members: bool (n,), who is one.
        n_threads: None: all that the process may use.

    Returns:
        The curve. Examples with equal scores are told apart by no threshold. 32 bytes of memory a score.

    Raises:
        ValueError: different lengths, NaN, no member or no other.
        TypeError: scores that are not real, members that are not bool.

    Example:
        >>> curve = roc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
        >>> curve.auc, curve.tpr_at(0.0)
        (0.75, 0.5)
        >>> print(curve.tpr_interval(0.0, "clopper-pearson"))
        0.500 [0.013, 0.987]
    """
    who = _arrays.matrix_bool(members, "members", "(n,)")
    core = _core.Roc(_arrays.vector_f64(scores, "scores"), who, _arrays.threads(n_threads))
    auc, _, _ = core.auc(0.5, 0, 0, 1)
    count = int(who.sum())
    return Roc(*core.curve(), auc, count, len(who) - count, core)


def _bootstrap(level: float, resamples: int, seed: int, n_threads: int | None) -> tuple[float, int, int, int]:
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share in (0, 1), got {level}")
    return level, _arrays.count(resamples, "resamples", 0), _arrays.seed(seed), _arrays.threads(n_threads)
