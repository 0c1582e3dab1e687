"""Which training examples each model of an ensemble sees.

A design is a function of its arguments alone, down to the bit, on every platform and with every version of NumPy: it
draws raw 64-bit words from PCG64, whose stream is fixed. So the arguments are all that needs to be kept to have it
again.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import wraps
from itertools import chain
from math import floor
from typing import ParamSpec

import numpy as np
from numpy.random import PCG64
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, partition

Row = NDArray[np.bool_]
_P = ParamSpec("_P")

DESIGNS: dict[str, Callable[..., NDArray[np.bool_]]] = {}
"""The designs by name; each returns bool (T, n), True: in the subset."""

ROWS: dict[str, Callable[..., Iterator[Row]]] = {}
"""The same, one row at a time: memory O(n)."""


def _design(rows: Callable[_P, Iterator[Row]]) -> Callable[_P, NDArray[np.bool_]]:
    """What is written row by row is called for the whole matrix."""

    @wraps(rows)
    def member(*args: _P.args, **options: _P.kwargs) -> NDArray[np.bool_]:
        drawn = rows(*args, **options)
        first = next(drawn)
        return np.fromiter(chain((first,), drawn), np.dtype((np.bool_, len(first))))

    ROWS[rows.__name__], DESIGNS[rows.__name__] = rows, member
    return member


@_design
def balanced(n: int, models: int, ratio: float = 0.7, seed: int = 0) -> Iterator[Row]:
    """Random subsets that leave every example out equally often.

    Every example is out of exactly ``models * (1 - ratio)`` models if that is a whole number, else of that many
    rounded down or up; every subset has ``ratio * n`` examples, rounded down or up. A few models then give every
    example an estimate, and the same number of votes. Otherwise the subsets are random: two examples are left out
    together as often as chance has it.

    Where ``models`` is a multiple of the ratio's denominator, the design consists of blocks of that many models, each
    balanced by itself: of 100 models at ratio 0.7 = 7/10 every ten leave each example out three times, so the first
    ten are a design too.

    Args:
        n: Training examples.
        models: Subsets (T).
        ratio: Share of the examples in each subset, above 0 and below 1, taken as the decimal number that is written.
        seed: Of the draw.

    Returns:
        bool (T, n), True: in the subset. Time O(T n log n), memory O(T n).

    Raises:
        ValueError: A size or the ratio is out of range, or a subset would be empty or the whole set.

    Example:
        >>> member = balanced(1000, 100, 0.7)
        >>> set(member.sum(axis=1).tolist()), set((~member).sum(axis=0).tolist())
        ({700}, {30})
        >>> set((~member[:10]).sum(axis=0).tolist())
        {3}
    """
    out = 1 - _share(n, models, ratio)
    block = out.denominator if models % out.denominator == 0 else models
    draw = PCG64(seed)
    for _ in range(0, models, block):
        yield from _leave_out(n, block, out, draw)


def _leave_out(n: int, models: int, out: Fraction, draw: PCG64) -> Iterator[Row]:
    """A block: each model leaves out a systematic sample, drawn in random order, in whole numbers.

    An example's probability of being drawn is how often it has still to be left out, by the models that are left.
    """
    least, more = divmod(round(n * models * out), n)
    owed = np.full(n, least, dtype=np.int64)  # how often each example has still to be left out
    owed[_order(draw, n)[:more]] += 1
    for left in range(models, 0, -1):
        order = _order(draw, n)
        # Every example owns a piece of a line, as long as what it owes, and every left-th step of the line is drawn,
        # from a random start. Nobody owes more than `left`, so nobody is drawn twice; who owes that much is drawn.
        start = draw.random_raw() % left
        drawn = order[np.diff((np.cumsum(owed[order]) + (left - 1 - start)) // left, prepend=0) > 0]
        row = np.ones(n, dtype=np.bool_)
        row[drawn] = False
        owed[drawn] -= 1
        yield row


@_design
def independent(n: int, models: int, ratio: float = 0.7, seed: int = 0) -> Iterator[Row]:
    """Independent uniformly random subsets of ``floor(ratio * n)`` examples (Feldman & Zhang 2020).

    With few models some examples are in all subsets, or in none, and have no estimate; `balanced` has none of these.

    Args:
        n: Training examples.
        models: Subsets (T).
        ratio: Share of the examples in each subset, above 0 and below 1, taken as the decimal number that is written.
        seed: Of the draw.

    Returns:
        bool (T, n), True: in the subset. Memory O(T n).

    Raises:
        ValueError: A size or the ratio is out of range, or a subset would be empty.

    Example:
        >>> independent(10, 3, 0.7).sum(axis=1)
        array([7, 7, 7])
    """
    size = floor(_share(n, models, ratio) * n)
    draw = PCG64(seed)
    for _ in range(models):
        row = np.zeros(n, dtype=np.bool_)
        row[_order(draw, n)[:size]] = True
        yield row


@_design
def pairs(n: int, models: int, ratio: float = 0.5, seed: int = 0) -> Iterator[Row]:
    """Complementary pairs (Carlini et al. 2022, LiRA): a random half, then the other half.

    So every example is in exactly half of the models. Of an odd number the second of a pair sees one example more.

    Args:
        n: Training examples.
        models: Subsets (T), an even number.
        ratio: 0.5, the only one that a subset and its complement share.
        seed: Of the draw.

    Returns:
        bool (T, n), True: in the subset; row 2 k + 1 is the complement of row 2 k. Memory O(T n).

    Raises:
        ValueError: A size is out of range, ``models`` is odd, or the ratio is not 0.5.

    Example:
        >>> member = pairs(10, 4)
        >>> member.sum(axis=1), (member[0] ^ member[1]).all()
        (array([5, 5, 5, 5]), np.True_)
    """
    if ratio != 0.5 or models % 2:
        raise ValueError(f"pairs: expected ratio 0.5 and an even number of models, got {ratio} and {models}")
    for row in ROWS["independent"](n, models // 2, ratio, seed):
        yield row
        yield ~row


@_design
def targeted(n: int, models: int, ratio: float = 0.5, seed: int = 0, *, ids: ArrayLike) -> Iterator[Row]:
    """Only the candidates are ever left out, in a balanced design of their own; all else is in every subset.

    Examples that are hardly memorized need no exact score to be known for that. Leaving out a tenth of the set only,
    each model sees at least nine tenths of it: what it says of an example that it has not seen is then nearer to what
    retraining without that example says than after a 70% subset, and half of the models can leave each candidate out.

    Args:
        n: Training examples.
        models: Subsets (T).
        ratio: Share of the candidates in each subset.
        seed: Of the draw.
        ids: The candidates, for instance `likely_memorized`; at least 2, each once. Other examples get no score.

    Returns:
        bool (T, n), True: in the subset. Memory O(T n).

    Raises:
        ValueError: As `balanced`, or an id occurs twice.
        IndexError: An id is out of range.

    Example:
        >>> targeted(6, 2, ids=[1, 4]).sum(axis=0)
        array([2, 1, 2, 2, 1, 2])
    """
    candidates = np.sort(_arrays.distinct(ids, "ids", n))
    for chosen in ROWS["balanced"](len(candidates), models, ratio, seed):
        row = np.ones(n, dtype=np.bool_)
        row[candidates] = chosen
        yield row


@_design
def leave_out(n: int, models: int, *, ids: ArrayLike) -> Iterator[Row]:
    """Oracles of a forget set: every model sees all but its examples; they differ by their seeds alone.

    Args:
        n: Training examples.
        models: Oracles (T).
        ids: The forget set, each id once.

    Returns:
        bool (T, n), True: in the retain set. Memory O(T n).

    Raises:
        ValueError: A size is out of range, an id occurs twice, or nothing would be left.
        IndexError: An id is out of range.

    Example:
        >>> leave_out(4, 1, ids=[2])
        array([[ True,  True, False,  True]])
    """
    row = np.ones(n, dtype=np.bool_)
    row[_arrays.distinct(ids, "ids", n)] = False
    if not row.any():
        raise ValueError(f"ids: leaving out {n} of {n} examples leaves none to train on")
    for _ in range(_arrays.count(models, "models")):
        yield row.copy()


def likely_memorized(score: ArrayLike, share: float = 0.1) -> NDArray[np.int64]:
    """Candidates for `targeted`: the given share of the examples with the highest scores, ascending by id.

    Args:
        score: (n,), higher = more memorized, without NaN: a proxy, or the exact scores of a few models.
        share: Above 0 and at most 1.

    Raises:
        ValueError: The share is out of range, or a score is NaN.

    Example:
        >>> likely_memorized([0.1, 0.9, 0.3, 0.8], 0.5)
        array([1, 3])
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a share above 0 and at most 1, got {share}")
    values = _arrays.vector_f64(score, "score")
    return partition.highest(values, round(share * len(values)))


def _share(n: int, models: int, ratio: float) -> Fraction:
    """The ratio as the decimal number that the caller wrote: 0.7 of 10 is 7, not 6.99."""
    if n < 2:
        raise ValueError(f"n: expected at least 2 training examples, got {n}")
    if models < 1:
        raise ValueError(f"models: expected at least 1, got {models}")
    if not 0 < ratio < 1:
        raise ValueError(f"ratio: expected a share above 0 and below 1, got {ratio}")
    share = Fraction(repr(float(ratio)))
    if not 1 <= share * n <= n - 1:
        raise ValueError(f"ratio: {ratio} of {n} examples puts none or all of them into a subset")
    return share


def _order(draw: PCG64, n: int) -> NDArray[np.int64]:
    """A uniformly random order of 0..n-1."""
    return np.argsort(draw.random_raw(n), kind="stable")
