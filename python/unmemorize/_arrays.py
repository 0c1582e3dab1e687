"""The only door to the compiled core: what users pass in becomes contiguous, native arrays of an exact dtype.

An array that is already right is passed on as it is, never copied. Tensors are recognised without importing torch.
Ranges and values are checked by the core, in the same pass that uses them.
"""

import math
import operator
import os
import sys
from functools import cache
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from unmemorize import _core

_BOOL, _UINT16, _INT64, _FLOAT64 = (np.dtype(name) for name in ("bool", "uint16", "int64", "float64"))
_LOGITS = {name: np.dtype(name) for name in ("float16", "float32", "float64")}
Scores = NDArray[np.float64] | NDArray[np.float32]
_MOST_THREADS = 1024
_WHOLE = 2**53  # float64 holds every integer up to it
_SERIAL = 1 << 14  # values; less work than that is done before a second thread has woken up


def is_tensor(x: object) -> TypeGuard[Any]:
    """Whether ``x`` is a torch tensor, on any device."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def on_device(x: object) -> TypeGuard[Any]:
    """Whether ``x`` is a tensor that is not in the memory of the CPU."""
    return is_tensor(x) and not x.is_cpu


def copied(x: object, name: str) -> Any:
    """A copy that later changes of ``x`` do not reach; a tensor's copy stays on its device."""
    return x.detach().clone() if is_tensor(x) else to_numpy(x, name)[0].copy()


def to_numpy(x: object, name: str) -> tuple[NDArray[Any], str]:
    """An array, tensor or sequence as a NumPy array that shares its memory if it can, and the name of its dtype.

    NumPy has no bfloat16: such values come back as their bits, in uint16, with the name "bfloat16".
    """
    try:
        if type(x) is np.ndarray:
            array = x
        elif is_tensor(x):
            tensor = x.detach() if x.requires_grad else x
            tensor = tensor if tensor.is_cpu else tensor.cpu()
            if tensor.dtype is sys.modules["torch"].bfloat16:
                return tensor.view(sys.modules["torch"].int16).numpy().view(np.uint16), "bfloat16"
            array = tensor.numpy(force=True)  # a view that is negated lazily too
        elif np.ma.is_masked(x):
            raise ValueError("some values are masked; fill them or leave them out first")
        else:
            array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; sparse tensors, tracers, ..
        raise ValueError(f"{name}: not an array: {error}") from error
    dtype = _name(array.dtype)
    if dtype == "bfloat16":  # the ml_dtypes package
        return array.view(np.uint16), dtype
    return array, dtype


@cache
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # NumPy puts it together anew each time, which takes longer than the rest of this module


def _exact(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """``x`` itself if it is C-contiguous, aligned, native and of ``dtype``, else a copy that is."""
    if x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned:
        return x
    return np.array(x, dtype=dtype, order="C")


def _check_shape(x: NDArray[Any], name: str, axes: str) -> None:
    if x.ndim != (1 if ",)" in axes else axes.count(",") + 1):
        raise ValueError(f"{name}: expected shape {axes}, got {x.shape}")


def integers(x: object, name: str, axes: str = "(b,)") -> NDArray[np.int64]:
    """Ids or labels: integers of any size, as int64 of shape ``axes``."""
    array, dtype = to_numpy(x, name)
    if array.dtype is _INT64 and array.ndim == 1 and ",)" in axes:  # as nearly always, in every training step
        return _exact(array, _INT64)
    _check_shape(array, name, axes)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name}: expected integers, got {dtype}")
    if dtype == "uint64" and array.size and array.max() > np.iinfo(np.int64).max:
        raise IndexError(f"{name}: {array.max()} is not an index")
    return _exact(array, _INT64)


def distinct(x: object, name: str, n: int) -> NDArray[np.int64]:
    """Ids (k,) of 0 to n - 1, each once, in the order that they are given in."""
    ids = integers(x, name, "(k,)")
    outside = ids[(ids < 0) | (ids >= n)]
    if len(outside):
        raise IndexError(f"{name}: {outside[0]} is out of range for {n} examples")
    first, counts = np.unique(ids, return_counts=True)
    if len(first) < len(ids):
        raise ValueError(f"{name}: {first[counts > 1][0]} occurs more than once")
    return ids


def logits(x: object, name: str = "logits", axes: str = "(b, C)") -> NDArray[Any]:
    """Logits or probabilities of shape ``axes`` in float16, bfloat16 (as uint16), float32 or float64."""
    array, dtype = to_numpy(x, name)
    _check_shape(array, name, axes)
    if dtype == "bfloat16":
        return _exact(array, _UINT16)
    if dtype not in _LOGITS:
        raise TypeError(f"{name}: expected float16, bfloat16, float32 or float64, got {dtype}")
    return _exact(array, _LOGITS[dtype])


def probabilities(x: object, name: str, axes: str = "(n,)") -> NDArray[Any]:
    """Real numbers of shape ``axes``: as `logits` where they are floating point, all others as float64."""
    array, dtype = to_numpy(x, name)
    _check_shape(array, name, axes)
    if dtype == "bfloat16":
        return _exact(array, _UINT16)
    return _exact(array, _LOGITS[dtype]) if dtype in _LOGITS else vector_f64(array, name, axes)


