"""The record of a forget set, and the ways to choose one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, partition
from unmemorize.forget_set import manifest
from unmemorize.forget_set.checks import TrainingSet, check_range, check_strata, check_unique, known_scores, scores_of
from unmemorize.forget_set.features import centroid_distance
from unmemorize.forget_set.rules import choose

Ids = NDArray[np.int64]
Vector = NDArray[np.float64]

NAMES = {1: ("all",), 2: ("low", "high"), 3: ("low", "medium", "high")}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ForgetSet:
    """Examples to forget, cut into strata; choose them with one of the class methods.

    Args:
        ids: int64 (size,), rows of the training set, each once, in order of stratum, then id.
        strata: int64 (size,), 0 = lowest; none is empty. Where k does not divide size, the last have one more each.
        scores: float64 (size,) that the examples were chosen or cut by, higher = more memorized; None: by none.
        labels: int64 (size,); None: not known.
        names: of the strata, lowest first: low, medium, high of three, low, high of two, all of one, else numbers.
        rule: how the examples and their strata were chosen.
        seed: of what was drawn at random.
        n: size of the training set; None: not known.
        data_hash: of the data set that the ids are rows of; None: not known.

    Raises:
        ValueError: arrays that do not fit together, duplicate ids, an empty stratum.
    """

    ids: Ids
    strata: Ids
    names: tuple[str, ...]
    scores: Vector | None = None
    labels: Ids | None = None
    rule: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    n: int | None = None
    data_hash: str | None = None

    def __post_init__(self) -> None:
        check_unique(self.ids)
        for name in ("ids", "strata", "scores", "labels"):
            array = getattr(self, name)
            if array is not None and array.shape != self.ids.shape:
                raise ValueError(f"{name}: expected shape {self.ids.shape} to match ids, got {array.shape}")
            if array is not None:
                array.flags.writeable = False
        if not np.array_equal(np.unique(self.strata), np.arange(len(self.names))):
            raise ValueError(f"strata: expected each of 0 to {len(self.names) - 1}, got {np.unique(self.strata)}")
        if not np.array_equal(np.lexsort((self.ids, self.strata)), np.arange(len(self))):
            raise ValueError("ids: expected in order of stratum, then id")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(self.stratum(name))}" for name in self.names)
        return f"ForgetSet({len(self)} of {self.n or 'unknown'} examples: {sizes})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForgetSet) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    @classmethod
    def by_score(
        cls,
        score: ArrayLike,
        size: int,
        *,
        strata: int = 3,
        rule: str = "low-medium-high",
        medium: str | float = "median",
        ids: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        seed: int = 0,
        n: int | None = None,
        data_hash: str | None = None,
    ) -> Self:
        """Choose examples by score, ties by id.

        Args:
            score: (n,) real numbers, higher = more memorized, no NaN.
            size: number of examples, all strata together.
            strata: number of strata.
            rule: "low-medium-high": the lowest scores, the highest, and those nearest to `medium` among what these two
                leave, each a stratum (with strata=2, low and high only); "low" or "high": the lowest or highest scores
                alone; "medium": those nearest to `medium` alone. An end alone is cut into quantile strata.
            medium: "median" (of all scores given) or a number.
            ids: (n,) rows of the training set that the scores belong to; None: 0 to n-1.
            labels: of the whole training set; warns where a class would be left without an example.
            seed: kept in the manifest; nothing is drawn here.
            n: size of the training set, where neither `ids` nor `labels` tells.
            data_hash: of the data set.

        Raises:
            ValueError: NaN, a size or a number of strata that cannot be had, an unknown rule, duplicate ids.
            IndexError: ids out of range.

        Source: arXiv 2406.01257 takes medium=0.5 for exact memorization; its code takes the median for proxies.

        Example:
            >>> chosen = ForgetSet.by_score([0.1, 0.9, 0.5, 0.0, 0.3, 0.8, 0.2], 3)
            >>> {name: chosen.stratum(name).tolist() for name in chosen.names}
            {'low': [3], 'medium': [4], 'high': [1]}
        """
        x = known_scores(score)
        rows = np.arange(len(x)) if ids is None else _arrays.integers(ids, "ids", "(n,)")
        if len(rows) != len(x):
            raise ValueError(f"ids: expected {len(x)} values to match score, got {len(rows)}")
        check_unique(rows)
        of = TrainingSet.of(len(x) if ids is None and n is None else n, labels, data_hash)
        order = np.argsort(rows)  # so that ties by position are ties by id
        positions, part = choose(x[order], size, strata, rule, medium)
        chosen = order[positions]
        how = {"by": "score", "rule": rule, "size": size, "strata": strata, "medium": medium}
        return cls._of(rows[chosen], part, x[chosen], how, seed, of)

    @classmethod
    def from_ids(
        cls,
        ids: ArrayLike,
        *,
        score: ArrayLike | None = None,
        strata: int = 3,
        labels: ArrayLike | None = None,
        n: int | None = None,
        data_hash: str | None = None,
    ) -> Self:
        """Take the user's own list.

        Args:
            ids: rows of the training set, each once, in any order.
            score: to cut the list into quantile strata by: one for each of `ids`, or one for each training example.
            strata: number of strata; without a score there is one, "all".
            labels: of the whole training set; warns where a class would be left without an example.
            n: size of the training set, where `labels` does not tell.
            data_hash: of the data set.

        Raises:
            ValueError: no ids, duplicates, NaN scores, more strata than ids.
            IndexError: ids out of range.

        Example:
            >>> ForgetSet.from_ids([7, 3, 5], score=[0.9, 0.1, 0.5])
            ForgetSet(3 of unknown examples: low 1, medium 1, high 1)
        """
        of = TrainingSet.of(n, labels, data_hash)
        return cls._of(*_quantiles(_arrays.integers(ids, "ids"), score, strata, of), {"by": "ids"}, 0, of)

    @classmethod
    def random(
        cls,
        n: int,
        size: int,
        *,
        score: ArrayLike | None = None,
        strata: int = 3,
        labels: ArrayLike | None = None,
        seed: int = 0,
        data_hash: str | None = None,
    ) -> Self:
        """Draw `size` of the n training examples; strata as in `from_ids`. One seed, one set, on every machine.

        Raises:
            ValueError: a size outside 1 to n, NaN scores, more strata than examples.

        Example:
            >>> ForgetSet.random(1000, 4, seed=1)
            ForgetSet(4 of 1000 examples: all 4)
        """
        of = TrainingSet.of(n, labels, data_hash)
        how = {"by": "random", "size": size}
        return cls._of(*_quantiles(partition.sample(n, size, seed), score, strata, of), how, seed, of)

    @classmethod
    def by_class(
        cls,
        labels: ArrayLike,
        classes: int | Iterable[int],
        *,
        size: int | None = None,
        score: ArrayLike | None = None,
        strata: int = 3,
        seed: int = 0,
        data_hash: str | None = None,
    ) -> Self:
        """Take examples of one or more classes: all of them, or `size` drawn at random; strata as in `from_ids`.

        Warns with a UserWarning where nothing of a class is left.

        Raises:
            ValueError: a class without an example, more examples than there are.

        Example:
            >>> ForgetSet.by_class([0, 1, 0, 1, 0], 0, size=2)
            ForgetSet(2 of 5 examples: all 2)
        """
        y = _arrays.integers(labels, "labels", "(n,)")
        wanted = np.unique(_arrays.integers(np.atleast_1d(_arrays.to_numpy(classes, "classes")[0]), "classes"))
        if len(unknown := np.setdiff1d(wanted, y)):
            known = ", ".join(map(str, np.unique(y)))
            raise ValueError(f"classes: no example has label {unknown[0]}; known are {known}")
        rows = np.flatnonzero(np.isin(y, wanted))
        if size is not None:
            rows = rows[partition.sample(len(rows), size, seed)]
        how = {"by": "class", "classes": wanted.tolist(), "size": size}
        of = TrainingSet.of(None, y, data_hash)
        return cls._of(*_quantiles(rows, score, strata, of), how, seed, of)

    @classmethod
    def by_entanglement(
        cls,
        features: ArrayLike,
        size: int,
        *,
        strata: int = 3,
        rule: str = "low-medium-high",
        medium: str | float = "median",
        labels: ArrayLike | None = None,
        seed: int = 0,
        data_hash: str | None = None,
    ) -> Self:
        """Choose groups in the order of the distance to the centroid of all features; far = low entanglement.

        Args:
            features: (n, d) penultimate features of the original model in eval mode. The score is minus the distance.
            size: number of examples, all strata together.
            strata: number of strata.
            rule: as of `by_score`.
            medium: as of `by_score`: "median" or a number (minus a distance).
            labels: of the whole training set; warns where a class would be left without an example.
            seed: kept in the manifest; nothing is drawn here.
            data_hash: of the data set.

        Source: arXiv 2406.01257, section on entanglement; `entanglement` measures what was found. O(n d) memory.
        """
        x = -centroid_distance(features)
        of = TrainingSet.of(len(x), labels, data_hash)
        positions, part = choose(x, size, strata, rule, medium)
        how = {"by": "entanglement", "rule": rule, "size": size, "strata": strata, "medium": medium}
        return cls._of(positions, part, x[positions], how, seed, of)

    def restrata(self, score: ArrayLike, *, strata: int | None = None) -> Self:
        """The same examples, cut into the quantile strata of another score within the set (the fixed-S protocol).

        Args:
            score: one for each training example, or one for each of `ids`.
            strata: number of strata; None: as many as now.

        Raises:
            ValueError: NaN, more strata than examples.
        """
        x = scores_of(score, self.ids, self.n)
        k = len(self.names) if strata is None else check_strata(strata, len(self))
        part = partition.strata(x[np.argsort(self.ids)], k)
        return self._recut(part, x, _names(part), {**self.rule, "restrata": self.hash}, self.seed)

    def by_label(self) -> Self:
        """The same examples, those of each class a stratum that has its name.

        Raises:
            ValueError: the labels are not known.
        """
        if self.labels is None:
            raise ValueError("labels: not known of this forget set; give them when you choose it")
        classes, part = np.unique(self.labels[np.argsort(self.ids)], return_inverse=True)
        names = tuple(map(str, classes.tolist()))
        return self._recut(part, self.scores, names, {**self.rule, "restrata": self.hash}, self.seed)

    def shuffled(self, seed: int, strata: int = 3) -> Self:
        """The same examples in equal random parts: the control that tells whether strata by score are what helps."""
        part = partition.random_strata(len(self), check_strata(strata, len(self)), seed)
        names = tuple(f"part {i + 1}" for i in range(strata))
        return self._recut(part, self.scores, names, {**self.rule, "shuffled": self.hash}, seed)

    def stratum(self, which: str | int) -> Ids:
        """The ids of one stratum, by name or number, ascending.

        Raises:
            ValueError: no such stratum.
        """
        known: dict[str | int, int] = {key: k for k, name in enumerate(self.names) for key in (k, name)}
        if which not in known:
            raise ValueError(f"stratum: none is {which!r}; known are {', '.join(self.names)}")
        chosen: Ids = self.ids[self.strata == known[which]]
        return chosen

    def groups(self, n: int) -> dict[str, Ids]:
        """What accuracies are reported on: "forget", "forget/NAME" of each stratum, and "retain", the rest of n."""
        retained = np.ones(n, dtype=bool)
        retained[self.ids] = False
        strata = {f"forget/{name}": self.stratum(name) for name in self.names}
        return {"forget": self.ids, **strata, "retain": np.flatnonzero(retained)}

    def check(self, n: int, data_hash: str | None = None) -> None:
        """See that the ids are rows of a training set of n examples with this hash.

        Raises:
            ValueError: another size or hash.
            IndexError: an id that is out of range.
        """
        if self.n not in (None, n):
            raise ValueError(f"forget set: is of a training set of {self.n} examples, expected {n}")
        if None not in (self.data_hash, data_hash) and self.data_hash != data_hash:
            raise ValueError(f"forget set: is of data with hash {self.data_hash}, expected {data_hash}")
        check_range(self.ids, n)

    @property
    def protocol(self) -> str:
        """Is it "paper", where the score that chose the examples cuts them too, or "fixed-S", any choice, any cut?

        Only in the second do two plans with strata by different scores forget the same examples.
        """
        same = self.rule.get("by") in ("score", "entanglement") and not {"restrata", "shuffled"} & self.rule.keys()
        return "paper" if same and len(self.names) > 1 else "fixed-S"

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content: the same on every machine."""
        return manifest.digest(self._fields())

    def save(self, path: str | Path) -> None:
        """Write the manifest, in full or not at all: JSON with the content hash."""
        manifest.write(Path(path), self._fields())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a manifest.

        Raises:
            FileNotFoundError: no such file.
            StoreError: not a manifest, damaged, or changed by hand; names the file.
        """
        return cls(**manifest.read(Path(path)))

    def _fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def _of(cls, ids: Ids, part: Ids, scores: Vector | None, rule: dict[str, Any], seed: int, of: TrainingSet) -> Self:
        """A forget set of ascending ids with their parts."""
        check_range(ids, of.n)
        of.warn_of_lost_classes(ids)
        order = np.argsort(part, kind="stable")
        return cls(
            ids=ids[order],
            strata=part[order],
            names=_names(part),
            scores=None if scores is None else scores[order],
            labels=None if of.labels is None else of.labels[ids[order]],
            rule=rule,
            seed=seed,
            n=of.n,
            data_hash=of.hash,
        )

    def _recut(self, part: Ids, scores: Vector | None, names: tuple[str, ...], rule: dict[str, Any], seed: int) -> Self:
        """The same examples with other parts, given in the order of the ids; `scores` in the order of now."""
        order = np.argsort(self.ids)[np.argsort(part, kind="stable")]
        return replace(
            self,
            ids=self.ids[order],
            strata=np.sort(part),
            scores=None if scores is None else scores[order],
            labels=None if self.labels is None else self.labels[order],
            names=names,
            rule=rule,
            seed=seed,
        )


def _quantiles(ids: Ids, score: ArrayLike | None, strata: int, of: TrainingSet) -> tuple[Ids, Ids, Vector | None]:
    """Ascending ids with their quantile strata and scores; without a score there is one stratum."""
    check_unique(ids)
    order = np.argsort(ids)
    if score is None:
        return ids[order], np.zeros_like(ids), None
    x = scores_of(score, ids, of.n)[order]
    return ids[order], partition.strata(x, check_strata(strata, len(x))), x


def _names(part: Ids) -> tuple[str, ...]:
    k = int(part.max(initial=-1)) + 1
    return NAMES.get(k, tuple(map(str, range(k))))
