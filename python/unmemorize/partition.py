"""Cutting examples by score, and drawing them by seed.

Examples are ordered by score and then by position, so ties never depend on the machine, on the number of threads or on
a sorting routine.

Memory beside the inputs and the result, in bytes: 3 n for up to 17 strata, 16 n to sort for more and in `argsort`,
40 n to tell groups apart; for all others 2 n, and 16 for each example that is chosen.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core

Ids = NDArray[np.int64]


def strata(score: ArrayLike, k: int, *, by: ArrayLike | None = None, n_threads: int | None = None) -> Ids:
    """Quantile strata: the lowest n // k scores are in stratum 0, the highest in k - 1; ties by position.

    Where k does not divide n, each of the last n % k strata has one example more.

    Args:
        score: (n,) real numbers without NaN, NumPy or torch.
        k: number of strata, at most the number of examples (of the smallest group).
        by: (n,) groups, for instance labels: strata are cut within each group.
        n_threads: None: all that the process may use.

    Returns:
        int64 (n,) in 0..k-1.

    Raises:
        ValueError: NaN (names the first), k out of range, `by` of another length.
        TypeError: scores that are not real, groups that are neither numbers nor strings.

    O(n) time for up to 17 strata, and 3 n bytes beside the result; for more strata, a sort of 16 n bytes. To tell
    groups apart takes 40 n bytes, and by names a sort.

    Example:
        >>> strata([0.1, 0.9, 0.5, 0.5, 0.2], 2).tolist()
        [0, 1, 1, 1, 0]
    """
    x, threads = _arrays.scores(score, "score"), _arrays.threads(n_threads)
    if by is None:
        return _core.strata(x, _arrays.count(k, "k"), threads)
    return _core.strata_within(x, *_arrays.groups(by, "by"), _arrays.count(k, "k"), threads)


def argsort(score: ArrayLike, *, n_threads: int | None = None) -> Ids:
    """Positions in the order of their scores, ties by position. 16 bytes a score beside the result.

    Args:
        score: (n,) real numbers without NaN, NumPy or torch.
        n_threads: None: all that the process may use.

    Returns:
        int64 (n,), a permutation of 0..n-1.

    Raises:
        ValueError: NaN (names the first).
        TypeError: scores that are not real.

    Example:
        >>> argsort([0.5, 0.1, 0.5]).tolist()
        [1, 0, 2]
    """
    return _core.argsort(_arrays.scores(score, "score"), _arrays.threads(n_threads))


def lowest(score: ArrayLike, size: int, *, n_threads: int | None = None) -> Ids:
    """Positions (size,) of the lowest scores, ascending; among equal scores the first.

    Raises:
        ValueError: NaN, or a size larger than n.

    Example:
        >>> lowest([0.5, 0.1, 0.5, 0.9], 2).tolist()
        [0, 1]
    """
    return _core.lowest(_arrays.scores(score, "score"), _arrays.count(size, "size", 0), _arrays.threads(n_threads))


def highest(score: ArrayLike, size: int, *, n_threads: int | None = None) -> Ids:
    """Positions (size,) of the highest scores, ascending; among equal scores the last.

    So no position is among the `lowest` too where both fit.

    Raises:
        ValueError: NaN, or a size larger than n.

    Example:
        >>> highest([0.5, 0.1, 0.5, 0.9], 2).tolist()
        [2, 3]
    """
    return _core.highest(_arrays.scores(score, "score"), _arrays.count(size, "size", 0), _arrays.threads(n_threads))


def nearest(score: ArrayLike, value: float, size: int, *, n_threads: int | None = None) -> Ids:
    """Positions (size,) of the scores nearest to `value`, ascending; among equally near ones the first.

    Raises:
        ValueError: NaN, or a size larger than n.

    Example:
        >>> nearest([0.5, 0.1, 0.5, 0.9], 0.5, 1).tolist()
        [0]
    """
    x = _arrays.scores(score, "score")
    return _core.nearest(x, _arrays.number(value, "value"), _arrays.count(size, "size", 0), _arrays.threads(n_threads))


def sample(n: int, size: int, seed: int, *, n_threads: int | None = None) -> Ids:
    """`size` of the numbers 0..n-1, drawn without replacement, ascending; the same on every machine.

    Args:
        n: how many numbers there are.
        size: how many are drawn, at most n.
        seed: 0 to 2^64 - 1.
        n_threads: None: all that the process may use.

    Returns:
        int64 (size,).

    Raises:
        ValueError: a size larger than n.

    Example:
        >>> sample(100, 3, seed=0).tolist()
        [28, 29, 90]
    """
    return _core.sample(
        _arrays.count(n, "n", 0), _arrays.count(size, "size", 0), _arrays.seed(seed), _arrays.threads(n_threads)
    )


def random_strata(n: int, k: int, seed: int, *, n_threads: int | None = None) -> Ids:
    """Random strata with the sizes of `strata`; the same on every machine.

    Args:
        n: how many examples there are.
        k: number of strata, at most n.
        seed: 0 to 2^64 - 1.
        n_threads: None: all that the process may use.

    Returns:
        int64 (n,) in 0..k-1.

    Raises:
        ValueError: k outside 1..n.

    Example:
        >>> random_strata(5, 2, seed=0).tolist()
        [1, 0, 0, 1, 1]
    """
    return _core.random_strata(
        _arrays.count(n, "n", 0), _arrays.count(k, "k"), _arrays.seed(seed), _arrays.threads(n_threads)
    )
