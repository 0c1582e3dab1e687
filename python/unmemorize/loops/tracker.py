"""What the callbacks share: a tracker, and a network whose forward passes are watched."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from unmemorize.events import LearningEvents
from unmemorize.loops.gather import gather


class Tracker:
    """Learning events of the train-mode forward passes of a network.

    Args:
        events: of mode "train"; what was recorded is found here, in a distributed training in the first process.

    Raises:
        ValueError: the events are of mode "eval".
    """

    def __init__(self, events: LearningEvents) -> None:
        if events.mode != "train":
            raise ValueError(
                f'events: a callback records the forward pass of the training step, mode "train", got {events.mode!r}; '
                "for a pass in eval mode after each epoch call unmemorize.loops.record"
            )
        self.events = events
        self._logits: Tensor | None = None
        self._hooks: list[RemovableHandle] = []

    def watch(self, network: nn.Module) -> None:
        """Keep the output of each train-mode forward pass until it is recorded."""
        self.close()
        self._hooks = [network.register_forward_hook(self._keep)]

    def _keep(self, network: nn.Module, _inputs: Any, output: Any) -> None:
        if network.training and torch.is_grad_enabled():
            self._logits = logits_of(output).detach()

    def update(self, ids: Any, labels: Any, epoch: int) -> None:
        """Record the last forward pass.

        Raises:
            RuntimeError: there was none.
        """
        if self._logits is None:
            raise RuntimeError(
                "learning events: the watched network made no forward pass in train mode in this step; name the "
                "submodule whose output is the logits"
            )
        logits, self._logits = self._logits, None
        self.events.update(ids, logits, labels, epoch=epoch)

    def gather(self) -> None:
        """Bring the events of all processes to the first; each process calls it."""
        self.events = gather(self.events)

    def resume(self, saved: LearningEvents) -> None:
        """Go on from what an earlier part of the training recorded.

        Raises:
            ValueError: the events hold something already, which would be counted twice, or are of another size.
        """
        if self.events.seen.any():
            raise ValueError(
                "events: expected a new tracker for a training that goes on, got one that has seen examples"
            )
        self.events.merge(saved)

    def close(self) -> None:
        """Stop watching; what was recorded stays."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._logits = [], None


def logits_of(output: Any) -> Tensor:
    """The logits in what a network gives: the tensor itself, or its part "logits".

    Raises:
        TypeError: there are none.
    """
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if found is None and isinstance(output, dict):
        found = output.get("logits")
    if not isinstance(found, Tensor):
        raise TypeError(f"network: expected logits, or an output with a part 'logits', got {type(output).__name__}")
    return found
