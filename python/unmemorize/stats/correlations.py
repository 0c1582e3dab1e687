"""Correlations with ties, and whether there is any."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from unmemorize import _arrays, _core
from unmemorize.stats.estimate import Estimate
from unmemorize.stats.intervals import MOST_RESAMPLES, Vector, bootstrap_options


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
    nan: Literal["raise", "omit"] = "raise",
    n_threads: int | None = None,
) -> Estimate:
    """Spearman's rank correlation, ties sharing their mean rank, with a bootstrap percentile interval over the pairs.

    Args:
        x: (n,) real numbers, NumPy or torch; infinite ones are ordered like others.
        y: (n,) likewise.
        level: of the interval, in (0, 1).
        seed: of the resamples; the same seed gives the same bits for any number of threads.
        resamples: of the bootstrap; 0: no interval.
        nan: what to do about NaN: "raise", or "omit" the pairs that hold one.
        n_threads: None: all that the process may use.

    Returns:
        The estimate from n pairs; NaN where x or y is constant. Resamples on which one is constant are left out.

    Raises:
        ValueError: different lengths, fewer than 2 pairs, NaN, an argument out of range.
        TypeError: not real numbers.

    O(n) memory a thread and O(n) time a resample: ranks of a resample follow from how often each pair was drawn.

    Example:
        >>> print(spearman([1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 9.0, 16.0]))
        1.000 [1.000, 1.000]
    """
    return _correlation(_core.spearman, x, y, nan, level, resamples, seed, n_threads)


def pearson(
    x: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
    nan: Literal["raise", "omit"] = "raise",
    n_threads: int | None = None,
) -> Estimate:
    """Pearson's linear correlation; arguments, result and errors as of `spearman`, and infinite values are an error."""
    return _correlation(_core.pearson, x, y, nan, level, resamples, seed, n_threads)


def kendall(
    x: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
    nan: Literal["raise", "omit"] = "raise",
    n_threads: int | None = None,
) -> Estimate:
    """Kendall's tau-b, ties corrected; arguments, result and errors as of `spearman`. O(n log n) time a resample."""
    return _correlation(_core.kendall, x, y, nan, level, resamples, seed, n_threads)


def spearman_columns(
    x: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 0,
    n_threads: int | None = None,
) -> list[Estimate]:
    """Spearman's correlation of each column with one target, all columns at once: many proxies, one exact score.

    Args:
        x: (n, k) real numbers without NaN, NumPy or torch.
        y: (n,) likewise; sorted once.
        level: of the intervals, in (0, 1).
        seed: of the resamples, which are the same for all columns.
        resamples: of the bootstrap; 0: no intervals.
        n_threads: None: all that the process may use. Each takes four columns at a time and at most 64 n bytes.

    Returns:
        What `spearman` says of each of the k columns.

    Raises:
        ValueError: different lengths, fewer than 2 pairs, NaN, an argument out of range.
        TypeError: not real numbers.

    Example:
        >>> [found.value for found in spearman_columns([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], [1.0, 4.0, 9.0])]
        [1.0, -1.0]
    """
    columns, target = _arrays.scores(x, "x", "(n, k)"), _arrays.scores(y, "y")
    if len(columns) != len(target):
        raise ValueError(f"y: expected {len(columns)} values to match x, got {len(target)}")
    options = bootstrap_options(level, resamples, seed, n_threads)
    found = _core.spearman_columns(columns.reshape(-1), columns.shape[1], target, options)
    return [Estimate(*one, len(target)) for one in found]


def permutation_p(
    x: ArrayLike,
    y: ArrayLike,
    *,
    ranks: bool = True,
    permutations: int = 1000,
    seed: int = 0,
    nan: Literal["raise", "omit"] = "raise",
    n_threads: int | None = None,
) -> float:
    """How often pairs put together at random correlate as strongly: the p-value of no association, two-sided.

    ``(1 + #{|r| of shuffled pairs >= |r|}) / (1 + permutations)``, which is never 0 and holds its level exactly
    (Phipson & Smyth 2010). Sums are exact integers, so what ties make equal counts as equal: ranks are integers when
    doubled, and other values are rounded to 53 bits below the largest, 47 with 2^32 pairs.

    Args:
        x: (n,) real numbers, NumPy or torch.
        y: (n,) likewise.
        ranks: of Spearman's correlation; False: of Pearson's.
        permutations: how many, at least 1.
        seed: of the permutations; the same seed gives the same p for any number of threads.
        nan: what to do about NaN: "raise", or "omit" the pairs that hold one.
        n_threads: None: all that the process may use.

    Returns:
        The p-value; NaN where x or y is constant. O(n) memory a thread, O(n) time a permutation.

    Raises:
        ValueError: different lengths, fewer than 2 pairs, NaN, an argument out of range, infinite values with
            ``ranks=False``.
        TypeError: not real numbers.

    Example:
        >>> permutation_p(range(20), range(20), permutations=99)
        0.01
    """
    a, b = _pairs(x, y, nan)
    count = _arrays.count(permutations, "permutations", 1, MOST_RESAMPLES)
    options = count, _arrays.seed(seed), _arrays.threads(n_threads, len(a) * count)
    return _core.permutation_p(a, b, _arrays.flag(ranks, "ranks"), *options)


def average_ranks(x: ArrayLike, *, n_threads: int | None = None) -> Vector:
    """Ranks from 1, equal values sharing the mean of theirs.

    Args:
        x: (n,) real numbers without NaN.
        n_threads: None: all that the process may use.

    Returns:
        float64 (n,).

    Raises:
        ValueError: NaN.

    Example:
        >>> average_ranks([3.0, 1.0, 3.0]).tolist()
        [2.5, 1.0, 2.5]
    """
    return _core.average_ranks(_arrays.scores(x, "x"), _arrays.threads(n_threads))


def _correlation(
    kernel: Callable[..., tuple[float, float, float]],
    x: ArrayLike,
    y: ArrayLike,
    nan: str,
    level: float,
    resamples: int,
    seed: int,
    n_threads: int | None,
) -> Estimate:
    a, b = _pairs(x, y, nan)
    return Estimate(*kernel(a, b, bootstrap_options(level, resamples, seed, n_threads)), len(a))


def _pairs(x: ArrayLike, y: ArrayLike, nan: str) -> tuple[_arrays.Scores, _arrays.Scores]:
    a, b = _arrays.scores(x, "x"), _arrays.scores(y, "y")
    if _arrays.choice(nan, "nan", ("raise", "omit")) == "omit" and len(a) == len(b):
        known = ~(np.isnan(a) | np.isnan(b))
        a, b = a[known], b[known]
    return a, b
