"""Examples and data sets as tensors on one device."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

Ids = Tensor | np.ndarray | Sequence[int]


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled images with the ids that every record of the package is indexed by.

    Args:
        images: float32 (n, channels, height, width).
        labels: int64 (n,), in 0..C-1; or float32 (n, C), probabilities to learn instead of one class.
        ids: int64 (n,); of a training set 0..n-1, the row of every record. A subset keeps the ids of the whole.
        source_ids: int64 (n,), positions in the user's own data set.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor
    source_ids: np.ndarray

    def __post_init__(self) -> None:
        for name in ("labels", "ids", "source_ids"):
            found = len(getattr(self, name))
            if found != len(self.images):
                raise ValueError(f"{name}: expected {len(self.images)} values to match images, got {found}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: Ids) -> "Examples":
        """The examples at `positions`, int64 or bool, in that order."""
        at = torch.as_tensor(positions)
        at = at if at.dtype == torch.bool else _integers(at)
        own = self.source_ids[at.cpu().numpy()]
        at = at.to(self.images.device)
        return Examples(self.images[at], self.labels[at], self.ids[at], own)

    def subset(self, ids: Ids) -> "Examples":
        """The examples with these ids, in the order of `ids`.

        Raises:
            IndexError: an id is not here.
        """
        return self.take(self._positions(ids))

    def without(self, ids: Ids) -> "Examples":
        """The examples whose id is not in `ids`, order kept.

        Raises:
            IndexError: an id is not here.
        """
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[self._positions(ids)] = False
        return self.take(kept)

    def join(self, other: "Examples") -> "Examples":
        """These examples, then those of `other`."""
        return Examples(
            torch.cat([self.images, other.images]),
            torch.cat([self.labels, other.labels]),
            torch.cat([self.ids, other.ids]),
            np.concatenate([self.source_ids, other.source_ids]),
        )

    def _positions(self, ids: Ids) -> Tensor:
        """int64, on the CPU: where each of `ids` is."""
        wanted = _integers(ids).cpu()
        ordered, order = self.ids.cpu().sort()
        place = torch.searchsorted(ordered, wanted)
        found = torch.zeros_like(wanted, dtype=torch.bool)
        inside = place < len(ordered)
        found[inside] = ordered[place[inside]] == wanted[inside]
        if not found.all():
            raise IndexError(
                f"ids: {int((~found).sum())} of {len(wanted)} are not among these {len(self)} examples, "
                f"the first is {int(wanted[~found][0])}"
            )
        return order[place]

    def to(self, device: torch.device | str) -> "Examples":
        """The same examples on another device; nothing is copied if they are there."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device), ids=self.ids.to(device))


def _integers(ids: Ids) -> Tensor:
    found = torch.as_tensor(np.array(ids) if isinstance(ids, np.ndarray) else ids)  # a copy: it may be read-only
    if found.numel() and (found.is_floating_point() or found.dtype == torch.bool):
        raise TypeError(f"ids: expected whole numbers, got {found.dtype}")
    return found.to(torch.int64)


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, split and ready: what every stage gets.

    Args:
        name: for people.
        train: the training set; its ids are 0..n-1.
        val: validation examples, which nothing is trained on.
        test: test examples.
        n_classes: C.
        true_labels: int64 (n,), training labels before any were flipped.
    """

    name: str
    train: Examples
    val: Examples
    test: Examples
    n_classes: int
    true_labels: np.ndarray = field(repr=False)

    @property
    def parts(self) -> dict[str, Examples]:
        """The splits by name: train, val, test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @cached_property
    def flipped(self) -> np.ndarray:
        """Bool (n,): the training label is known to be wrong."""
        return np.asarray(self.train.labels.cpu().numpy() != self.true_labels)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over images, labels and order of all splits, so over the label flips too."""
        digest = hashlib.sha256()
        for part in self.parts.values():
            for array in (part.images.cpu().numpy(), part.labels.cpu().numpy(), part.source_ids):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width) of an image."""
        return tuple(self.train.images.shape[1:])

    def to(self, device: torch.device | str) -> "Data":
        """The same data set on another device."""
        return replace(self, train=self.train.to(device), val=self.val.to(device), test=self.test.to(device))
