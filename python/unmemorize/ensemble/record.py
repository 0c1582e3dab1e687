"""What `Ensemble.append` is given, checked and in the form in which it is kept."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays

_MOST = float(np.finfo(np.float16).max)
_ROUNDED = 2.0**-12  # what float16 rounds to 1 is 1
_OFF = 0.01  # how far a row of softmax may be from 1: float16 and bfloat16 input of a thousand classes stays below


def bits(values: ArrayLike, name: str, n: int) -> NDArray[np.uint8]:
    """Booleans (n,), eight to a byte, the first in the lowest bit.

    Raises:
        TypeError: They are not bool.
        ValueError: They are not ``n``.
    """
    array, dtype = _arrays.to_numpy(values, name)
    if dtype != "bool":
        raise TypeError(f"{name}: expected bool, got {dtype}")
    if array.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},) to match this store, got {array.shape}")
    return np.packbits(array, bitorder="little")


def log_odds(values: ArrayLike, name: str, n: int) -> NDArray[np.float16]:
    """Log-odds (n,) in float16; beyond its range, infinity included, its largest value: one is as sure as the other.

    Raises:
        TypeError: They are not floating numbers.
        ValueError: They are not ``n``, or not numbers.
    """
    return _floating(values, name, n, 1).clip(-_MOST, _MOST).astype(np.float16)


def softmax(values: ArrayLike, n: int) -> NDArray[np.float16]:
    """Probabilities (n, C) in float16.

    Raises:
        TypeError: They are not floating numbers.
        ValueError: They are not of ``n`` examples, not in [0, 1], or a row does not sum to 1.
    """
    array = _floating(values, "probs", n, 2)
    if array.size and not (array.min() >= 0 and array.max() <= 1 + _ROUNDED):
        raise ValueError(f"probs: expected softmax, in [0, 1], got {array.min()} to {array.max()}")
    sums = array.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > _OFF)
    if len(wrong):
        raise ValueError(
            f"probs: expected softmax, rows that sum to 1; row {wrong[0]} sums to {sums[wrong[0]]:.4g} "
            f"({len(wrong)} of {n} rows do not)"
        )
    return array.astype(np.float16)


def _floating(values: ArrayLike, name: str, n: int, dimensions: int) -> NDArray[Any]:
    array, dtype = _arrays.to_numpy(values, name)
    if dtype == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind != "f":
        raise TypeError(f"{name}: expected floating numbers, got {dtype}")
    if array.ndim != dimensions or len(array) != n:
        shape = f"({n},)" if dimensions == 1 else f"({n}, C)"
        raise ValueError(f"{name}: expected shape {shape} to match this store, got {array.shape}")
    missing = int(np.isnan(array).sum())
    if missing:
        raise ValueError(f"{name}: {missing} of {array.size} values are NaN")
    return array
