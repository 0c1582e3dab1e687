"""Means, quantiles and shares with their intervals."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.stats.estimate import Estimate

Vector = NDArray[np.float64]
MOST_RESAMPLES = 10_000_000  # more are taken for a slip
Statistic = Literal["mean", "median"] | float | Callable[[Vector], float]


def bootstrap_interval(
    values: ArrayLike,
    statistic: Statistic = "mean",
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
    n_threads: int | None = None,
) -> Estimate:
    """A statistic of independent values with its bootstrap percentile interval.

    Args:
        values: (n,) real numbers, n >= 1. For a paired comparison: the differences.
        statistic: "mean", "median", a share in [0, 1] for that quantile, linear between neighbours, or a function of
            float64 (n,), which is called in Python once a resample.
        level: of the interval, in (0, 1).
        seed: of the resamples.
        resamples: of the bootstrap; 0: no interval.
        n_threads: None: all that the process may use.

    Returns:
        The estimate. With n = 1 there is no interval: NaN.

    Raises:
        ValueError: no values, NaN, an unknown statistic, an argument out of range.

    Example:
        >>> bootstrap_interval([1.0, 2.0, 3.0, 10.0], "median").value
        2.5
    """
    x = _some(values)
    options = bootstrap_options(level, resamples if len(x) > 1 else 0, seed, n_threads)
    if callable(statistic):
        found = _resampled(statistic, x, *options)
    elif isinstance(statistic, str) and statistic == "mean":
        found = _core.mean(x, options)
    else:
        found = _core.quantile(x, _quantile(statistic), options)
    return Estimate(*found, len(x))


def t_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean with Student's interval: mean ± t * s / sqrt(n), for a few runs of the same thing.

    Args:
        values: (n,) real numbers, n >= 1.
        level: of the interval, in (0, 1).

    Returns:
        The estimate. With n = 1 there is no interval: NaN.

    Raises:
        ValueError: no values, NaN, a level out of range.

    Example:
        >>> print(t_interval([0.95, 0.96, 0.97]))
        0.960 [0.935, 0.985]
    """
    x = _some(values).astype(np.float64)
    n = len(x)
    half = t_quantile(level, n - 1) * float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    mean = float(x.mean())
    return Estimate(mean, mean - half, mean + half, n)


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Estimate:
    """A share with the exact interval of Clopper & Pearson (1934), which holds its level for any n. O(n) memory.

    Args:
        successes: 0 to n.
        n: number of trials, at least 1.
        level: of the interval, in (0, 1).

    Raises:
        TypeError: a number of trials that is no integer.
        ValueError: an argument out of range.

    Example:
        >>> print(proportion_interval(9, 10))
        0.900 [0.555, 0.997]
    """
    successes, n = _arrays.integer(successes, "successes"), _arrays.count(n, "n", 0)
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes: expected 0 to n with n >= 1, got {successes} of {n}")
    (low,), (high,) = _core.clopper_pearson(np.array([successes], np.int64), n, _arrays.share(level, "level", "()"), 1)
    return Estimate(successes / n, float(low), float(high), n)


def bootstrap_options(level: float, resamples: int, seed: int, n_threads: int | None) -> tuple[float, int, int, int]:
    """The arguments of every bootstrap, checked; 0 resamples: no interval."""
    count = _arrays.count(resamples, "resamples", 0, MOST_RESAMPLES)
    return _arrays.share(level, "level", "()"), count, _arrays.seed(seed), _arrays.threads(n_threads)


def t_quantile(level: float, df: int) -> float:
    """The t with P[|T| <= t] = level for Student's distribution with df degrees of freedom.

    With θ = atan(t / sqrt(df)) the probability is a finite sum of powers of cos θ (Abramowitz & Stegun 26.7.3 and
    26.7.4), and increases with θ. O(df) time and memory.

    Raises:
        ValueError: a level outside (0, 1), or df below 1.
    """
    level, df = _arrays.share(level, "level", "()"), _arrays.count(df, "df")
    first = np.arange(df % 2 + 1, df - 1, 2)
    ratios = first / (first + 1)  # 1/2, 3/4, ... or 2/3, 4/5, ...

    def probability(angle: float) -> float:
        sine, cosine = math.sin(angle), math.cos(angle)
        series = 1 + float(np.cumprod(ratios * cosine**2).sum())
        if df % 2 == 0:
            return sine * series
        return 2 / math.pi * (angle + (sine * cosine * series if df > 1 else 0.0))

    return math.sqrt(df) * math.tan(_root(lambda angle: probability(angle) - level, math.pi / 2))


def _quantile(statistic: object) -> float:
    if isinstance(statistic, str) and statistic == "median":
        return 0.5
    if isinstance(statistic, int | float | np.floating) and 0 <= statistic <= 1:
        return float(statistic)
    raise ValueError(f"statistic: expected 'mean', 'median', a share in [0, 1] or a function, got {statistic!r}")


def _resampled(
    statistic: Callable[[Vector], float],
    values: _arrays.Scores,
    level: float,
    resamples: int,
    seed: int,
    n_threads: int,  # a Python function holds the GIL: one
) -> tuple[float, float, float]:
    """The same resamples as those of the core, one after another."""
    x = values.astype(np.float64)
    drawn = (np.repeat(x, _core.resample_counts(len(x), seed, b)) for b in range(resamples))
    found = np.array([float(statistic(resample)) for resample in drawn])
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2]) if len(found) else (math.nan, math.nan)
    return float(statistic(x)), float(low), float(high)


def _some(values: ArrayLike) -> _arrays.Scores:
    x = _arrays.scores(values, "values")
    if not len(x):
        raise ValueError("values: expected at least 1, got 0")
    if unknown := int(np.isnan(x).sum()):
        raise ValueError(f"values: {unknown} of {len(x)} are NaN; leave them out first")
    return x


def _root(increasing: Callable[[float], float], high: float = 1.0) -> float:
    """Where an increasing function is 0 between 0 and `high`, to the last bit, by bisection."""
    low = 0.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if increasing(middle) < 0 else (low, middle)
    return middle
