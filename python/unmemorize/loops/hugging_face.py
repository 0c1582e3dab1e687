"""Learning events in a training by the `Trainer` of Hugging Face's transformers."""

from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from unmemorize.events import LearningEvents
from unmemorize.loops.ids import KEY
from unmemorize.loops.tracker import Tracker

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    raise ImportError('the callback for transformers needs it: pip install "unmemorize[hf]"') from error

FILE = "learning_events.safetensors"  # in each checkpoint of the trainer


class LearningEventsCallback(TrainerCallback):  # type: ignore[misc]
    """Records learning events from the forward pass of each training step.

    The training set gives ids under the key "id": wrap it in `WithIds`, and keep them from being dropped by
    ``TrainingArguments(remove_unused_columns=False)``. They are taken out again before the model sees them. The model
    gets its labels, as it does unless the trainer smooths them. What was recorded is saved in each checkpoint of the
    trainer and taken up when it resumes from one. In a distributed training the events of all processes are brought to
    the first after each epoch.

    Args:
        events: one for each example of the training set; read it when the training is done.

    Raises:
        ValueError: the events are of mode "eval".

    Example:
        ``Trainer(..., callbacks=[LearningEventsCallback(LearningEvents(len(train_set)))])``
    """

    def __init__(self, events: LearningEvents) -> None:
        self._tracker, self._epoch = Tracker(events), 0
        self._hooks: list[RemovableHandle] = []
        self._batch: tuple[Any, Any] | None = None

    @property
    def events(self) -> LearningEvents:
        """What was recorded; in a distributed training, in the first process."""
        return self._tracker.events

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: nn.Module, **_: Any) -> None:
        """Watch the model, and go on from the events of the checkpoint that the trainer goes on from.

        Raises:
            FileNotFoundError: the checkpoint was written without this callback.
        """
        if state.global_step:
            path = self._checkpoint(args, state) / FILE
            if state.is_world_process_zero:
                self._tracker.resume(LearningEvents.load(path))
        self._tracker.watch(model)
        self._hooks = [
            model.register_forward_pre_hook(self._take_ids, with_kwargs=True),
            model.register_forward_hook(self._record),
        ]

    def _take_ids(self, model: nn.Module, arguments: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        ids, labels = options.pop(KEY, None), options.get("labels")
        if model.training:
            if ids is None:
                raise ValueError(
                    f"batch: no '{KEY}' among {', '.join(options)}; wrap the training set in unmemorize.loops.WithIds "
                    "and set remove_unused_columns=False"
                )
            if labels is None:
                raise ValueError(f"batch: no 'labels' among {', '.join(options)}; label smoothing takes them away")
            self._batch = ids, labels
        return arguments, options

    def _record(self, model: nn.Module, _inputs: Any, _output: Any) -> None:
        if model.training and self._batch is not None:
            (ids, labels), self._batch = self._batch, None
            self._tracker.update(ids, labels, self._epoch)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the epoch."""
        self._epoch = int(state.epoch or 0)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Bring the processes together."""
        self._tracker.gather()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save beside the trainer's own checkpoint."""
        self._tracker.gather()
        if state.is_world_process_zero:
            self.events.save(self._checkpoint(args, state) / FILE)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let go of the model."""
        self._tracker.close()
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    @staticmethod
    def _checkpoint(args: Any, state: Any) -> Path:
        return Path(args.output_dir) / f"checkpoint-{state.global_step}"
