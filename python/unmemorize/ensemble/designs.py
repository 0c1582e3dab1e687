"""Which training examples each model of an ensemble sees.

A design is a function of its arguments alone, down to the bit, on every platform and with every version of NumPy: it
draws raw 64-bit words from PCG64, whose stream is fixed. So the arguments are all that needs to be kept to have it
again.
"""

from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
from numpy.random import PCG64
from numpy.typing import NDArray


def balanced(n: int, models: int, ratio: float = 0.7, seed: int = 0) -> NDArray[np.bool_]:
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
    member = np.empty((models, n), dtype=np.bool_)
    for first in range(0, models, block):
        _leave_out(member[first : first + block], out, draw)
    return member


def _leave_out(member: NDArray[np.bool_], out: Fraction, draw: PCG64) -> None:
    """Fill a block: each model leaves out a systematic sample, drawn in random order, in whole numbers.

    An example's probability of being drawn is how often it has still to be left out, by the models that are left.
    """
    models, n = member.shape
    least, more = divmod(round(n * models * out), n)
    owed = np.full(n, least, dtype=np.int64)  # how often each example has still to be left out
    owed[_order(draw, n)[:more]] += 1
    for left, row in zip(range(models, 0, -1), member, strict=True):
        order = _order(draw, n)
        # Every example owns a piece of a line, as long as what it owes, and every left-th step of the line is drawn,
        # from a random start. Nobody owes more than `left`, so nobody is drawn twice; who owes that much is drawn.
        start = draw.random_raw() % left
        drawn = order[np.diff((np.cumsum(owed[order]) + (left - 1 - start)) // left, prepend=0) > 0]
        row[:] = True
        row[drawn] = False
        owed[drawn] -= 1


def independent(n: int, models: int, ratio: float = 0.7, seed: int = 0) -> NDArray[np.bool_]:
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
    member = np.zeros((models, n), dtype=np.bool_)
    for row in member:
        row[_order(draw, n)[:size]] = True
    return member


DESIGNS: dict[str, Callable[[int, int, float, int], NDArray[np.bool_]]] = {
    "balanced": balanced,
    "independent": independent,
}


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
