"""Ids of the examples of each batch, read off the sampler of a loader."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class SamplerTap(Sampler[Any]):
    """A sampler, or batch sampler, that remembers what it hands out, for data sets whose items cannot be changed.

    A loader reads its sampler ahead of its batches but in their order, with any number of worker processes, so the ids
    of a batch are the next ones that wait here. Each pass over the loader starts anew. The loader must keep that order
    (``in_order=True``, the default) and leave no item out.

    Args:
        sampler: of positions in the data set, or of lists of them. Of `WithIds` around a subset, they are positions in
            the subset.

    Example:
        >>> from torch.utils.data import DataLoader, RandomSampler
        >>> data = [10.0, 11.0, 12.0, 13.0]
        >>> tap = SamplerTap(RandomSampler(data))
        >>> for x in DataLoader(data, sampler=tap, batch_size=2):
        ...     assert (tap.take(len(x)) + 10.0 == x.numpy()).all()
    """

    def __init__(self, sampler: Iterable[Any]) -> None:
        self.sampler = sampler
        self._waiting: deque[int] = deque()

    def __iter__(self) -> Iterator[Any]:
        waiting: deque[int] = deque()  # of this pass alone: one that was broken off may still be read ahead
        self._waiting = waiting
        for drawn in self.sampler:
            if isinstance(drawn, Iterable):
                drawn = list(drawn)
                waiting.extend(int(index) for index in drawn)
            else:
                waiting.append(int(drawn))
            yield drawn

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def take(self, count: int) -> NDArray[np.int64]:
        """int64 (count,): the ids of the next `count` examples that come out of the loader.

        Raises:
            RuntimeError: fewer are waiting, so this is not the sampler of the loader that is read.
        """
        if count > len(self._waiting):
            raise RuntimeError(
                f"sampler tap: expected the ids of {count} examples, {len(self._waiting)} are waiting; give the tap to "
                "the loader as its sampler or batch_sampler and take once for each batch"
            )
        return np.array([self._waiting.popleft() for _ in range(count)], dtype=np.int64)

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to a sampler that shuffles by it, as `DistributedSampler` does."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)
