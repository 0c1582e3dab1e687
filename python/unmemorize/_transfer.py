"""Values on their way from a device to the CPU, while the device and the program go on with something else."""

import sys
from functools import cache
from typing import Any

from unmemorize import _arrays


class Transfer:
    """Copies of arrays and tensors, taken now: what is done to them later does not reach the copies.

    Tensors on a device are copied there, in the order of what it has been told to do, and from there to pinned memory
    by a stream of its own. So neither the device nor the program waits. Pinned memory is torch's to keep and to use
    again; only asking the system for more of it takes time. A device without streams keeps its copies until they are
    asked for. There is no thread that could be lost in a fork or hold up the end of the program.

    Args:
        values: arrays, sequences and tensors.
        names: what errors call them.
        device: of those that are not on the CPU.
    """

    def __init__(self, values: tuple[object, ...], names: tuple[str, ...], device: Any) -> None:
        self._values = [
            x.detach().to(device, copy=True) if _arrays.on_device(x) else _arrays.copied(x, name)
            for x, name in zip(values, names, strict=True)
        ]
        self._event: Any = None
        backend: Any = getattr(sys.modules["torch"], device.type, None)  # torch.cuda, for instance
        if hasattr(backend, "Stream"):
            beside = _stream(device)
            beside.wait_stream(backend.current_stream(device))
            with backend.stream(beside):
                self._values = [_sent(x, beside) if _arrays.on_device(x) else x for x in self._values]
            self._event = beside.record_event()

    @property
    def arrived(self) -> bool:
        """Whether all copies are in the memory of the CPU already."""
        return self._event is not None and self._event.query()

    def wait(self) -> list[Any]:
        """The copies, waiting for these alone and for nothing that the device was told later."""
        if self._event is not None:
            self._event.synchronize()
        return self._values


@cache
def _stream(device: Any) -> Any:
    return getattr(sys.modules["torch"], device.type).Stream(device)


def _sent(x: Any, stream: Any) -> Any:
    x.record_stream(stream)  # so that its memory is not used again before it is read
    return x.to("cpu", non_blocking=True)
