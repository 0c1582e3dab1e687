"""`unmemorize bench`: what recording learning events costs a step of a training."""

from types import SimpleNamespace
from typing import Annotated

import torch
import typer
from rich import print as say

from unmemorize import Context, models
from unmemorize.cli.options import Config, Device, Threads
from unmemorize.report import text
from unmemorize.train import overhead


def command(
    model: Annotated[str, typer.Option(help="Network: one of the known names.")] = "convnet",
    classes: Annotated[int, typer.Option(min=2, help="Classes.")] = 10,
    side: Annotated[int, typer.Option(min=8, help="Pixels on each side of an image of three channels.")] = 32,
    batch: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 128,
    examples: Annotated[int, typer.Option(min=1, help="Training examples that are tracked.")] = 50_000,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks of each kind that take turns.")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="Steps in a block.")] = 1,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    threads: Threads = 1,
    config: Config = None,
) -> None:
    """Measure recording on against off in a training loop on random images, and print the share of a step."""
    torch.set_num_threads(threads)
    ctx = Context(device=device, dtype=dtype, batch_size=batch, progress=False)
    shape = (3, side, side)
    network = models.build(model, SimpleNamespace(shape=shape, n_classes=classes))
    found = overhead(network, shape, classes, ctx, n_examples=examples, blocks=blocks, steps=steps)
    where = torch.cuda.get_device_name(ctx.device) if "cuda" in str(ctx.device) else f"CPU, {threads} threads"
    say(f"{model}, C = {classes}, batch {batch}, {ctx.dtype} on {where}; medians of {blocks} pairs of {steps} steps")
    more, low, high = (
        text.percent(seconds / found.step) for seconds in (found.more.value, found.more.low, found.more.high)
    )
    say(f"step ↓ {text.duration(found.step)}; in learning events ↓ {text.duration(found.inside)}, "
        f"{text.percent(found.inside / found.step)} of a step; on against off ↓ {more} [{low}, {high}]")  # fmt: skip
    say(f"memory ↓ {found.memory / 2**20:.1f} MiB for {examples} examples")
