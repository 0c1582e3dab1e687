"""The norm of the loss gradient by each training image, summed up while a network trains."""

from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from unmemorize import _arrays
from unmemorize.errors import StoreError
from unmemorize.events import Mode
from unmemorize.train.checkpoint import read_tensors, write_tensors


class InputGradients:
    """Records, for any training loop, how strongly each image has pulled on the loss.

    It asks the network for the gradient by its input in the backward pass that the training makes anyway, so what it
    adds is the last link of that pass. Two lines attach it, and it stands where `LearningEvents` can stand in
    `train.fit`::

        gradients = InputGradients(n_examples, network)
        ...
        loss.backward()
        gradients.update(ids)

    The loss must be the mean over the batch. In a network with BatchNorm the gradient of an image takes in what it does
    to the loss of the others in its batch. It holds 16 bytes an example, and the input of one batch.

    Args:
        n_examples: how many training examples there are; ids are 0 to n_examples - 1.
        network: whose first argument is the batch of images, floating point; None: nothing is recorded, only read.
    """

    mode: Mode = "train"

    def __init__(self, n_examples: int, network: nn.Module | None = None) -> None:
        self._total = torch.zeros(n_examples, dtype=torch.float64)
        self._seen = torch.zeros(n_examples, dtype=torch.int64)
        self._images: Tensor | None = None
        self._hook = network.register_forward_pre_hook(self._watch) if network is not None else None

    def _watch(self, network: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not (network.training and torch.is_grad_enabled()):
            return None
        images = arguments[0]
        if images.requires_grad:  # the output of layers before the network, which train too
            images.retain_grad()
        else:
            images = images.detach().requires_grad_()
        self._images = images
        return (images, *arguments[1:])

    def update(self, ids: ArrayLike, logits: object = None, labels: object = None, *, epoch: int | None = None) -> None:
        """Add the gradient norms of the batch whose backward pass was the last; all but `ids` is ignored.

        Args:
            ids: integers (b,), 0 to n_examples - 1: the example in each row. An id may repeat.
            logits: what `LearningEvents` records.
            labels: what `LearningEvents` records.
            epoch: what `LearningEvents` records.

        Raises:
            RuntimeError: the network has not run in train mode, or no backward pass has reached its input.
            ValueError: not as many ids as images.
            IndexError: an id is out of range.
        """
        if self._images is None or self._images.grad is None:
            raise RuntimeError(
                "input gradients: no backward pass has reached the input of the watched network; update after "
                "loss.backward(), once for each forward pass in train mode"
            )
        rows = torch.from_numpy(_arrays.integers(ids, "ids"))
        if len(rows) != len(self._images):
            raise ValueError(f"ids: expected {len(self._images)} values to match the batch of images, got {len(rows)}")
        for row in rows[(rows < 0) | (rows >= len(self._seen))].tolist():
            raise IndexError(f"ids: {row} is out of range for input gradients of {len(self._seen)} examples")
        norms = self._images.grad.flatten(1).norm(dim=1, dtype=torch.float64) * len(rows)  # of its own loss
        self._images = None
        self._total.index_add_(0, rows, norms.cpu())
        self._seen.index_add_(0, rows, torch.ones_like(rows))

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """``input_gradient``: float64 (n,), the norms added up; NaN where an example was never seen."""
        return {"input_gradient": np.where(self.seen > 0, self._total.numpy(), np.nan)}

    @property
    def seen(self) -> NDArray[np.int64]:
        """int64 (n,): how often each example was seen."""
        return self._seen.numpy().copy()

    def __len__(self) -> int:
        return len(self._seen)

    def merge(self, other: "InputGradients") -> Self:
        """Add what another recorder of the same examples has seen.

        Raises:
            ValueError: the recorders differ in size.
        """
        if len(other) != len(self):
            raise ValueError(f"other: expected {len(self)} examples, got {len(other)}")
        self._total += other._total
        self._seen += other._seen
        return self

    def close(self) -> None:
        """Stop watching the network; what was recorded stays."""
        if self._hook is not None:
            self._hook.remove()
        self._hook, self._images = None, None

    def save(self, path: str | PathLike[str]) -> None:
        """Write a safetensors file: whole, or not at all."""
        write_tensors(Path(path), {"total": self._total, "seen": self._seen}, {})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote; the result can be read and merged.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError: it is damaged, or of another kind.
        """
        tensors, _ = read_tensors(Path(path))
        if tensors.keys() != {"total", "seen"}:
            raise StoreError(
                f"{path}: expected input gradients, got a file of {', '.join(sorted(tensors)) or 'nothing'}"
            )
        found = cls(len(tensors["seen"]))
        found._total, found._seen = tensors["total"], tensors["seen"]
        return found
