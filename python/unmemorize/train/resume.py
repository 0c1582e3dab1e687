"""Where a training stopped, so that one that was killed goes on with the same bits."""

import hashlib
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from unmemorize.data import Examples
from unmemorize.train.checkpoint import read_tensors, write_tensors
from unmemorize.train.context import Context
from unmemorize.train.recipes import Recipe
from unmemorize.train.recorder import Recorder

BLOCK = 256  # images at once
STATE = "state.safetensors"  # written last: its epoch names the learning events that belong to it


class Resume:
    """The saved state of one training, in a folder of its own below `run_dir`.

    The folder is named by a hash over all that the training follows from (recipe, random state, examples, initial
    parameters), so that any number of trainings share a `run_dir` and none goes on from another's state.
    """

    def __init__(
        self,
        ctx: Context,
        model: nn.Module,
        optimizer: Optimizer,
        events: Recorder | None,
        identity: str,
    ) -> None:
        assert ctx.run_dir is not None
        self._ctx, self._model, self._optimizer, self._events = ctx, model, optimizer, events
        self._folder = Path(ctx.run_dir) / f"fit-{identity[:16]}"
        self._saved = self._began = monotonic()
        self._before = 0.0  # seconds, of what goes on here
        self.notes: Any = None  # what else the loop knows between epochs, as JSON can hold it

    def load(self) -> int:
        """Bring model, optimizer, events and random state to where they were; the number of epochs already done.

        Raises:
            StoreError: a file is damaged.
            ValueError: the events hold something already, which resuming would count twice.
        """
        if not (self._folder / STATE).exists():
            return 0
        tensors, meta = read_tensors(self._folder / STATE)
        epoch = int(str(meta["epoch"]))
        if self._events is not None:
            if self._events.seen.any():
                raise ValueError(
                    "events: expected a new tracker for a training that goes on, got one that has seen examples"
                )
            self._events.merge(type(self._events).load(self._events_of(epoch)))
        self._model.load_state_dict(_under(tensors, "model/"))
        self._load_optimizer(_under(tensors, "optimizer/"))
        self._ctx.generator.set_state(tensors["generator"])
        self.notes, self._before = meta.get("notes"), _seconds(meta)
        return epoch

    def save(self, epoch: int, *, last: bool) -> None:
        """Save after `epoch` epochs, if it is time or the `last` was done."""
        if not last and monotonic() - self._saved < self._ctx.save_every:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._events is not None:
            self._events.save(self._events_of(epoch))
        model = {f"model/{key}": value for key, value in self._model.state_dict().items()}
        generator = {"generator": self._ctx.generator.get_state()}
        seconds = self._before + monotonic() - self._began
        meta: dict[str, object] = {"epoch": epoch, "notes": self.notes, "seconds": seconds}
        write_tensors(self._folder / STATE, {**model, **self._optimizer_tensors(), **generator}, meta)
        for path in self._folder.glob("events-*"):
            if path != self._events_of(epoch):
                path.unlink()
        self._saved = monotonic()

    def _events_of(self, epoch: int) -> Path:
        return self._folder / f"events-{epoch}.safetensors"

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        state = self._optimizer.state_dict()["state"]
        return {
            f"optimizer/{index}/{key}": value
            for index, values in state.items()
            for key, value in values.items()
            if isinstance(value, Tensor)
        }

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, key = name.split("/", 1)
            parameter = parameters[int(index)].detach()
            if value.shape == parameter.shape:  # fused steps walk through memory: they need the parameter's own layout
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(index), {})[key] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})


def identity(model: nn.Module, examples: Examples, recipe: Recipe, ctx: Context, events: Recorder | None) -> str:
    """SHA-256 over all that the result of a training follows from."""
    recorded = (type(events).__name__, events.mode) if events is not None else None
    loss = "" if ctx.criterion is cross_entropy else told(ctx.criterion)
    blocks = torch.arange(len(examples)).split(BLOCK)  # type: ignore[no-untyped-call]
    images = (examples.take(part).images for part in blocks)
    given = (examples.labels, examples.ids, ctx.generator.get_state(), *model.state_dict().values())
    return fingerprint(f"{recipe.hash} {ctx.dtype} {recorded}{loss}", chain(images, given))


def told(what: Any, *more: object) -> str:
    """A loss or the like by its repr, as that of a dataclass, by what a repr does not tell, and by `more`."""
    parts: list[Any] = [what]
    if isinstance(what, nn.Module):
        parts += [value for value in vars(what).values() if isinstance(value, str | int | float)]
        parts += [tensor.tolist() for tensor in what.state_dict().values()]
    if code := getattr(what, "__code__", None):
        cells = what.__closure__ or ()
        parts += [code.co_code, code.co_consts, what.__defaults__, *(cell.cell_contents for cell in cells)]
    return re.sub(" at 0x[0-9a-f]+", "", repr([*parts, *more]))


def seconds_in(run_dir: str | Path) -> float:
    """Wall seconds of the trainings that `run_dir` keeps, however often they were interrupted; 0 of none."""
    return sum(_seconds(read_tensors(path)[1]) for path in Path(run_dir).glob(f"fit-*/{STATE}"))


def _seconds(meta: dict[str, object]) -> float:
    return float(str(meta.get("seconds", 0.0)))


def fingerprint(text: str, tensors: Iterable[Tensor]) -> str:
    """SHA-256 over a text, and type, shape and content of tensors."""
    digest = hashlib.sha256(text.encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
