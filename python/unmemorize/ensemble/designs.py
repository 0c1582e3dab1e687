"""Which subset each model is trained on. A design follows from its arguments alone."""

import math

import numpy as np
from numpy.typing import NDArray

TRADES = 5  # for each model of a block: enough to forget the regular start


def independent(n: int, models: int, ratio: float = 0.7, seed: int = 0) -> NDArray[np.bool_]:
    """Each model gets a subset of floor(ratio * n) examples of its own, uniformly at random (Feldman & Zhang 2020).

    Args:
        n: training examples.
        models: T.
        ratio: share of the examples in each subset, above 0 and below 1.
        seed: draws the subsets.

    Returns:
        bool (T, n): which model is trained on which example.

    Raises:
        ValueError: a number out of its range.
    """
    _check(n, models, ratio)
    generator = np.random.default_rng(seed)
    member = np.zeros((models, n), dtype=bool)
    for row in member:
        row[generator.choice(n, math.floor(ratio * n), replace=False)] = True
    return member


def balanced(n: int, models: int, ratio: float = 0.7, seed: int = 0) -> NDArray[np.bool_]:
    """Every example is left out by the same number of models, and every model gets the same number of examples.

    Counts are exact where (1 - ratio) * T and ratio * n are whole numbers, else they differ by at most one. Where a
    divisor of T makes them whole too, the design consists of blocks of that many models, each balanced by itself: of
    100 models at ratio 0.7, every ten leave each example out three times, so the first ten are a design too.

    Args:
        n: training examples.
        models: T.
        ratio: share of the examples in each subset, above 0 and below 1.
        seed: draws the subsets.

    Returns:
        bool (T, n): which model is trained on which example. Time is O(T * n).

    Raises:
        ValueError: a number out of its range.

    Example:
        >>> member = balanced(50, 20)
        >>> set(member.sum(0).tolist()), set(member[:10].sum(0).tolist()), set(member.sum(1).tolist())
        ({14}, {7}, {35})
    """
    _check(n, models, ratio)
    generator = np.random.default_rng(seed)
    size = next(b for b in range(2, models + 1) if b == models or (models % b == 0 and _whole((1 - ratio) * b)))
    return np.concatenate([_block(n, size, 1 - ratio, generator) for _ in range(models // size)])


def _block(n: int, models: int, out: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Deal the models out to the examples like cards, in turn, then trade cards until the order is forgotten.

    A trade takes two models and deals the examples that only one of them has to the two anew, each keeping its number
    (the curveball algorithm, Strona et al. 2014): counts of examples and of models stay as they are.
    """
    member = np.ones((models, n), dtype=bool)
    share = round(out * models) if _whole(out * models) else out * models
    cards = np.floor(np.arange(n + 1) * share).astype(np.int64)
    example = np.repeat(generator.permutation(n), np.diff(cards))
    member[np.arange(cards[-1]) % models, example] = False
    for _ in range(TRADES * models):
        a, b = generator.choice(models, 2, replace=False)
        differ = np.flatnonzero(member[a] != member[b])
        member[a, differ] = generator.permutation(member[a, differ])
        member[b, differ] = ~member[a, differ]
    return member


def _whole(x: float) -> bool:
    return abs(x - round(x)) < 1e-9


def _check(n: int, models: int, ratio: float) -> None:
    if n < 1:
        raise ValueError(f"n: expected at least 1 example, got {n}")
    if models < 2:
        raise ValueError(
            f"models: expected at least 2, so that an example can be in one and out of another, got {models}"
        )
    if not 0.0 < ratio < 1.0:
        raise ValueError(f"ratio: expected a share above 0 and below 1, got {ratio}")
