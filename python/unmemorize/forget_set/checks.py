"""What can be wrong with the ids, scores and labels that a forget set is made of."""

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays

Ids = NDArray[np.int64]
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What is known of the training set that ids are rows of."""

    n: int | None
    labels: Ids | None
    hash: str | None

    @classmethod
    def of(cls, n: int | None, labels: ArrayLike | None, data_hash: str | None) -> Self:
        """Labels tell the size where it is not given."""
        if labels is None:
            return cls(n, None, data_hash)
        y = _arrays.integers(labels, "labels", "(n,)")
        if n not in (None, len(y)):
            raise ValueError(f"labels: expected {n} values, one for each training example, got {len(y)}")
        return cls(len(y), y, data_hash)

    def warn_of_lost_classes(self, ids: Ids) -> None:
        """A model retrained without a single example of a class is another classifier."""
        if self.labels is None:
            return
        classes, counts = np.unique(self.labels, return_counts=True)
        taken, of_class = np.unique(self.labels[ids], return_counts=True)
        lost = of_class == counts[np.searchsorted(classes, taken)]
        if lost.any():
            named = ", ".join(f"{c} (all {k} examples)" for c, k in zip(taken[lost], of_class[lost], strict=True))
            warnings.warn(f"forget set: nothing is left to retain of class {named}", UserWarning, stacklevel=4)


def check_unique(ids: Ids) -> None:
    """At least one id, and each once."""
    if not len(ids):
        raise ValueError("forget set: no ids; name at least 1 example")
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        twice = values[counts > 1]
        raise ValueError(f"ids: {len(twice)} occur more than once, first {twice[0]}; np.unique(ids) keeps one of each")


def check_range(ids: Ids, n: int | None) -> None:
    """Rows of a training set of n examples, where n is known."""
    if ids.min(initial=0) < 0:
        raise IndexError(f"ids: {ids.min()} is negative")
    if n is not None and ids.max(initial=-1) >= n:
        raise IndexError(f"ids: {ids.max()} is out of range for a training set of {n} examples")


def check_strata(strata: int, size: int) -> int:
    """No stratum may be empty."""
    k = _arrays.count(strata, "strata")
    if k > size:
        raise ValueError(f"strata: expected 1 to {size}, the size of the forget set, got {k}")
    return k


def known_scores(score: ArrayLike) -> Vector:
    """Scores without NaN."""
    x = _arrays.vector_f64(score, "score")
    if len(unknown := np.flatnonzero(np.isnan(x))):
        raise ValueError(
            f"score: {len(unknown)} of {len(x)} values are NaN (no estimate), the first at position {unknown[0]}; "
            "leave them out: keep = np.flatnonzero(~np.isnan(score)), then score[keep] with ids=keep"
        )
    return x


def scores_of(score: ArrayLike, ids: Ids, n: int | None) -> Vector:
    """The scores of `ids`, given for each of them or for each training example."""
    x = _arrays.vector_f64(score, "score")
    if len(x) == len(ids):
        return known_scores(x)
    if n not in (None, len(x)):
        raise ValueError(f"score: expected {len(ids)} values, one for each id, or {n}, got {len(x)}")
    if ids.max() >= len(x):
        raise ValueError(f"score: {len(x)} values are neither one for each of {len(ids)} ids nor reach id {ids.max()}")
    return known_scores(x[ids])