def bytes_bool(x: object, name: str, axes: str = "(T, n)") -> NDArray[np.uint8]:
    """The bytes of a boolean matrix of shape ``axes``: any but 0 is True."""
    array, dtype = to_numpy(x, name)
    _check_shape(array, name, axes)
    if dtype != "bool" and array.size:
        raise TypeError(f"{name}: expected bool, got {dtype}; compare first, for instance {name} > 0")
    return _exact(array, _BOOL).view(np.uint8)


def matrix_bool(x: object, name: str, axes: str = "(T, n)") -> NDArray[np.bool_]:
    """A boolean matrix of shape ``axes``."""
    whole = bytes_bool(x, name, axes)
    return whole.view(_BOOL) if whole.max(initial=0) <= 1 else whole != 0  # other bytes are no bool to the core


def vector_f64(x: object, name: str, axes: str = "(n,)") -> NDArray[np.float64]:
    """Real numbers of any precision, as float64 of shape ``axes``. NaN is left to the core."""
    array, dtype = to_numpy(x, name)
    if dtype == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    _check_shape(array, name, axes)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got {dtype}")
    if dtype in ("int64", "uint64") and array.size and not -_WHOLE <= array.min() <= array.max() <= _WHOLE:
        raise ValueError(f"{name}: integers beyond 2^53 are not told apart as float64; subtract an offset first")
    return _exact(array, _FLOAT64)


def scores(x: object, name: str, axes: str = "(n,)") -> Scores:
    """Real numbers of shape ``axes``: float32 as it is, all others as float64."""
    array, dtype = to_numpy(x, name)
    if dtype != "float32":
        return vector_f64(x, name, axes)
    _check_shape(array, name, axes)
    return _exact(array, _LOGITS[dtype])


def groups(x: object, name: str, axes: str = "(n,)") -> tuple[NDArray[np.int64], int]:
    """Numbers or strings of shape ``axes`` as 0, 1, .. in their order, and how many different ones there are."""
    array, dtype = to_numpy(x, name)
    _check_shape(array, name, axes)
    if array.dtype.kind not in "biufSU":
        raise TypeError(f"{name}: expected numbers or strings, got {dtype}")
    if array.dtype.kind in "iu" and array.size:
        low, high = int(array.min()), int(array.max())
        if high - low < max(len(array), 1 << 16) and high < 2**63:  # few enough to look them up: no sort
            place = array.astype(np.int64) - low
            used = np.zeros(high - low + 1, np.int64)
            used[place] = 1
            return (used.cumsum() - 1)[place], int(used.sum())
    names, group = np.unique(array, return_inverse=True)
    return _exact(group, _INT64), len(names)


def integer(x: object, name: str) -> int:
    """An integer of any integer type."""
    try:
        return operator.index(x)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(x).__name__}") from None


def number(x: object, name: str) -> float:
    """A real number of any type, but no text."""
    try:
        return math.ldexp(x, 0)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}: expected a number that float64 can hold, got {x!r:.60}") from None


def share(x: object, name: str, ends: str = "[]") -> float:
    """A number from 0 to 1; ``ends`` says by its brackets whether these two are in it."""
    value = number(x, name)
    if not 0 <= value <= 1 or (value == 0 and "(" in ends) or (value == 1 and ")" in ends):
        raise ValueError(f"{name}: expected a share in {ends[0]}0, 1{ends[1]}, got {value}")
    return value


def flag(x: object, name: str) -> bool:
    """True or False."""
    if not isinstance(x, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {x!r:.60}")
    return bool(x)


def choice(x: object, name: str, known: tuple[str, ...]) -> str:
    """One of some names."""
    if not isinstance(x, str) or x not in known:
        raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, got {x!r:.60}")
    return x


def count(x: object, name: str, least: int = 1, most: int = sys.maxsize) -> int:
    """An integer from ``least`` to ``most``."""
    value = integer(x, name)
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
    if value > most:
        raise ValueError(f"{name}: expected at most {most}, got {value}")
    return value


def seed(x: object) -> int:
    """A seed: an integer from 0 to 2^64 - 1."""
    value = integer(x, "seed")
    if not 0 <= value < 2**64:
        raise ValueError(f"seed: expected 0 to 2^64 - 1, got {value}")
    return value


@cache
def _available() -> int:
    return _core.available_threads()


def threads(n_threads: int | None, work: int = _SERIAL) -> int:
    """How many threads a call may use.

    Args:
        n_threads: 1 to 1024, or None: all that the CPU affinity and the cgroup quota of this process allow, but 1 in a
            worker process of ``multiprocessing`` (a DataLoader's worker, for instance) or of `unmemorize.engine`,
            which has siblings.
        work: How many values the call works on. With None as ``n_threads``, too few for a second thread mean 1.
    """
    if n_threads is not None:
        count = integer(n_threads, "n_threads")
        if not 1 <= count <= _MOST_THREADS:
            raise ValueError(f"n_threads: expected 1 to {_MOST_THREADS}, got {count}")
        return count
    if work < _SERIAL:
        return 1
    processes = sys.modules.get("multiprocessing.process")
    if "UNMEMORIZE_WORKER" in os.environ or (processes is not None and processes.parent_process() is not None):
        return 1
    if hasattr(os, "sched_getaffinity"):
        return min(_available(), len(os.sched_getaffinity(0)))
    return _available()
