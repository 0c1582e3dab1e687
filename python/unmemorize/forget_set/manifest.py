"""The manifest of a forget set: its content as canonical JSON, with a hash that is the same on every machine."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmemorize._files import write_durably
from unmemorize.errors import StoreError

FORMAT = "unmemorize forget set 1"
Number = np.int64 | np.float64
ARRAYS: dict[str, type[Number]] = {"ids": np.int64, "strata": np.int64, "scores": np.float64, "labels": np.int64}


def digest(fields: dict[str, Any]) -> str:
    """SHA-256 of the fields of a forget set."""
    return hashlib.sha256(_json(_content(fields), sort_keys=True, separators=(",", ":"))).hexdigest()


def write(path: Path, fields: dict[str, Any]) -> None:
    """Write the manifest, in full or not at all."""
    content = {"format": FORMAT, "hash": digest(fields), **_content(fields)}
    write_durably(path, _json(content) + b"\n")


def read(path: Path) -> dict[str, Any]:
    """The fields of the forget set in a manifest.

    Raises:
        FileNotFoundError: no such file.
        StoreError: not a manifest, damaged, or changed by hand; names the file.
    """
    content = path.read_bytes()
    try:
        fields: dict[str, Any] = json.loads(content)
        if (found := fields.pop("format")) != FORMAT:
            raise ValueError(f"expected the format {FORMAT!r}, got {found!r}")
        expected = fields.pop("hash")
        fields |= {name: _array(fields[name], dtype) for name, dtype in ARRAYS.items()}
        fields["names"] = tuple(fields["names"])
        actual = digest(fields)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as problem:
        raise StoreError(f"{path}: is not the manifest of a forget set, or is damaged: {problem!r}") from problem
    if actual != expected:
        raise StoreError(f"{path}: was damaged or changed: its content has the hash {actual}, not {expected}")
    return fields


def _json(content: dict[str, Any], **layout: Any) -> bytes:
    """ASCII without NaN; NumPy's numbers are written as Python's."""
    return json.dumps(content, allow_nan=False, default=lambda number: number.item(), **layout).encode()


def _content(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _numbers(value) if name in ARRAYS else value for name, value in fields.items()}


def _numbers(array: NDArray[Any] | None) -> list[Any] | None:
    """Numbers as JSON has them; infinite ones as strings."""
    if array is None or np.isfinite(array).all():
        return None if array is None else array.tolist()
    return [x if np.isfinite(x) else str(x) for x in array.tolist()]


def _array(values: list[Any] | None, dtype: type[Number]) -> NDArray[Any] | None:
    if values is None:
        return None
    return np.array([float(x) if isinstance(x, str) else x for x in values], dtype=dtype)
