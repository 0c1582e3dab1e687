"""Hyper-parameters whose types say where they make sense."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, ClassVar, NamedTuple, get_type_hints


class Valid(NamedTuple):
    """What a hyper-parameter may be, in words and as a test, and on which scale it is searched."""

    words: str
    holds: Callable[[float], bool]
    scale: str


class Range(NamedTuple):
    """Where to search for a hyper-parameter, both ends included."""

    scale: str  # "log", "linear" or "int"
    low: float
    high: float

    def widened(self, by: float) -> "Range":
        """A rate is looked for `by` times as far at both ends, a share nearer to 0 and 1, a count downwards alone."""
        if self.scale == "int":
            return self._replace(low=max(1, round(self.low / by)))
        high = self.high * by if self.scale == "log" else 1 - (1 - self.high) / by
        return self._replace(low=self.low / by, high=high)


Bounds = dict[str, tuple[float, float]]

# A published range is a default and a search space; only what has no meaning is refused.
Rate = Annotated[float, Valid("a number in (0, inf)", lambda x: 0 < x < math.inf, "log")]
Share = Annotated[float, Valid("a number in (0, 1]", lambda x: 0 < x <= 1, "linear")]
Count = Annotated[int, Valid("a whole number >= 1", lambda x: isinstance(x, Integral) and x >= 1, "int")]


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

    PUBLISHED: ClassVar[Bounds] = {}  # the lowest and highest values of the sources that the docstring names
    SEARCHED: ClassVar[Bounds] = {}  # where this project looks for what they do not tell

    def __post_init__(self) -> None:
        for name, valid in self._valid().items():
            _check(name, getattr(self, name), valid)

    @classmethod
    def ranges(cls) -> dict[str, Range]:
        """Where to search for each numeric hyper-parameter, in the order of the fields.

        Example:
            >>> from unmemorize.unlearn import SalUn
            >>> SalUn.ranges()["lr"], SalUn.ranges()["threshold"].widened(2)
            (Range(scale='log', low=0.005, high=0.1), Range(scale='linear', low=0.15, high=0.85))
        """
        bounds = cls.PUBLISHED | cls.SEARCHED
        return {name: Range(valid.scale, *bounds[name]) for name, valid in cls._valid().items() if name in bounds}

    @classmethod
    def _valid(cls) -> dict[str, Valid]:
        hints = get_type_hints(cls, include_extras=True)
        return {name: valid for name, hint in hints.items() for valid in getattr(hint, "__metadata__", ())}


def _check(name: str, value: object, valid: Valid) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {valid.words}, got {value!r} of type {type(value).__name__}")
    if not valid.holds(value):  # type: ignore[arg-type]
        raise ValueError(f"{name}: expected {valid.words}, got {value}")
