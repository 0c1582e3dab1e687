"""What a batch holds, and a pass in evaluation mode that records it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from unmemorize.events import LearningEvents
from unmemorize.loops.ids import KEY

Read = Callable[[Any], tuple[Any, Any]]
LABELS = ("labels", "label")  # keys of a batch that is a mapping


def read(batch: Any) -> tuple[Any, Any]:
    """Ids and labels of a batch ``(x, ..., labels, ids)``, or of a mapping with "id" and "labels" or "label".

    Raises:
        ValueError: there are no ids in it.

    Example:
        >>> read(("images", "labels", "ids"))
        ('ids', 'labels')
    """
    if isinstance(batch, Mapping):
        labels = next((key for key in LABELS if key in batch), None)
        if KEY in batch and labels is not None:
            return batch[KEY], batch[labels]
        found = f"the keys {', '.join(map(str, batch))}"
    elif isinstance(batch, tuple | list):
        if len(batch) >= 3:
            return batch[-1], batch[-2]
        found = f"{len(batch)} parts"
    else:
        found = type(batch).__name__
    raise ValueError(
        f"batch: expected (x, labels, ids) or a mapping with '{KEY}' and 'labels', got {found}; wrap the training set "
        "in unmemorize.loops.WithIds, or say how to read a batch"
    )


@torch.no_grad()
def record(
    events: LearningEvents, model: nn.Module, loader: Iterable[Any], *, epoch: int, device: torch.device | str = "cpu"
) -> None:
    """One pass over the training set in evaluation mode, recorded: what a tracker of mode "eval" gets each epoch.

    Args:
        events: of mode "eval".
        model: a classifier of the first part of a batch; its mode is kept.
        loader: of batches ``(x, labels, ids)``, not augmented.
        epoch: the number of the epoch, from 0.
        device: where the model is.

    Raises:
        ValueError: the tracker is of mode "train", or a batch has no ids.
    """
    if events.mode != "eval":
        raise ValueError(f'events: expected LearningEvents(n, mode="eval"), got mode {events.mode!r}')
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for batch in loader:
            ids, labels = read(batch)
            events.update(ids, model(batch[0].to(device)), labels, epoch=epoch)
    finally:
        for module, mode in modes:
            module.training = mode
