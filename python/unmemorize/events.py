"""Learning events: what one training run says about every example, gathered while it runs."""

import threading
from collections import deque
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize._transfer import Transfer

Mode = Literal["train", "eval"]

PROXIES = {
    "confidence": -1,
    "max_confidence": -1,
    "entropy": 1,
    "accuracy": -1,
    "loss": 1,
    "margin": -1,
    "el2n": 1,
    "variability": 1,
    "forgetting_events": 1,
    "first_learned": 1,
}
"""Name of each statistic, and the sign that turns it to higher = more memorized."""

_LAST_EPOCH = 2**31 - 2
_WAITING_BYTES = 64 << 20  # of logits that may be on their way from a device


@dataclass(frozen=True)
class _Batch:
    """A batch that comes from a device."""

    transfer: Transfer
    epoch: int | None
    bytes: int  # of its logits
    n_threads: int | None


class LearningEvents:
    """Running statistics of every training example over one training run.

    Two lines attach it to any training loop: one before it, and one in it, after the forward pass::

        events = LearningEvents(n_examples)
        ...
        events.update(ids, logits, labels, epoch=epoch)

    It holds 80 bytes an example, whatever the number of epochs and classes, and up to 3.5 MB of room for the batch at
    hand. Calls from several threads wait for each other. Logits on a GPU are not waited for: each update sends its own
    on their way to the CPU and records what has arrived of those before, in their order; the results, when asked for,
    wait for the rest. A bad value among them is reported then. Only where 64 MiB are on their way does an update wait,
    for the oldest batch.

    Args:
        n_examples: How many training examples there are; ids are 0 to n_examples - 1.
        mode: Which forward pass is recorded: "train", the pass of the training step itself, or "eval", a pass in
            evaluation mode after each epoch. It is kept as a label, and trackers of different modes do not merge.

    Raises:
        ValueError: If ``n_examples`` is negative or too large for the memory, or the mode is unknown.

    Source:
        Statistics: confidence, max confidence, entropy and accuracy (Zhao & Triantafillou 2024, arXiv
        2410.16516); margin (Pleiss et al. 2020); el2n (Paul et al. 2021); forgetting events (Toneva et al. 2019);
        variability (Swayamdipta et al. 2020); loss (its sum is the cumulative sample loss).

    Example:
        >>> events = LearningEvents(3)
        >>> events.update([0, 2], np.array([[0.0, 0.0], [3.0, -3.0]]), [0, 1])
        >>> events.scores()["confidence"].round(4)
        array([0.5   ,    nan, 0.0025])
        >>> events.seen
        array([1, 0, 1])
    """

    def __init__(self, n_examples: int, *, mode: Mode = "train") -> None:
        self._core = _core.LearningEvents(
            _arrays.count(n_examples, "n_examples", 0), _arrays.choice(mode, "mode", ("train", "eval"))
        )
        self._waiting: deque[_Batch] = deque()
        self._refused: deque[Exception] = deque()  # what was wrong with batches from a device
        self._lock = threading.RLock()  # of these two: batches are recorded in their order

    def update(
        self,
        ids: ArrayLike,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        epoch: int | None = None,
        n_threads: int | None = None,
    ) -> None:
        """Records one batch of one forward pass. A call that fails records nothing.

        Args:
            ids: Integers (b,), 0 to n_examples - 1: the example in each row. An id may repeat.
            logits: (b, C) in float16, bfloat16, float32 or float64, finite; C at least 2. Array or tensor, any device.
            labels: Integers (b,), 0 to C - 1. One that changes from sight to sight counts as it was given each time. Of
                smoothed labels give the class; of mixed images record a pass in evaluation mode on the images
                themselves.
            epoch: The number of the epoch, from 0 to 2^31 - 2. An example counts once in an epoch: further rows of
                it (a sampler that pads its last batch, a batch given twice) are passed over. It may not go back. None:
                every row is one more sight of its example, the nth sight being epoch n - 1.
            n_threads: Threads to use; None means all that the process may use.

        Raises:
            IndexError: If an id is out of range.
            TypeError: If ids or labels are not integers, or logits are not floating point.
            ValueError: If shapes do not match, a label is out of range, a logit is NaN or infinite, or the epoch goes
                back or is given in some updates only.
        """
        if epoch is not None:
            epoch = _arrays.count(epoch, "epoch", 0, _LAST_EPOCH)
        if _arrays.on_device(logits):
            _arrays.threads(n_threads)  # a wrong number is said now
            self._send(ids, logits, labels, epoch, n_threads)
            return
        if self._waiting or self._refused:
            self.flush()
        self._record(ids, logits, labels, epoch, n_threads)

    def _record(self, ids: object, logits: object, labels: object, epoch: int | None, n_threads: int | None) -> None:
        z = _arrays.logits(logits)
        n_threads = _arrays.threads(n_threads, z.size)
        self._core.update(_arrays.integers(ids, "ids"), z, _arrays.integers(labels, "labels"), epoch, n_threads)

    def _send(self, ids: Any, logits: Any, labels: Any, epoch: int | None, n_threads: int | None) -> None:
        """Sends a batch on its way, and records those that have arrived; waits for some only if there are too many."""
        transfer = Transfer((ids, logits, labels), ("ids", "logits", "labels"), logits.device)
        with self._lock:
            self._waiting.append(_Batch(transfer, epoch, logits.numel() * logits.element_size(), n_threads))
            while self._waiting and (
                self._waiting[0].transfer.arrived or sum(b.bytes for b in self._waiting) > _WAITING_BYTES
            ):
                self._record_oldest()

    def _record_oldest(self) -> None:
        batch = self._waiting.popleft()
        ids, logits, labels = batch.transfer.wait()
        try:
            self._record(ids, logits, labels, batch.epoch, batch.n_threads)
        except (ValueError, IndexError, TypeError) as error:
            self._refused.append(error)

    def flush(self) -> None:
        """Records the batches that are still on their way; everything that reads the results does so itself.

        Raises:
            ValueError, IndexError, TypeError: As `update`, for the first bad batch that no flush has named yet. Bad
                batches are left out, the others are recorded.
        """
        with self._lock:
            while self._waiting:
                self._record_oldest()
            if self._refused:
                raise self._refused.popleft()

    def scores(self, *, n_threads: int | None = None) -> dict[str, NDArray[np.float64]]:
        """The statistics, each with its own sign: means over the sights of an example, unless said otherwise.

        p is the softmax of the logits z, y the label.

        Returns:
            float64 (n,) each, NaN where an example was never seen:

            * ``confidence``: p[y], ``max_confidence``: max p, ``accuracy``: whether y is the (first) largest z;
            * ``entropy``: -sum p ln p in nats, ``loss``: -ln p[y];
            * ``margin``: z[y] minus the largest other z, ``el2n``: ||p - onehot(y)||_2;
            * ``variability``: the standard deviation of p[y] over the sights;
            * ``forgetting_events``: how often it was right and then wrong; infinite if never right, NaN where a merge
              lost the order of the sights;
            * ``first_learned``: the first epoch in which it was right; infinite if never.
        """
        self.flush()
        return self._core.scores(_arrays.threads(n_threads))

    def proxies(self, *, n_threads: int | None = None) -> dict[str, NDArray[np.float64]]:
        """The same as `scores`, each turned so that higher = more memorized."""
        return {name: PROXIES[name] * score for name, score in self.scores(n_threads=n_threads).items()}

    @property
    def seen(self) -> NDArray[np.int64]:
        """int64 (n,): how often each example was seen."""
        self.flush()
        return self._core.seen()

    @property
    def mode(self) -> Mode:
        """Which forward pass is recorded: "train" or "eval"."""
        return cast("Mode", self._core.mode)

    def __len__(self) -> int:
        """The number of examples that are tracked."""
        return len(self._core)

    def merge(self, other: "LearningEvents", *, n_threads: int | None = None) -> Self:
        """Adds what another tracker of the same examples has seen (a worker's, an earlier part of the run).

        An example that only one of them has seen is taken over bit by bit. For one that both have seen, with epochs:

        * Epochs that do not overlap give what one tracker would have given: counts exactly, sums to rounding.
        * An example whose only sight in one tracker is in the epoch that the other one ends with was seen twice in
          that epoch: it counts once. So workers that merge after every epoch lose nothing to padded samplers.
        * Overlapping epochs lose the order of the sights, and with it the number of forgetting events, which becomes
          NaN; all else stays exact.

        Without epochs, the sights of ``other`` come after those of ``self``.

        Returns:
            ``self``. A call that fails changes nothing.

        Raises:
            ValueError: If the trackers differ in size or mode, or only one of them was given epochs.
        """
        if not isinstance(other, LearningEvents):
            raise TypeError(f"other: expected LearningEvents, got {type(other).__name__}")
        self.flush()
        other.flush()
        self._core.merge(other._core, _arrays.threads(n_threads))
        return self

    def take(self, ids: ArrayLike, *, n_threads: int | None = None) -> Self:
        """A tracker of the examples ``ids`` (k,), in that order.

        Raises:
            IndexError: If an id is out of range.
        """
        self.flush()
        events, wanted = type(self)(0, mode=self.mode), _arrays.integers(ids, "ids", "(k,)")
        events._core = self._core.take(wanted, _arrays.threads(n_threads, len(wanted)))
        return events

    def forget(self, ids: ArrayLike) -> Self:
        """Drops all that is known of the examples ``ids`` (k,): they were never seen. A call that fails drops nothing.

        Raises:
            IndexError: If an id is out of range.
        """
        self.flush()
        self._core.forget(_arrays.integers(ids, "ids", "(k,)"))
        return self

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file: whole, or not at all."""
        self.flush()
        self._core.save(path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Reads what `save` wrote; the result goes on recording where that left off.

        Raises:
            FileNotFoundError: If there is no such file.
            StoreError: If it is damaged, cut short or of another kind.
        """
        events = cls(0)
        events._core = _core.LearningEvents.load(path)
        return events

    def __repr__(self) -> str:
        return f"LearningEvents({len(self)}, mode={self.mode!r})"
