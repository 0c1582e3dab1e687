"""Learning events of several processes, brought together."""

import tempfile
from pathlib import Path

from torch import distributed

from unmemorize.events import LearningEvents


def gather(events: LearningEvents) -> LearningEvents:
    """Bring what every process has recorded since the last call to the first one; every process calls it, each epoch.

    Called after each epoch, it gives what one process would have recorded: what `DistributedSampler` adds to make equal
    shares counts once, as long as the updates name their epoch. Called at the end only, the order of the sights of an
    example is lost, and with it the number of forgetting events.

    Returns:
        In the first process `events` itself, with all that was seen; in the others a new, empty tracker to go on with.
        Without `torch.distributed`, `events`.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return events
    first = distributed.get_rank() == 0
    parts: list[bytes] = [b""] * distributed.get_world_size()
    distributed.all_gather_object(parts, b"" if first else to_bytes(events))
    if not first:
        return LearningEvents(len(events), mode=events.mode)
    for part in parts[1:]:
        events.merge(from_bytes(part))
    return events


def to_bytes(events: LearningEvents) -> bytes:
    """What `LearningEvents.save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.safetensors"
        events.save(path)
        return path.read_bytes()


def from_bytes(content: bytes) -> LearningEvents:
    """What `LearningEvents.load` reads.

    Raises:
        StoreError: it is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.safetensors"
        path.write_bytes(content)
        return LearningEvents.load(path)
