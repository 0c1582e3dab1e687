"""What an ensemble of models trained on subsets says of its training examples."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.bits import BitMatrix
from unmemorize.stats import Estimate

TOGETHER = 64  # models whose confidence is added in one call, which Ctrl-C has to wait for


@dataclass(frozen=True)
class Memorization:
    """Memorization of each training example; row i is example i.

    Attributes:
        score: float64 (n,) in [-1, 1], higher = more memorized; NaN where there is no estimate.
        std_error: float64 (n,), its standard error; NaN where there is no estimate.
        n_in: int64 (n,), models that were trained on the example.
        n_out: int64 (n,), models that were not.
    """

    score: NDArray[np.float64]
    std_error: NDArray[np.float64]
    n_in: NDArray[np.int64]
    n_out: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)


def pair(
    member: ArrayLike | BitMatrix, other: ArrayLike | BitMatrix, name: str, threads: int
) -> tuple[_core.BitMatrix, _core.BitMatrix]:
    """Both matrices packed; ``name`` is what error messages call the other one."""
    return (
        BitMatrix.pack(member, n_threads=threads, name="member").core,
        BitMatrix.pack(other, n_threads=threads, name=name).core,
    )


def memorization(
    member: ArrayLike | BitMatrix,
    correct: ArrayLike | BitMatrix,
    *,
    legacy: bool = False,
    n_threads: int | None = None,
) -> Memorization:
    """Memorization of each training example: P[correct | member] - P[correct | not a member].

    The standard error is ``sqrt(p_in (1 - p_in) / n_in + p_out (1 - p_out) / n_out)`` with each
    ``p = (right + 1/2) / (models + 1)`` (Jeffreys), so that an example that every model gets right does not claim an
    error of 0.

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i.
        correct: bool (T, n) or BitMatrix: whether model t gets example i right.
        legacy: Count a share over no model as 0, as the code published with the papers does. Such an example then
            scores about 1 (every model was trained on it) or less than 0 (none was).
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        The scores. NaN for an example that every model was trained on, or none. Memory O(n) beside the packed inputs.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If an array is not bool.

    Source:
        Feldman & Zhang 2020 (arXiv 2008.03703), equation 1 and section 2.2.

    Example:
        >>> member = np.array([[True, True], [True, False], [False, True], [False, False]])
        >>> correct = np.array([[True, True], [True, True], [False, True], [False, True]])
        >>> memorization(member, correct).score
        array([1., 0.])
    """
    threads = _arrays.threads(n_threads)
    both, legacy = pair(member, correct, "correct", threads), _arrays.flag(legacy, "legacy")
    return Memorization(*_core.memorization(*both, legacy, threads))


def soft_memorization(
    member: ArrayLike | BitMatrix, confidence: Iterable[ArrayLike], *, n_threads: int | None = None
) -> Memorization:
    """Memorization by how sure the models are: mean p[y] of the models trained on the example minus that of the others.

    Few models say more this way than by being right or wrong. The standard error is that of the difference of two
    means, ``sqrt(s_in^2 / n_in + s_out^2 / n_out)`` with the unbiased variances s^2 of p[y] on each side.

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i. T at least 1.
        confidence: p[y], the softmax of the true label, (T, n), or an iterable that yields (n,) for each model in
            order. A few models are taken at a time; any real dtype, in [0, 1].
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        The scores. NaN for an example that every model was trained on, or none; the standard error is NaN where a side
        has fewer than 2 models, too. Memory O(n), beside member as bool.

    Raises:
        ValueError: If a shape does not fit, a value is not in [0, 1], or the number of models differs.
        TypeError: If ``member`` is not bool or ``confidence`` are not real numbers.

    Example:
        >>> member = np.array([[True], [True], [False], [False]])
        >>> soft_memorization(member, np.array([[0.9], [0.7], [0.5], [0.3]])).score.round(3)
        array([0.4])
    """
    threads = _arrays.threads(n_threads)
    rows = member.unpack(n_threads=threads) if isinstance(member, BitMatrix) else _arrays.matrix_bool(member, "member")
    gathered, models = _core.SoftMemorization(rows.shape[1]), 0
    for p in _in_blocks(confidence):
        if models + len(p) > len(rows) or p.shape[1] != rows.shape[1]:
            raise ValueError(
                f"confidence: expected {len(rows)} models of {rows.shape[1]} examples to match member, "
                f"got {models + len(p)} of {p.shape[1]}"
            )
        gathered.add(rows[models : models + len(p)], p, threads)
        models += len(p)
    if models != len(rows):
        raise ValueError(f"confidence: expected {len(rows)} models to match member, got {models}")
    return Memorization(*gathered.finish())


def c_score(
    member: ArrayLike | BitMatrix, correct: ArrayLike | BitMatrix, *, n_threads: int | None = None
) -> NDArray[np.float64]:
    """The C-score of each training example: P[correct | not a member].

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i.
        correct: bool (T, n) or BitMatrix: whether model t gets example i right.
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        float64 (n,) in [0, 1]; NaN where every model was trained on the example.

    Raises:
        ValueError: If the shapes differ.
        TypeError: If an array is not bool.

    Source:
        Jiang et al. 2021 (arXiv 2002.03206).

    Example:
        >>> c_score(np.array([[True], [False], [False]]), np.array([[True], [True], [False]]))
        array([0.5])
    """
    threads = _arrays.threads(n_threads)
    return _core.c_score(*pair(member, correct, "correct", threads), threads)


def reliability(
    member: ArrayLike | BitMatrix,
    correct: ArrayLike | BitMatrix,
    *,
    of: str = "memorization",
    splits: int = 20,
    seed: int = 0,
    n_threads: int | None = None,
) -> Estimate:
    """How well the scores would agree with those of another ensemble of the same size.

    The models are halved at random, ``splits`` times. r is Spearman's correlation of the scores from the two halves,
    over the examples with an estimate in both, stepped up to the full number of models by Spearman-Brown:
    ``2 r / (1 + r)``. It is the ceiling of any proxy's correlation with the scores.

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i. T at least 4.
        correct: bool (T, n) or BitMatrix: whether model t gets example i right.
        of: Which scores: "memorization" or "c_score".
        splits: Random halvings, at least 1.
        seed: Of the halvings.
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        Mean over the halvings; low and high bound the middle 95% of them; n is the least number of examples that a
        halving had. NaN where no halving had a correlation.

    Raises:
        ValueError: If the shapes differ, there are fewer than 4 models, splits is 0, or no score has this name.
        TypeError: If an array is not bool.

    Example:
        >>> random = np.random.default_rng(0)
        >>> member, easy = random.random((40, 200)) < 0.7, random.random(200) < 0.5
        >>> reliability(member, member | easy).value
        1.0
    """
    of, threads = _arrays.choice(of, "of", ("memorization", "c_score")), _arrays.threads(n_threads)
    if of == "c_score":  # where every member is right, memorization is 1 - C-score
        member = BitMatrix.pack(member, n_threads=threads, name="member")
        correct = member | BitMatrix.pack(correct, n_threads=threads, name="correct")
    values, n = _core.reliability(
        *pair(member, correct, "correct", threads), _arrays.count(splits, "splits"), _arrays.seed(seed), threads
    )
    values = values[~np.isnan(values)]
    if not values.size:
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high), n)


def out_of_sample(
    member: ArrayLike | BitMatrix, probs: Iterable[ArrayLike], *, n_threads: int | None = None
) -> NDArray[np.float64]:
    """What the models that have not seen an example say about it: their mean softmax.

    Args:
        member: bool (T, n) or BitMatrix: whether model t was trained on example i. T at least 1.
        probs: Probabilities (T, n, C), or an iterable that yields (n, C) for each model in order; one is held at a
            time. float16, bfloat16, float32 or float64 in [0, 1].
        n_threads: Threads to use; None means all that the process may use.

    Returns:
        float64 (n, C); NaN where every model was trained on the example. Memory O(n C).

    Raises:
        ValueError: If a shape does not fit, a value is not in [0, 1], or the number of models differs.
        TypeError: If ``member`` is not bool or ``probs`` are not floating point.

    Example:
        >>> member = np.array([[True, False], [False, False]])
        >>> out_of_sample(member, np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.25, 0.75], [1.0, 0.0]]]))
        array([[0.25, 0.75],
               [0.75, 0.25]])
    """
    threads = _arrays.threads(n_threads)
    rows = member.unpack(n_threads=threads) if isinstance(member, BitMatrix) else _arrays.matrix_bool(member, "member")
    gathered, models = None, 0
    for model in _one_by_one(probs, "probs", "(T, n, C), or an iterable of (n, C) for each model"):
        array = _arrays.logits(model, "probs", "(n, C) for each model")
        if models == len(rows):
            raise ValueError(f"probs: expected {len(rows)} models to match member, got more")
        if gathered is None:
            if len(array) != rows.shape[1]:
                raise ValueError(f"probs: expected {rows.shape[1]} examples to match member, got {len(array)}")
            gathered = _core.OutOfSample(*array.shape)
        gathered.add(rows[models], array, threads)
        models += 1
    if gathered is None or models != len(rows):
        raise ValueError(f"probs: expected {len(rows)} models (at least 1) to match member, got {models}")
    return gathered.mean(threads)


def _in_blocks(confidence: Iterable[ArrayLike]) -> Iterator[NDArray[Any]]:
    """(k, n) of some models at a time."""
    if (isinstance(confidence, np.ndarray) or _arrays.is_tensor(confidence)) and confidence.ndim == 2:
        for first in range(0, len(confidence), TOGETHER):
            yield _arrays.probabilities(confidence[first : first + TOGETHER], "confidence", "(T, n)")
    else:
        for model in _one_by_one(confidence, "confidence", "(T, n), or an iterable of (n,) for each model"):
            yield _arrays.probabilities(model, "confidence")[None]


def _one_by_one(models: Iterable[ArrayLike], name: str, expected: str) -> Iterator[ArrayLike]:
    try:
        return iter(models)
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {type(models).__name__}") from None
