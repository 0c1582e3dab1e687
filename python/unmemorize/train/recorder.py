"""What a training loop tells of each step."""

from os import PathLike
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from unmemorize.events import Mode


class Recorder(Protocol):
    """Whatever records a training, and can be saved and gone on from; `LearningEvents` does."""

    @property
    def mode(self) -> Mode:
        """Which forward pass it wants: "train" or "eval"."""

    @property
    def seen(self) -> NDArray[np.int64]:
        """int64 (n,): how often each example was seen."""

    def update(self, ids: Any, logits: Any, labels: Any, *, epoch: int | None = None) -> None:
        """One batch, after the step it was used for."""

    def merge(self, other: Self) -> Any:
        """Take in what another one has seen."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write a file."""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read it."""
