"""Frozen dataclasses to strict JSON and back, led by their type hints."""

import base64
import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")


def encode(value: Any) -> Any:
    """`value` in dicts, lists, strings and finite numbers only.

    Arrays keep their dtype, bytes become base64, non-finite floats the strings "nan", "inf" and "-inf".

    Raises:
        TypeError: a value of a type that JSON cannot hold.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "values": encode(value.tolist())}
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"results: cannot write a {type(value).__name__} as JSON")


def decode(kind: type[T], value: Any, where: str) -> T:
    """Inverse of `encode` for a value of type `kind`; `where` names it in errors.

    Raises:
        ValueError: `value` is not what `encode` makes of a `kind`.
    """
    return _decode(kind, value, where)  # type: ignore[no-any-return]


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _decode(next(k for k in inner if k is not types.NoneType), value, where)
    if is_dataclass(kind):
        return _dataclass(kind, _expect(dict, value, where), where)
    if kind is np.ndarray:
        return _array(_expect(dict, value, where), where)
    if kind is bytes:
        return base64.b64decode(_expect(str, value, where))
    if kind is float:
        return float(_expect((int, float, str), value, where))
    if origin is dict:
        items = _expect(dict, value, where).items()
        return {key: _decode(inner[1], item, f"{where}.{key}") for key, item in items}
    if origin is tuple and inner[-1] is not Ellipsis:
        return tuple(_decode(k, item, where) for k, item in zip(inner, _expect(list, value, where), strict=True))
    if origin in (tuple, list):
        return origin(_decode(inner[0], item, f"{where}[{i}]") for i, item in enumerate(_expect(list, value, where)))
    return _expect(kind, value, where)


def _dataclass(kind: Any, value: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    needed = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if unknown := sorted(set(value) - set(known)):
        raise ValueError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(known)}")
    if missing := sorted(needed - set(value)):
        raise ValueError(f"{where}: field {missing[0]!r} is missing")
    return kind(**{name: _decode(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def _array(value: dict[str, Any], where: str) -> np.ndarray:
    if set(value) != {"dtype", "values"}:
        raise ValueError(f"{where}: expected an array with 'dtype' and 'values', got {sorted(value)}")
    if np.dtype(value["dtype"]).kind == "f":
        value = {**value, "values": np.array(value["values"], dtype="U25").astype(np.float64)}
    return np.array(value["values"], dtype=value["dtype"])


def _expect(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = kind if isinstance(kind, tuple) else (kind,)
        raise ValueError(f"{where}: expected {' or '.join(n.__name__ for n in names)}, got {type(value).__name__}")
    return value
