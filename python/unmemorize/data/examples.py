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
        return len(self.labels)

    def take(self, positions: Ids) -> "Examples":
        """The examples at `positions`, int64 or bool, in that order."""
        at = torch.as_tensor(positions)
        at = at if at.dtype == torch.bool else _integers(at)
        own = self.source_ids[at.cpu().numpy()]
        at = at.to(self.labels.device)
        return Examples(self._gather(at), self.labels[at], self.ids[at], own)

    def subset(self, ids: Ids) -> "Examples":
        """The examples with these ids, in the order of `ids`.

        Raises:
            IndexError: an id is not here.
        """
        return self._select(self._positions(ids))

    def without(self, ids: Ids) -> "Examples":
        """The examples whose id is not in `ids`, order kept.

        Raises:
            IndexError: an id is not here.
        """
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[self._positions(ids)] = False
        return self._select(kept)

    def join(self, other: "Examples") -> "Examples":
        """These examples, then those of `other`."""
        return Examples(
            torch.cat([self.images, other.images]),
            torch.cat([self.labels, other.labels]),
            torch.cat([self.ids, other.ids]),
            np.concatenate([self.source_ids, other.source_ids]),
        )

    def relabel(self, labels: Tensor) -> "Examples":
        """The same examples with other labels, (n,) or (n, C)."""
        return replace(self, labels=labels)

    def view(self) -> "View":
        """The same examples; what is cut out of them shares their images."""
        return View(self.images, self.labels, self.ids, self.source_ids)

    def _gather(self, at: Tensor) -> Tensor:
        return self.images[at]

    def _select(self, at: Tensor) -> "Examples":
        return self.take(at)

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


class View(Examples):
    """Examples whose images stay where they are: a batch of them is gathered when it is taken, and never all.

    `subset`, `without`, `join` and `relabel` make views of the same images. Memory: O(n) for n examples of any size.

    Args:
        images: of all that the views are of.
        labels: as of `Examples`.
        ids: as of `Examples`.
        source_ids: as of `Examples`.
        rows: int64 (n,), where the images of these examples are; None: all of them, in order.

    Example:
        >>> from unmemorize.data import load
        >>> train = load("digits").train
        >>> rest = train.view().without([0, 1])
        >>> len(rest), bool((rest.take([0]).images == train.images[2]).all())
        (1293, True)
    """

    _all: Tensor
    _rows: Tensor

    def __init__(
        self, images: Tensor, labels: Tensor, ids: Tensor, source_ids: np.ndarray, rows: Tensor | None = None
    ) -> None:
        rows = torch.arange(len(images), device=images.device) if rows is None else rows
        parts = {"_all": images, "_rows": rows, "labels": labels, "ids": ids, "source_ids": source_ids}
        self.__dict__.update(parts)  # the class is frozen

    @property
    def images(self) -> Tensor:
        """All of them: a copy."""
        return self._gather(slice(None))

    def join(self, other: Examples) -> Examples:
        """These examples, then those of `other`; a view if `other` is one of the same images."""
        if not isinstance(other, View) or other._all is not self._all:
            return super().join(other)
        labels, ids, rows = (
            torch.cat([getattr(self, name), getattr(other, name)]) for name in ("labels", "ids", "_rows")
        )
        return View(self._all, labels, ids, np.concatenate([self.source_ids, other.source_ids]), rows)

    def relabel(self, labels: Tensor) -> Examples:
        """The same examples with other labels, (n,) or (n, C)."""
        return View(self._all, labels, self.ids, self.source_ids, self._rows)

    def to(self, device: torch.device | str) -> Examples:
        """The same examples on another device; nothing is copied if they are there."""
        images, labels, ids, rows = (t.to(device) for t in (self._all, self.labels, self.ids, self._rows))
        return View(images, labels, ids, self.source_ids, rows)

    def _gather(self, at: Tensor | slice) -> Tensor:
        return self._all[self._rows[at]]

    def _select(self, at: Tensor) -> Examples:
        own, at = self.source_ids[at.numpy()], at.to(self.labels.device)
        return View(self._all, self.labels[at], self.ids[at], own, self._rows[at])


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
