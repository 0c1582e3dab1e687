"""Which examples a score chooses: ends and middles of the order by score and id."""

import numpy as np
from numpy.typing import NDArray

from unmemorize import _arrays, partition
from unmemorize.forget_set.checks import check_strata

Ids = NDArray[np.int64]
Vector = NDArray[np.float64]


def choose(x: Vector, size: int, strata: int, rule: str, medium: str | float) -> tuple[Ids, Ids]:
    """Choose examples from one or more places in the order of their scores.

    Args:
        x: float64 (n,), no NaN.
        size: number of examples, all strata together. Where strata do not divide it, the last have one more each.
        strata: number of strata.
        rule: "low-medium-high": the lowest, the highest, and those nearest to `medium` among what these two leave, each
            a stratum (with strata=2: low and high); "low", "high", "medium": one of these alone, in quantile strata.
        medium: "median" of all scores or a number.

    Returns:
        Positions, ascending, and the stratum of each; both int64 (size,).

    Raises:
        ValueError: a size or a number of strata that cannot be had, an unknown rule.
    """
    size = _arrays.count(size, "size")
    if size > len(x):
        raise ValueError(f"size: expected 1 to {len(x)}, the number of scores, got {size}")
    strata = check_strata(strata, size)
    middle = _middle(x, medium)
    alone = {
        "low": lambda: partition.lowest(x, size),
        "medium": lambda: partition.nearest(x, middle, size),
        "high": lambda: partition.highest(x, size),
    }
    if rule in alone:
        positions = alone[rule]()
        return positions, partition.strata(x[positions], strata)
    if rule != "low-medium-high":
        raise ValueError(f"rule: expected low-medium-high, {', '.join(alone)}, got {rule!r}")
    if strata not in (2, 3):
        raise ValueError(f"strata: expected 2 or 3 for rule 'low-medium-high', got {strata}; 'low' and 'high' cut any")
    return _low_medium_high(x, [(size + i) // strata for i in range(strata)], middle)


def _middle(x: Vector, medium: str | float) -> float:
    try:
        return float(np.median(x)) if medium == "median" else float(medium)
    except (TypeError, ValueError):
        raise ValueError(f"medium: expected 'median' or a number, got {medium!r}") from None


def _low_medium_high(x: Vector, sizes: list[int], middle: float) -> tuple[Ids, Ids]:
    stratum = np.full(len(x), -1)
    stratum[partition.lowest(x, sizes[0])] = 0
    stratum[partition.highest(x, sizes[-1])] = len(sizes) - 1
    if len(sizes) == 3:
        left = np.flatnonzero(stratum < 0)
        stratum[left[partition.nearest(x[left], middle, sizes[1])]] = 1
    positions = np.flatnonzero(stratum >= 0)
    return positions, stratum[positions]
