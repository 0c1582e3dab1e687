"""What each training example does to each test example, from an ensemble of models trained on subsets."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.bits import BitMatrix
from unmemorize.ensemble.estimators import pair


def influence(
    member: ArrayLike | BitMatrix,
    test_correct: ArrayLike | BitMatrix,
    *,
    tests: slice = slice(None),
    n_threads: int | None = None,
) -> NDArray[np.float32]:
    """Influence of every training example on every test example: P[j correct | i in] - P[j correct | i out].

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i.
        test_correct: bool (T, m) or BitMatrix: whether model t gets test example j right.
        tests: Consecutive test examples; a loop over such slices sees the whole matrix without holding it.
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        float32 (m, n), m as many as ``tests`` names; NaN where every model was trained on the example, or none. The
        nearest float32 for T up to 8,000. Memory O(m n); see `influence_topk` for the largest values without it.

    Raises:
        ValueError: If the numbers of models differ, or ``tests`` has a step.
        TypeError: If an array is not bool.

    Source:
        Feldman & Zhang 2020 (arXiv 2008.03703), equation 2.

    Example:
        >>> influence(np.array([[True, False], [False, True]]), np.array([[True], [False]]))
        array([[ 1., -1.]], dtype=float32)
    """
    if not isinstance(tests, slice):
        raise TypeError(f"tests: expected a slice of the test examples, got {type(tests).__name__}")
    threads = _arrays.threads(n_threads)
    ours, theirs = pair(member, test_correct, "test_correct", threads)
    first, end, step = tests.indices(theirs.shape[1])
    if step != 1:
        raise ValueError(f"tests: expected consecutive test examples, got a step of {step}")
    values = np.empty((max(0, end - first), ours.shape[1]), np.float32)
    _core.influence(ours, theirs, first, values, threads)
    return values


def influence_topk(
    member: ArrayLike | BitMatrix,
    test_correct: ArrayLike | BitMatrix,
    k: int,
    *,
    by: Literal["value", "magnitude"] = "value",
    n_threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k training examples with the largest influence on each test example.

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i.
        test_correct: bool (T, m) or BitMatrix: whether model t gets test example j right.
        k: 1 to n.
        by: ``value``, the most helpful; or ``magnitude``, the most helpful or harmful.
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        Ids int64 (m, k) and values float32 (m, k), largest first, ties by id. Examples without an estimate are never
        among them: where fewer than k have one, the rest is id -1 with value NaN. Memory O(m k + T (n + m) / 8).

    Raises:
        ValueError: If the numbers of models differ, k is not in 1 to n, or ``by`` is unknown.
        TypeError: If an array is not bool.

    Example:
        >>> influence_topk(np.array([[True, False], [False, True]]), np.array([[True], [False]]), 1)
        (array([[0]]), array([[1.]], dtype=float32))
    """
    magnitude = _arrays.choice(by, "by", ("value", "magnitude")) == "magnitude"
    threads = _arrays.threads(n_threads)
    both = pair(member, test_correct, "test_correct", threads)
    return _core.influence_topk(*both, _arrays.count(k, "k"), magnitude, threads)


def influence_std_error(
    member: ArrayLike | BitMatrix,
    test_correct: ArrayLike | BitMatrix,
    ids: ArrayLike | None = None,
    *,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """The standard error of influences, by the formula of `memorization`.

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i.
        test_correct: bool (T, m) or BitMatrix: whether model t gets test example j right.
        ids: int (m, k), training examples for each test example, as `influence_topk` gives them; None: all.
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        float64 (m, k), or (m, n); NaN where there is no estimate, or the id is negative. Memory O(m k).

    Raises:
        ValueError: If the numbers of models or of test examples differ.
        IndexError: If an id is n or more.
        TypeError: If an array is not bool or the ids are not integers.

    Example:
        >>> member, right = np.array([[True], [True], [False], [False]]), np.array([[True], [True], [True], [False]])
        >>> influence_std_error(member, right).round(3)
        array([[0.441]])
    """
    threads = _arrays.threads(n_threads)
    both = pair(member, test_correct, "test_correct", threads)
    rows = None if ids is None else _arrays.integers(ids, "ids", "(m, k)")
    if rows is not None and len(rows) != both[1].shape[1]:
        raise ValueError(f"ids: expected {both[1].shape[1]} rows to match the test examples, got {len(rows)}")
    return _core.influence_std_error(*both, rows, threads)
