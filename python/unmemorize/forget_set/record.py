"""The record of a forget set: what every method, oracle and audit reads, so that all compare the same examples."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import partition
from unmemorize.forget_set import manifest
from unmemorize.forget_set.checks import check_range, check_strata, check_unique, scores_of

Ids = NDArray[np.int64]
Vector = NDArray[np.float64]

NAMES = {1: ("all",), 2: ("low", "high"), 3: ("low", "medium", "high")}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Record:
    """Examples to forget, cut into strata.

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
        return isinstance(other, Record) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

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
        return self._recut(part, x, names_of(part), "restrata", self.seed)

    def by_label(self) -> Self:
        """The same examples, those of each class a stratum that has its name.

        Raises:
            ValueError: the labels are not known.
        """
        if self.labels is None:
            raise ValueError("labels: not known of this forget set; give them when you choose it")
        classes, part = np.unique(self.labels[np.argsort(self.ids)], return_inverse=True)
        names = tuple(map(str, classes.tolist()))
        return self._recut(part, self.scores, names, "restrata", self.seed)

    def shuffled(self, seed: int, strata: int = 3) -> Self:
        """The same examples in equal random parts: the control that tells whether strata by score are what helps."""
        part = partition.random_strata(len(self), check_strata(strata, len(self)), seed)
        names = tuple(f"part {i + 1}" for i in range(strata))
        return self._recut(part, self.scores, names, "shuffled", seed)

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

    def _recut(self, part: Ids, scores: Vector | None, names: tuple[str, ...], how: str, seed: int) -> Self:
        """The same examples with other parts, given in the order of the ids; `scores` in the order of now."""
        kept = {key: value for key, value in self.rule.items() if key != "strata_by"}  # which these parts are not
        order = np.argsort(self.ids)[np.argsort(part, kind="stable")]
        return replace(
            self,
            ids=self.ids[order],
            strata=np.sort(part),
            scores=None if scores is None else scores[order],
            labels=None if self.labels is None else self.labels[order],
            names=names,
            rule={**kept, how: self.hash},
            seed=seed,
        )


def names_of(part: Ids) -> tuple[str, ...]:
    """The names of the strata 0 to k - 1 of some parts."""
    k = int(part.max(initial=-1)) + 1
    return NAMES.get(k, tuple(map(str, range(k))))
