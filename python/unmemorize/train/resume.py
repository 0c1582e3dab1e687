"""Where a training stopped, so that one that was killed goes on with the same bits."""

import json
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unmemorize._files import write_durably
from unmemorize.events import LearningEvents
from unmemorize.train.checkpoint import read_tensors, write_tensors
from unmemorize.train.context import Context

LATEST = "latest.json"  # names the newest complete state; written last


class Resume:
    """The saved state of one training in `ctx.run_dir`, or nothing where that is None.

    Args:
        ctx: gives the folder, the random state and how often to save.
        model: in place.
        optimizer: in place.
        events: in place, if learning events are recorded.
        identity: what makes it the same training, such as hashes of recipe and examples.

    Raises:
        FileExistsError: the folder holds another training.
    """

    def __init__(
        self,
        ctx: Context,
        model: nn.Module,
        optimizer: Optimizer,
        events: LearningEvents | None,
        identity: dict[str, Any],
    ) -> None:
        self._ctx, self._model, self._optimizer, self._events = ctx, model, optimizer, events
        self._identity = identity
        self._saved = monotonic()
        self.epoch = self._load() if ctx.run_dir is not None and (ctx.run_dir / LATEST).exists() else 0

    def after(self, epoch: int, *, last: bool) -> None:
        """Save if it is time; `epoch` is the one that has just ended."""
        if self._ctx.run_dir is None or not (last or monotonic() - self._saved >= self._ctx.save_every):
            return
        folder = self._ctx.run_dir
        folder.mkdir(parents=True, exist_ok=True)
        previous = list(folder.glob("epoch-*"))
        name = f"epoch-{epoch + 1}"
        random = {"random/batches": self._ctx.generator.get_state(), "random/torch": torch.get_rng_state()}
        model = {f"model/{key}": value for key, value in self._model.state_dict().items()}
        write_tensors(folder / f"{name}.safetensors", {**model, **random, **self._optimizer_tensors()}, {})
        if self._events is not None:
            self._events.save(folder / f"{name}-events.safetensors")
        write_durably(folder / LATEST, json.dumps({"epoch": epoch + 1, **self._identity}).encode())
        for path in previous:
            if not path.name.startswith((f"{name}.", f"{name}-")):
                path.unlink()
        self._saved = monotonic()

    def _load(self) -> int:
        folder = self._folder
        found = json.loads((folder / LATEST).read_text())
        for key, ours in self._identity.items():
            if found.get(key) != ours:
                raise FileExistsError(
                    f"{folder}: holds another training, with {key} {found.get(key)!r} where this one has {ours!r}; "
                    "name another run_dir, or remove it"
                )
        epoch = int(found["epoch"])
        tensors, _ = read_tensors(folder / f"epoch-{epoch}.safetensors")
        self._model.load_state_dict(_under(tensors, "model/"))
        self._load_optimizer(_under(tensors, "optimizer/"))
        self._ctx.generator.set_state(tensors["random/batches"])
        torch.set_rng_state(tensors["random/torch"])
        if self._events is not None:
            self._events.merge(LearningEvents.load(folder / f"epoch-{epoch}-events.safetensors"))
        return epoch

    @property
    def _folder(self) -> Path:
        assert self._ctx.run_dir is not None
        return self._ctx.run_dir

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        state = self._optimizer.state_dict()["state"]
        return {
            f"optimizer/{index}/{key}": value
            for index, values in state.items()
            for key, value in values.items()
            if isinstance(value, Tensor)
        }

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        content = self._optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, key = name.split("/", 1)
            state.setdefault(int(index), {})[key] = value
        self._optimizer.load_state_dict({**content, "state": state})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
