"""Correlations, means and shares with their intervals: every number that is reported carries one, and its n."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core

Vector = NDArray[np.float64]
MOST_RESAMPLES = 10_000_000  # more are taken for a slip
Statistic = Literal["mean", "median"] | Callable[[Vector], float]


@dataclass(frozen=True)
class Estimate:
    """A number, its interval and how many observations it is from.

    Args:
        value: the estimate.
        low: lower end of the interval; NaN where there is none.
        high: upper end.
        n: number of observations.

    Example:
        >>> print(Estimate(0.8612, 0.8449, 0.8763, 1000))
        0.861 [0.845, 0.876]
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3f} (n = {self.n}, no interval)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_dict(self) -> dict[str, float | int | None]:
        """What JSON can hold: NaN becomes None."""
        return {key: None if math.isnan(value) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        known: dict[str, Any] = {key: math.nan if value is None else value for key, value in content.items()}
        return cls(**known)


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
        n_threads: None: all that the process may use. O(n) memory each.

    Returns:
        What `spearman` says of each of the k columns.

    Raises:
        ValueError: different lengths, fewer than 2 pairs, NaN, an argument out of range.
        TypeError: not real numbers.

    Example:
        >>> [found.value for found in spearman_columns([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], [1.0, 4.0, 9.0])]
        [1.0, -1.0]
    """
    columns, target = _arrays.vector_f64(x, "x", "(n, k)"), _arrays.vector_f64(y, "y")
    if len(columns) != len(target):
        raise ValueError(f"y: expected {len(columns)} values to match x, got {len(target)}")
    options = _level(level), _resamples(resamples), _arrays.seed(seed), _arrays.threads(n_threads)
    return [Estimate(*found, len(target)) for found in _core.spearman_columns(columns, target, *options)]


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
    return _core.average_ranks(_arrays.vector_f64(x, "x"), _arrays.threads(n_threads))


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
        statistic: "mean", "median", or a function of float64 (n,), which is called in Python once a resample.
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
    known: dict[Any, Callable[..., tuple[float, float, float]]] = {"mean": _core.mean, "median": _core.median}
    if not callable(statistic) and statistic not in known:
        raise ValueError(f"statistic: expected a function, {', '.join(map(repr, known))}, got {statistic!r}")
    found = partial(_resampled, statistic) if callable(statistic) else known[statistic]
    resamples = _resamples(resamples) if len(x) > 1 else 0
    return Estimate(*found(x, _level(level), resamples, _arrays.seed(seed), _arrays.threads(n_threads)), len(x))


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
    x = _some(values)
    n = len(x)
    half = t_quantile(_level(level), n - 1) * float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    mean = float(x.mean())
    return Estimate(mean, mean - half, mean + half, n)


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Estimate:
    """A share with the exact interval of Clopper & Pearson (1934), which holds its level for any n.

    Args:
        successes: 0 to n.
        n: number of trials, at least 1.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> print(proportion_interval(9, 10))
        0.900 [0.555, 0.997]
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes: expected 0 to n with n >= 1, got {successes} of {n}")
    tail = (1 - _level(level)) / 2
    low = _root(lambda p: _at_least(successes, n, p) - tail) if successes > 0 else 0.0
    high = _root(lambda p: _at_least(successes + 1, n, p) - (1 - tail)) if successes < n else 1.0
    return Estimate(successes / n, low, high, n)


def t_quantile(level: float, df: int) -> float:
    """The t with P[|T| <= t] = level for Student's distribution with df degrees of freedom.

    With θ = atan(t / sqrt(df)) the probability is a finite sum of powers of cos θ (Abramowitz & Stegun 26.7.3 and
    26.7.4), and increases with θ. O(df) time and memory.
    """
    first = np.arange(df % 2 + 1, df - 1, 2)
    ratios = first / (first + 1)  # 1/2, 3/4, ... or 2/3, 4/5, ...

    def probability(angle: float) -> float:
        sine, cosine = math.sin(angle), math.cos(angle)
        series = 1 + float(np.cumprod(ratios * cosine**2).sum())
        if df % 2 == 0:
            return sine * series
        return 2 / math.pi * (angle + (sine * cosine * series if df > 1 else 0.0))

    return math.sqrt(df) * math.tan(_root(lambda angle: probability(angle) - level, math.pi / 2))


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
    a, b = _arrays.vector_f64(x, "x"), _arrays.vector_f64(y, "y")
    if nan not in ("raise", "omit"):
        raise ValueError(f"nan: expected 'raise' or 'omit', got {nan!r}")
    if nan == "omit" and len(a) == len(b):
        known = ~(np.isnan(a) | np.isnan(b))
        a, b = a[known], b[known]
    resamples, seed = _resamples(resamples), _arrays.seed(seed)
    return Estimate(*kernel(a, b, _level(level), resamples, seed, _arrays.threads(n_threads)), len(a))


def _resampled(
    statistic: Callable[[Vector], float], x: Vector, level: float, resamples: int, seed: int, n_threads: int
) -> tuple[float, float, float]:
    """The same resamples as those of the core, one after another: a Python function holds the GIL."""
    drawn = (np.repeat(x, _core.resample_counts(len(x), seed, b)) for b in range(resamples))
    values = np.array([float(statistic(resample)) for resample in drawn])
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) if len(values) else (math.nan, math.nan)
    return float(statistic(x)), float(low), float(high)


def _some(values: ArrayLike) -> Vector:
    x = _arrays.vector_f64(values, "values")
    if not len(x):
        raise ValueError("values: expected at least 1, got 0")
    if unknown := int(np.isnan(x).sum()):
        raise ValueError(f"values: {unknown} of {len(x)} are NaN; leave them out first")
    return x


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share in (0, 1), got {level}")
    return level


def _resamples(resamples: int) -> int:
    count = _arrays.count(resamples, "resamples", 0)
    if count > MOST_RESAMPLES:
        raise ValueError(f"resamples: expected at most {MOST_RESAMPLES}, got {count}")
    return count


def _at_least(successes: int, n: int, p: float) -> float:
    """P[X >= successes] of n trials with probability p in (0, 1): the sum of its terms."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(successes, n + 1)
    log_choose = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    return float(np.exp(log_choose + k * math.log(p) + (n - k) * math.log1p(-p)).sum())


def _root(increasing: Callable[[float], float], high: float = 1.0) -> float:
    """Where an increasing function is 0 between 0 and `high`, to the last bit, by bisection."""
    low = 0.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if increasing(middle) < 0 else (low, middle)
    return middle
