"""RUM, the meta-algorithm: refine the forget set by how memorized it is, then unlearn stratum after stratum."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from unmemorize import unlearn
from unmemorize.data import Data
from unmemorize.forget_set import ForgetSet
from unmemorize.proxies import PROXIES
from unmemorize.proxies.features import proximity
from unmemorize.train import Context
from unmemorize.unlearn import Algorithm, Step
from unmemorize.unlearn.chain import name_of

One = str | Algorithm  # an algorithm, or the name of one with its defaults

KEYS = ("steps", "order", "by", "strata", "seed")  # of a plan as data
DESCENDING = "descending"


@dataclass(frozen=True)
class RUM:
    """Which algorithm unlearns which stratum of a forget set, and in which order.

    The steps make one chain: each starts from the model that the one before left, and retains what is not yet
    unlearned (`unlearn.run`).

    Args:
        steps: one algorithm for each entry of `order`, or a single one for all of them.
        order: names of strata, first to last, "medium+high" for two in one step; None: lowest first; "descending".
        by: what cuts the strata. None: the forget set has them. "random": equal random parts, the control that tells
            whether refining by score is what helps. "class": one for each class. "entanglement": how near an example's
            penultimate features are to the centroid of all. Else the name of a score: one of `scores`, or a proxy of
            `unmemorize.proxies`, taken of the model that is to forget.
        strata: how many; 1: the whole set in one step. None: as many as the forget set has, 3 where it has one.
        seed: of the random parts.
        scores: (n,) each, by name, higher = more memorized; no part of the plan as data.

    Source: Zhao et al. 2024, arXiv 2406.01257 (RUM, RUM^F, vanilla, shuffle).

    Example:
        >>> forget = ForgetSet.from_ids(range(6), score=[0.1, 0.9, 0.2, 0.8, 0.5, 0.6])
        >>> best = RUM(steps=["nothing", "fine_tune", "salun"])
        >>> [(step.stratum, step.ids.tolist()) for step in best.plan(forget)]
        [('low', [0, 2]), ('medium', [4, 5]), ('high', [1, 3])]
    """

    steps: One | Sequence[One]
    order: str | Sequence[str] | None = ("low", "medium", "high")
    by: str | None = None
    strata: int | None = None
    seed: int = 0
    scores: Mapping[str, ArrayLike] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = isinstance(self.order, Sequence) and all(isinstance(entry, str) for entry in self.order)
        if self.order not in (None, DESCENDING) and (isinstance(self.order, str) or not names):
            raise ValueError(f"order: expected names of strata, {DESCENDING!r} or None, got {self.order!r}")
        if self.strata is not None and (
            not isinstance(self.strata, Integral) or isinstance(self.strata, bool) or self.strata < 1
        ):
            raise ValueError(f"strata: expected a whole number of at least 1, got {self.strata!r}")

    @classmethod
    def refine(cls, algorithm: One | Sequence[One]) -> Self:
        """RUM^F: the strata of the forget set, lowest first, with one algorithm or one for each stratum."""
        return cls(algorithm, order=None)

    @classmethod
    def shuffle(cls, algorithm: One | Sequence[One], seed: int) -> Self:
        """The control: as many equal random parts as there are strata, one after another."""
        return cls(algorithm, order=None, by="random", seed=seed)

    @classmethod
    def vanilla(cls, algorithm: One) -> Self:
        """The whole forget set in one step."""
        return cls(algorithm, order=None, strata=1)

    @classmethod
    def from_toml(cls, source: str | Path, *, algorithm: One | None = None, ensemble: Any = None) -> Self:
        """The plan in a TOML file, or one that ships with the package by its name (`plans`); see `from_dict`.

        Example:
            >>> RUM.from_toml("published").steps
            [Nothing(), FineTune(lr=0.1, epochs=10), SalUn(lr=0.1, epochs=5, threshold=0.5)]
        """
        try:
            return cls.from_dict(read_plan(source), algorithm=algorithm, ensemble=ensemble)
        except ValueError as error:
            raise ValueError(f"plan {str(source)!r}: {error}") from error

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, algorithm: One | None = None, ensemble: Any = None) -> Self:
        """The inverse of `to_dict`.

        Args:
            content: keys as the arguments of this class. `steps` holds a table for each step, or one for all of them:
                the name of an `algorithm` and its hyper-parameters; absent: `algorithm` takes every step. `order` is
                lowest first where it is absent.
            algorithm: for a plan that names none.
            ensemble: for the algorithms that need one.

        Raises:
            ValueError: an unknown key, algorithm or hyper-parameter, with the known ones; or a value out of its range.

        Example:
            >>> RUM.from_dict({"order": "descending", "steps": {"algorithm": "salun", "lr": 0.1}}).steps
            SalUn(lr=0.1, epochs=5, threshold=0.5)
        """
        for key in content:
            if key not in KEYS:
                raise ValueError(f"no key {key!r}; known are {', '.join(KEYS)}")
        steps = content.get("steps", algorithm)
        if steps is None:
            raise ValueError("it names no algorithm; give one")
        if isinstance(steps, list):
            tables = [{"algorithm": table} if isinstance(table, str) else table for table in steps]
            steps = [_made(table, f"step {i + 1}", ensemble) for i, table in enumerate(tables)]
        elif isinstance(steps, Mapping):
            steps = _made(steps, "steps", ensemble)
        elif isinstance(steps, str):
            steps = _made({"algorithm": steps}, "steps", ensemble)
        elif not isinstance(steps, Algorithm):
            raise ValueError(f"steps: expected an algorithm's name, a table or a list of tables, got {steps!r}")
        return cls(**{**content, "order": content.get("order"), "steps": steps})

    def to_dict(self) -> dict[str, Any]:
        """The plan as TOML and JSON hold it, without an ensemble and scores: where these come from is no plan."""
        many = isinstance(self.steps, Sequence) and not isinstance(self.steps, str)
        steps = [_table(one) for one in self.steps] if many else _table(self.steps)  # type: ignore[union-attr, arg-type]
        order = list(self.order) if isinstance(self.order, tuple) else self.order
        content = {"order": order, "by": self.by, "strata": self.strata, "seed": self.seed or None, "steps": steps}
        return {key: value for key, value in content.items() if value is not None}

    def cut(
        self, forget_set: ForgetSet, model: nn.Module, data: Data, ctx: Context, gone: NDArray[np.int64] | None = None
    ) -> ForgetSet:
        """`forget_set` in the strata that this plan is by; a plan by no score or class leaves it as it is.

        Args:
            forget_set: what is to be forgotten.
            model: what is to forget it: a proxy is taken of this model, and of the examples to forget alone.
            data: the data set.
            ctx: device, precision, seed.
            gone: rows that earlier requests took: none counts, and with any a proxy is taken anew even if it is given.

        Raises:
            ValueError: an unknown score; strata by class without labels.
        """
        if self.by in (None, "random") or self.strata == 1:
            return forget_set
        if self.by == "class":
            found = forget_set.by_label()
        else:
            found = forget_set.restrata(self._score(forget_set, model, data, ctx, gone), strata=self._parts(forget_set))
        return replace(found, rule={**found.rule, "strata_by": self.by})

    def plan(self, forget_set: ForgetSet) -> list[Step]:
        """The steps of this plan on `forget_set`, which has the strata that the plan is by (`cut`).

        Raises:
            ValueError: strata of something else; one that is unknown, repeated or left out; a wrong number of
                algorithms, or unknown ones.
        """
        groups = {"all": forget_set.ids} if self.strata == 1 else self._groups(forget_set)
        order = _ordered(self.order, tuple(groups))
        parts = [np.concatenate([groups[name] for name in entry.split("+")]) for entry in order]
        algorithms = [unlearn.make(one) if isinstance(one, str) else one for one in self._each(order)]
        return [Step(*step) for step in zip(algorithms, parts, order, strict=True)]

    def _groups(self, forget_set: ForgetSet) -> dict[str, NDArray[np.int64]]:
        if self.by == "random":
            forget_set = forget_set.shuffled(self.seed, strata=self._parts(forget_set))
        elif self.by not in (None, forget_set.rule.get("strata_by")):
            raise ValueError(f"by: the strata of this forget set are not those by {self.by!r}; cut it first")
        elif self.strata not in (None, len(forget_set.names)):
            mend = "name a score that cuts them with by" if self.by is None else f"cut it by {self.by!r} first"
            raise ValueError(f"strata: the forget set has {len(forget_set.names)}, the plan {self.strata}; {mend}")
        return {name: forget_set.stratum(name) for name in forget_set.names}

    def _parts(self, forget_set: ForgetSet) -> int:
        return self.strata or (len(forget_set.names) if len(forget_set.names) > 1 else 3)

    def _score(
        self, forget_set: ForgetSet, model: nn.Module, data: Data, ctx: Context, gone: NDArray[np.int64] | None
    ) -> ArrayLike:
        """One for each example to forget, or for each of the training set."""
        name, gone = str(self.by), np.empty(0, np.int64) if gone is None else gone
        if name in self.scores and not (len(gone) and name in PROXIES):
            return self.scores[name]
        train = data.train.view()
        forget = train.subset(forget_set.ids)
        if name == "entanglement":
            return proximity(model, forget, train.without(gone), ctx)
        if name in PROXIES:
            return PROXIES[name](model, replace(data, train=forget), ctx)
        known = ["class", "entanglement", "random", *PROXIES, *self.scores]
        raise ValueError(f"by: no score {name!r}; known are {', '.join(known)}")

    def _each(self, order: Sequence[str]) -> Sequence[One]:
        if isinstance(self.steps, str) or not isinstance(self.steps, Sequence):
            return [self.steps] * len(order)
        if len(self.steps) != len(order):
            raise ValueError(f"steps: expected {len(order)}, one for each of {', '.join(order)}, got {len(self.steps)}")
        return self.steps


def read_plan(source: str | Path) -> dict[str, Any]:
    """What is in the TOML file of a plan, or in one that ships with the package.

    Raises:
        ValueError: no plan has this name, or the file is not TOML.
    """
    if str(source).endswith(".toml"):
        return tomllib.loads(Path(source).read_text(encoding="utf-8"))
    if str(source) not in plans():
        raise ValueError(f"no plan {str(source)!r}; known are {', '.join(plans())}, or name a .toml file")
    return tomllib.loads((files("unmemorize") / "plans" / f"{source}.toml").read_text(encoding="utf-8"))


def plans() -> list[str]:
    """Names of the plans that ship with the package."""
    found = (files("unmemorize") / "plans").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in found if entry.name.endswith(".toml"))


def _ordered(order: str | Sequence[str] | None, names: Sequence[str]) -> Sequence[str]:
    """Every stratum once: one that is left out would never be forgotten."""
    if order is None or isinstance(order, str):
        return names[::-1] if order else names
    given = [name for entry in order for name in entry.split("+")]
    for name in given:
        if name not in names:
            raise ValueError(f"order: no stratum {name!r} in this forget set; it has {', '.join(names)}")
    if len(given) != len(set(given)) or len(given) != len(names):
        raise ValueError(f"order: expected each of {', '.join(names)} once, got {', '.join(order)}")
    return order


def _made(table: Mapping[str, Any], where: str, ensemble: Any) -> Algorithm:
    """The algorithm of one table."""
    if not isinstance(table, Mapping) or "algorithm" not in table:
        raise ValueError(f"{where}: names no algorithm")
    hyper = {name: value for name, value in table.items() if name != "algorithm"}
    try:
        return unlearn.make(table["algorithm"], **hyper, **_given(table["algorithm"], ensemble))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _given(name: str, ensemble: Any) -> dict[str, Any]:
    needs = any(f.name == "ensemble" for f in fields(unlearn.find(name)))
    return {"ensemble": ensemble} if needs and ensemble is not None else {}


def _table(one: One) -> dict[str, Any]:
    if isinstance(one, str):
        return {"algorithm": one}
    hyper = {f.name: getattr(one, f.name) for f in fields(one) if f.name != "ensemble"}  # type: ignore[arg-type]
    for name, value in hyper.items():
        if not isinstance(value, str | int | float):
            raise ValueError(f"{name_of(one)}: {name} is no number or name, so it cannot be written: {value!r}")
    return {"algorithm": name_of(one), **hyper}
