"""How well a proxy, measured in several training runs, stands in for a score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unmemorize import stats
from unmemorize.forget_set import ForgetSet
from unmemorize.partition import highest
from unmemorize.stats import Estimate

Vector = NDArray[np.float64]
STATISTICS: dict[str, Callable[..., Estimate]] = {
    "spearman": stats.spearman,
    "pearson": stats.pearson,
    "kendall": stats.kendall,
}
STRATA_SHARE = 0.1  # of the examples that have a score: low, medium and high together


@dataclass(frozen=True)
class Correlation:
    """A correlation, with an interval of each kind."""

    runs: Estimate  # mean over the runs, Student's interval: how it would be with other seeds
    examples: Estimate  # the same mean; the bootstrap intervals of the runs, their ends averaged: with other examples


@dataclass(frozen=True)
class Agreement:
    """One proxy against one score; estimates without a note are means over the runs with Student's interval."""

    correlation: dict[str, Correlation]  # by the names of STATISTICS
    overlap: dict[str, Estimate] = field(default_factory=dict)  # stratum: share of it that the proxy puts there too
    recall_of_flips: Estimate | None = None  # among as many highest scores, so the precision too; None: none known
    average_precision: Estimate | None = None  # of the flipped labels, over all thresholds


def agree(
    target: Vector, runs: Sequence[Vector], flipped: NDArray[np.bool_], *, resamples: int = 1000, seed: int = 0
) -> Agreement:
    """Compare the same proxy of several runs with one score.

    Args:
        target: (n,), higher = more memorized; NaN: the example is left out.
        runs: (n,) each, one for each run, oriented as `target`. An infinite value ("never learned") has a rank but no
            place on a line: Pearson is NaN then.
        flipped: (n,): the label is known to be wrong.
        resamples: of the bootstrap over examples.
        seed: of the resamples.
    """
    known = ~np.isnan(target)
    score, columns, wrong = target[known], [run[known] for run in runs], flipped[known]
    strata, some = reference(score), wrong.any()
    return Agreement(
        {name: _correlation(name, score, columns, resamples, seed) for name in STATISTICS},
        {name: _over([_shared(strata, run, name) for run in columns]) for name in strata.names},
        _over([recall_of_flips(run, wrong) for run in columns]) if some else None,
        _over([average_precision(run, wrong) for run in columns]) if some else None,
    )


def correlation_over_runs(target: Vector, runs: Sequence[Vector]) -> Estimate:
    """Spearman's correlation: the mean over the runs, with Student's interval."""
    known = ~np.isnan(target)
    return _over([stats.spearman(target[known], run[known], resamples=0).value for run in runs])


def recall_of_flips(score: Vector, flipped: NDArray[np.bool_]) -> float:
    """Share of the flipped labels among as many highest scores, ties by position; the precision is the same.

    Example:
        >>> recall_of_flips(np.array([0.9, 0.1, 0.8, 0.3]), np.array([True, True, False, False]))
        0.5
    """
    return float(flipped[highest(score, int(flipped.sum()))].mean())


def average_precision(score: Vector, flipped: NDArray[np.bool_]) -> float:
    """Mean over the flipped labels of the precision at their score; equal scores count as found at once.

    Example:
        >>> average_precision(np.array([0.9, 0.1, 0.8, 0.3]), np.array([True, True, False, False]))
        0.75
    """
    descending, place = np.unique(-score, return_inverse=True)
    found = np.bincount(place, flipped, len(descending))
    precision = np.cumsum(found) / np.cumsum(np.bincount(place, minlength=len(descending)))
    return float((found * precision).sum() / found.sum())


def reference(score: Vector) -> ForgetSet:
    """The low, medium and high examples by a score without NaN; medium is nearest 0.5 where that is in its range."""
    middle = 0.5 if score.min() < 0.5 < score.max() else "median"
    return ForgetSet.by_score(score, max(3, round(STRATA_SHARE * len(score))), medium=middle)


def _shared(strata: ForgetSet, run: Vector, name: str) -> float:
    return float(np.isin(strata.stratum(name), strata.restrata(run).stratum(name)).mean())


def _correlation(name: str, score: Vector, runs: Sequence[Vector], resamples: int, seed: int) -> Correlation:
    if name == "pearson" and not all(np.isfinite(run).all() for run in runs):
        return Correlation(*[Estimate(np.nan, np.nan, np.nan, 0)] * 2)
    found = [STATISTICS[name](score, run, resamples=resamples, seed=seed) for run in runs]
    low, high = np.mean([[estimate.low, estimate.high] for estimate in found], axis=0)
    runs_ = _over([estimate.value for estimate in found])
    return Correlation(runs_, Estimate(runs_.value, float(low), float(high), len(score)))


def _over(values: Sequence[float]) -> Estimate:
    """NaN where a run has no value: of a proxy that is still the same for all examples, say."""
    return stats.t_interval(values) if np.isfinite(values).all() else Estimate(np.nan, np.nan, np.nan, 0)
