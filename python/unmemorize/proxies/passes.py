"""One pass of a proxy over the training set, which goes on where it was killed."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.train.checkpoint import read_tensors, write_tensors
from unmemorize.train.resume import fingerprint


class Pass:
    """Scores of the training examples, batch after batch; with `ctx.run_dir` they are kept there as they become known.

    The file is named by the proxy. It holds the scores so far, the random state, and what they follow from: a hash over
    the model, the examples, the arguments, precision, batch size and random state of the start.

    Args:
        proxy: its name.
        model: what is scored, a `still` one.
        train: the training examples.
        ctx: batch size, progress, `run_dir` and `save_every`.
        held_out: further examples that the scores follow from.
        arguments: of the proxy.

    Raises:
        FileExistsError: the file in `ctx.run_dir` is of something else.
        StoreError: it is damaged.
    """

    def __init__(
        self, proxy: str, model: nn.Module, train: Examples, ctx: Context, *, held_out: Examples | None = None,
        **arguments: object,
    ) -> None:  # fmt: skip
        self._proxy, self._train, self._ctx = proxy, train, ctx
        data = [tensor for part in (train, held_out) if part is not None for tensor in (part.images, part.labels)]
        self.identity = fingerprint(
            f"{proxy} {arguments} {ctx.dtype} {ctx.batch_size}",
            [*data, ctx.generator.get_state(), *model.state_dict().values()],
        )
        self._file = Path(ctx.run_dir) / f"{proxy}.safetensors" if ctx.run_dir is not None else None
        self._state = {"scores": torch.zeros(0, dtype=torch.float64), "generator": ctx.generator.get_state()}
        self._done = 0  # batches
        if self._file and self._file.exists():
            self._load(self._file)
        elif self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._save(self._file)

    def scores(self, score: Callable[[Examples], Tensor]) -> NDArray[np.float64]:
        """float64 (n,): `score` (b,) of each batch that is not known yet, after those that are."""
        ctx, start = self._ctx, self._done
        if start:
            ctx.generator.set_state(self._state["generator"])
        parts, saved = [self._state["scores"]], monotonic()
        steps = -(-len(self._train) // ctx.batch_size)
        batches = islice(ctx.batches(self._train, shuffle=False), start, None)
        for step, batch in zip(ctx.epochs(steps, self._proxy.replace("_", " "), start=start), batches, strict=True):
            parts.append(score(batch).double().cpu())
            if self._file and (step + 1 == steps or monotonic() - saved >= ctx.save_every):
                self._state = {"scores": torch.cat(parts), "generator": ctx.generator.get_state()}
                self._done = step + 1
                self._save(self._file)
                saved = monotonic()
        return torch.cat(parts).numpy()

    def _load(self, file: Path) -> None:
        self._state, meta = read_tensors(file)
        if meta.get("identity") != self.identity:
            raise FileExistsError(
                f"{file}: is of {self._proxy} {str(meta.get('identity'))[:16]}, this one is {self.identity[:16]} "
                "(another model, data set, argument or seed); name another run_dir, or remove it"
            )
        self._done = int(str(meta["batches"]))

    def _save(self, file: Path) -> None:
        write_tensors(file, self._state, {"identity": self.identity, "batches": self._done})
