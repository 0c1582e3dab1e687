"""Correlations with ties, and whether there is any."""

import math
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


def permutation_p(x: ArrayLike, y: ArrayLike, *, ranks: bool = True, permutations: int = 1000, seed: int = 0) -> float:
    """How often pairs put together at random correlate as strongly: the p-value of no association, two-sided.

    ``(1 + #{|r| of shuffled pairs >= |r|}) / (1 + permutations)``, which is never 0 and holds its level exactly
    (Phipson & Smyth 2010).

    Args:
        x: (n,) real numbers without NaN, NumPy or torch.
        y: (n,) likewise.
        ranks: of Spearman's correlation; False: of Pearson's.
        permutations: how many, at least 1.
        seed: of the permutations.

    Returns:
        The p-value; NaN where x or y is constant. O(n) memory, O(n) time a permutation.

    Raises:
        ValueError: different lengths, fewer than 2 pairs, NaN, infinite values with ``ranks=False``.

    Example:
        >>> permutation_p(range(20), range(20), permutations=99)
        0.01
    """
    ranks = _arrays.flag(ranks, "ranks")
    observed = (spearman if ranks else pearson)(x, y, resamples=0).value
    if math.isnan(observed):
        return math.nan
    a, b = (average_ranks(v) if ranks else _arrays.vector_f64(v, "x") for v in (x, y))
    a, b = (v / np.abs(v).max() for v in (a, b))
    a, b = a - a.mean(), b - b.mean()
    strength = abs(float(a @ b)) * (1 - 1e-12)  # a sum in another order is as strong
    random = np.random.Generator(np.random.PCG64(_arrays.seed(seed)))
    count = _arrays.count(permutations, "permutations", 1, MOST_RESAMPLES)
    as_strong = sum(abs(float(a @ random.permutation(b))) >= strength for _ in range(count))
    return (1 + as_strong) / (1 + count)


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
    a, b = _arrays.scores(x, "x"), _arrays.scores(y, "y")
    if _arrays.choice(nan, "nan", ("raise", "omit")) == "omit" and len(a) == len(b):
        known = ~(np.isnan(a) | np.isnan(b))
        a, b = a[known], b[known]
    return Estimate(*kernel(a, b, bootstrap_options(level, resamples, seed, n_threads)), len(a))
