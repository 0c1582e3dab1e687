"""Hyper-parameters whose types say where they make sense."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, NamedTuple, get_type_hints


class Valid(NamedTuple):
    """What a hyper-parameter may be: in words, and as a test."""

    words: str
    holds: Callable[[float], bool]


# A published range is a default and a search space; only what has no meaning is refused.
Rate = Annotated[float, Valid("a number in (0, inf)", lambda x: 0 < x < math.inf)]
Share = Annotated[float, Valid("a number in (0, 1]", lambda x: 0 < x <= 1)]
Count = Annotated[int, Valid("a whole number >= 1", lambda x: isinstance(x, Integral) and x >= 1)]


@dataclass(frozen=True)
class Hyperparameters:
    """Base of the algorithms: the fields of a subclass are held to the ranges that their types name.

    Raises:
        ValueError: a value outside its range.
        TypeError: a value that is no number.

    Example:
        >>> @dataclass(frozen=True)
        ... class Half(Hyperparameters):
        ...     share: Share = 0.5
        >>> Half(share=2)
        Traceback (most recent call last):
        ValueError: share: expected a number in (0, 1], got 2
    """

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            for valid in getattr(hint, "__metadata__", ()):
                _check(name, getattr(self, name), valid)


def _check(name: str, value: object, valid: Valid) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {valid.words}, got {value!r} of type {type(value).__name__}")
    if not valid.holds(value):  # type: ignore[arg-type]
        raise ValueError(f"{name}: expected {valid.words}, got {value}")
