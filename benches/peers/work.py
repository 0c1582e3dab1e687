"""What is compared: a work, its inputs, and the sides that do it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Side = Callable[[Any], Callable[[], Any]]
"""Takes the inputs, makes what is not timed (an empty tracker), and returns the call that is timed.

The call returns its result, or a function that reads the result later: what a tracker holds, for instance.
"""


@dataclass(frozen=True)
class Peer:
    """Another way to do the work.

    Args:
        side: the way.
        share: of the work that one call does: slow peers get a part of it, and their time is divided by the share.
        least: the target: how many times as fast ours has to be; None: reported only.
    """

    side: Side
    share: float = 1.0
    least: float | None = None


@dataclass(frozen=True)
class Work:
    """One work.

    Args:
        name: what the page calls it; the first word is what a filter usually names.
        inputs: makes the inputs from a random generator and the size.
        size: of the real run, as keyword arguments of `inputs`.
        quick: of a smoke run.
        ours: the public function, validation included.
        peers: name -> peer.
        moved: bytes that any implementation has to read and write once, from the size.
        words: 64-bit words that any implementation has to AND and count, from the size.
        per_call: how many times one call does the work (the updates of an epoch).
        best_of: targets hold against the fastest of the peers that have one, not against each.
        tolerance: absolute and relative, between results; 0: the same numbers.
        memory_limit: MB that ours may take above the inputs.
    """

    name: str
    inputs: Callable[..., Any]
    size: Mapping[str, int]
    quick: Mapping[str, int]
    ours: Side
    peers: Mapping[str, Peer]
    moved: Callable[..., float]
    words: Callable[..., float] = lambda **size: 0.0
    per_call: Callable[..., int] = lambda **size: 1
    best_of: bool = False
    tolerance: float = 0.0
    memory_limit: int | None = None


def stateless(function: Callable[[Any], Any]) -> Side:
    """A side that makes nothing beforehand."""
    return lambda inputs: lambda: function(inputs)


def check(ours: Any, theirs: Any, tolerance: float) -> None:
    """Raises AssertionError unless each array of `theirs` is the same as ours, or as its first rows."""
    if isinstance(theirs, dict):
        for name, value in theirs.items():
            check(ours[name], value, tolerance)
    elif isinstance(theirs, tuple):
        for mine, value in zip(ours, theirs, strict=True):
            check(mine, value, tolerance)
    else:
        theirs = np.asarray(theirs)
        mine = np.asarray(ours)[: len(theirs)] if theirs.ndim else np.asarray(ours)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
