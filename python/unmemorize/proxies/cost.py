"""What a proxy took: seconds, and passes through the network."""

from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Self

_counting: ContextVar["Cost | None"] = ContextVar("counting", default=None)


@dataclass
class Cost:
    """Counts what the proxies inside a ``with`` block take.

    A forward pass is one example through the network; a backward pass is one gradient of the loss of one example, by
    parameters or input. Dividing both by n gives passes over the training set; a backward pass takes about twice the
    time of a forward pass. Passes that would have been made anyway are not counted: a proxy that is gathered while a
    model trains counts what it adds to that training. Of blocks within each other, the innermost counts.

    Example:
        >>> from unmemorize import Context, data, models, proxies
        >>> digits = data.load("digits")
        >>> with Cost() as cost:
        ...     score = proxies.confidence_now(models.build("convnet", digits), digits, Context(device="cpu"))
        >>> cost.forwards == len(digits.train), cost.backwards
        (True, 0)
    """

    seconds: float = 0.0  # wall clock of the block
    forwards: int = 0
    backwards: int = 0
    _start: float = field(default=0.0, init=False, repr=False)
    _outer: "Token[Cost | None] | None" = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self._start, self._outer = perf_counter(), _counting.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.seconds += perf_counter() - self._start
        assert self._outer is not None
        _counting.reset(self._outer)


def spend(*, forwards: int = 0, backwards: int = 0) -> None:
    """Add passes to the `Cost` whose block this is called in, if any."""
    cost = _counting.get()
    if cost is not None:
        cost.forwards += forwards
        cost.backwards += backwards
