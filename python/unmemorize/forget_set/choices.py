"""The ways to choose a forget set."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from unmemorize import _arrays, partition
from unmemorize.forget_set.checks import TrainingSet, check_range, check_strata, check_unique, known_scores, scores_of
from unmemorize.forget_set.features import centroid_distance
from unmemorize.forget_set.record import Ids, Record, Vector, names_of
from unmemorize.forget_set.rules import choose


class ForgetSet(Record):
    """Examples to forget, cut into strata; choose them with one of the class methods, or read them with `load`.

    Its attributes, of which it can be made too, are those of a `Record`.
    """

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

    @classmethod
    def _of(cls, ids: Ids, part: Ids, scores: Vector | None, rule: dict[str, Any], seed: int, of: TrainingSet) -> Self:
        """A forget set of ascending ids with their parts."""
        check_range(ids, of.n)
        of.warn_of_lost_classes(ids)
        order = np.argsort(part, kind="stable")
        return cls(
            ids=ids[order],
            strata=part[order],
            names=names_of(part),
            scores=None if scores is None else scores[order],
            labels=None if of.labels is None else of.labels[ids[order]],
            rule=rule,
            seed=seed,
            n=of.n,
            data_hash=of.hash,
        )


def _quantiles(ids: Ids, score: ArrayLike | None, strata: int, of: TrainingSet) -> tuple[Ids, Ids, Vector | None]:
    """Ascending ids with their quantile strata and scores; without a score there is one stratum."""
    check_unique(ids)
    order = np.argsort(ids)
    if score is None:
        return ids[order], np.zeros_like(ids), None
    x = scores_of(score, ids, of.n)[order]
    return ids[order], partition.strata(x, check_strata(strata, len(x))), x
