"""Learning events in a training by Lightning."""

from typing import Any

import numpy as np
import torch

from unmemorize.events import LearningEvents
from unmemorize.loops.gather import from_bytes, to_bytes
from unmemorize.loops.record import Read, read
from unmemorize.loops.tracker import Tracker

try:
    from lightning.pytorch.callbacks import Callback
except ModuleNotFoundError as error:
    raise ImportError('the callback for Lightning needs it: pip install "unmemorize[lightning]"') from error


class LearningEventsCallback(Callback):  # type: ignore[misc]
    """Records learning events from the forward pass of each training step, without a change to it.

    The training set gives ids (`WithIds`), or a `SamplerTap` knows them. What was recorded is saved in Lightning's
    own checkpoints and taken up when the training goes on from one. In a distributed training the events of all
    processes are brought to the first after each epoch.

    Args:
        events: one for each example of the training set; read it when the training is done.
        network: name of the submodule of the `LightningModule` whose output is the logits; "" is the module itself,
            called as ``self(x)`` in its training step. Where it runs several times in a step, the last counts.
        read: ids and labels of a batch. With a tap: ``lambda batch: (tap.take(len(batch[1])), batch[1])``.

    Raises:
        ValueError: the events are of mode "eval".

    Example:
        ``Trainer(callbacks=[LearningEventsCallback(LearningEvents(len(train_set)))])``
    """

    def __init__(self, events: LearningEvents, *, network: str = "", read: Read = read) -> None:
        self._tracker, self._network, self._read = Tracker(events), network, read

    @property
    def events(self) -> LearningEvents:
        """What was recorded; in a distributed training, in the first process."""
        return self._tracker.events

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Watch the network."""
        self._tracker.watch(pl_module.get_submodule(self._network))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record the step."""
        ids, labels = self._read(batch)
        self._tracker.update(ids, labels, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Bring the processes together."""
        self._tracker.gather()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Let go of the network."""
        self._tracker.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Let go of the network."""
        self._tracker.close()

    def state_dict(self) -> dict[str, Any]:
        """For Lightning's checkpoint: a tensor of bytes, so that it is read with `weights_only`."""
        content = np.frombuffer(to_bytes(self.events), dtype=np.uint8)
        return {"events": torch.from_numpy(content.copy())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From Lightning's checkpoint."""
        self._tracker.resume(from_bytes(state_dict["events"].numpy().tobytes()))
