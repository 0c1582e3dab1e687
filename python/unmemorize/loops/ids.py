"""A data set whose items say which they are."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

KEY = "id"  # of the id in an item that is a mapping


class WithIds(Dataset[Any]):
    """Any map-style data set, with the position of each item added to it.

    A tuple ``(x, y)`` becomes ``(x, y, id)``, a mapping (an item of Hugging Face's `datasets`) gets the key "id", and
    anything else becomes ``(item, id)``. Ids are positions in `dataset`: wrap before subsets are taken, so that the ids
    of a subset are those of the whole.

    Args:
        dataset: has ``__getitem__`` and ``__len__``: torchvision's `ImageFolder`, a `TensorDataset`, a list, ...

    Raises:
        TypeError: the data set has no length or no items by position, as an `IterableDataset`.

    Example:
        >>> data = WithIds([("image", 3), ("another", 7)])
        >>> data[1], data[-2]
        (('another', 7, 1), ('image', 3, 0))
    """

    def __init__(self, dataset: Any) -> None:
        for method in ("__getitem__", "__len__"):
            if not hasattr(dataset, method):
                raise TypeError(
                    f"dataset: expected a map-style data set, got {type(dataset).__name__} without {method}"
                )
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        at = self._position(index)
        return self._join(self.dataset[at], at)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Several items at once, as the loaders ask for them; at once from `dataset` too, if it can."""
        at = [self._position(index) for index in indices]
        many = getattr(self.dataset, "__getitems__", None)
        items = many(at) if many is not None else [self.dataset[position] for position in at]
        return [self._join(item, position) for item, position in zip(items, at, strict=True)]

    def _position(self, index: int) -> int:
        at, n = operator.index(index), len(self)
        if not -n <= at < n:
            raise IndexError(f"index: {at} is out of range for a data set of {n} examples")
        return at % n

    @staticmethod
    def _join(item: Any, at: int) -> Any:
        if isinstance(item, Mapping):
            if KEY in item:
                raise ValueError(f"dataset: its items have a key {KEY!r} already; rename it or use it as it is")
            return {**item, KEY: at}
        return (*item, at) if isinstance(item, tuple) else (item, at)
