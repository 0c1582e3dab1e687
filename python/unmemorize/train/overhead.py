"""What recording learning events costs a training loop, measured in one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from unmemorize import stats
from unmemorize.events import LearningEvents
from unmemorize.stats import Estimate
from unmemorize.train.context import Context

PAGE = 4096  # bytes, the unit of /proc/self/statm


@dataclass(frozen=True)
class Overhead:
    """Recording on against recording off, in blocks of steps that take turns.

    Attributes:
        step: seconds of a step without recording, the median of the blocks.
        inside: seconds of a step that are spent in the recording calls, the median of the blocks.
        more: seconds that a step with recording takes longer, the median of the paired differences with its interval.
            It holds what recording does to the rest of the step too, and the noise of the steps themselves.
        memory: bytes that the process grew by when every example had been recorded once; NaN where it cannot be told.
    """

    step: float
    inside: float
    more: Estimate
    memory: float


def overhead(
    model: nn.Module,
    shape: tuple[int, ...],
    n_classes: int,
    ctx: Context,
    *,
    n_examples: int = 50_000,
    blocks: int = 40,
    steps: int = 1,
) -> Overhead:
    """Train on random images with and without `LearningEvents`, in turns, and compare.

    A step is what `train.fit` does: a forward pass, the loss, a backward pass, SGD. On a GPU a block ends when the
    device is done and what waits there has been recorded, so that nothing is left out.

    Args:
        model: any classifier; it is trained on noise.
        shape: (channels, height, width) of an image.
        n_classes: C.
        ctx: device, precision, batch size, seed.
        n_examples: how many examples the tracker holds.
        blocks: of each kind, at least 2; the first pair is not counted.
        steps: in a block.

    Raises:
        ValueError: a number out of range.
    """
    if blocks < 2 or steps < 1 or n_examples < ctx.batch_size:
        raise ValueError(
            f"blocks, steps, n_examples: expected at least 2, 1 and the batch size {ctx.batch_size}, "
            f"got {blocks}, {steps}, {n_examples}"
        )
    model.to(ctx.device).train()
    optimizer, b = ctx.sgd(model, lr=1e-3), ctx.batch_size
    images = torch.randn(b, *shape, generator=ctx.generator).to(ctx.device)
    labels = torch.randint(n_classes, (b,), generator=ctx.generator).to(ctx.device)
    ids = torch.randperm(n_examples, generator=ctx.generator)[:b]  # scattered over the tracker, as in an epoch
    before = _resident()
    events = LearningEvents(n_examples)
    rows = np.zeros(n_examples, dtype=np.int64)
    events.update(np.arange(n_examples), np.zeros((n_examples, 2), dtype=np.float32), rows)
    memory = _resident() - before

    inside = []

    def block(recorded: bool) -> float:
        start, spent = perf_counter(), 0.0
        for _ in range(steps):
            logits = ctx.forward(model, images)
            ctx.step(optimizer, cross_entropy(logits, labels))
            if recorded:
                called = perf_counter()
                events.update(ids, logits.detach(), labels)
                spent += perf_counter() - called
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        if recorded:
            called = perf_counter()
            events.flush()
            inside.append((spent + perf_counter() - called) / steps)
        return (perf_counter() - start) / steps

    off, on = np.array([_turn(block, first=bool(turn % 2)) for turn in range(blocks + 1)])[1:].T
    more = stats.bootstrap_interval(on - off, "median", seed=ctx.seed)
    return Overhead(float(np.median(off)), float(np.median(inside[1:])), more, memory)


def _turn(block: Callable[[bool], float], *, first: bool) -> tuple[float, float]:
    """Seconds of a step (not recorded, recorded); `first`: the recorded one goes first."""
    if first:
        on = block(True)
        return block(False), on
    return block(False), block(True)


def _resident() -> float:
    """Bytes of this process that are in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * float(PAGE)
    except OSError:
        return float("nan")
