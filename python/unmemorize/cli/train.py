"""`unmemorize train`: a model with its learning events recorded."""

from typing import Annotated

import torch
import typer
from rich import print as say

from unmemorize import Context, LearningEvents, data, models
from unmemorize import train as training
from unmemorize.cli import manifest
from unmemorize.cli.options import Config, DataName, DataSeed, Device, Noise, Normalize, Out, Seed, Threads, ValShare


def command(
    data_name: DataName,
    out: Out,
    recipe: Annotated[str, typer.Option(help="One of the training recipes.")] = "digits",
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 1,
    config: Config = None,
) -> None:
    """Train a model and record its learning events: model.safetensors, events.safetensors, manifest.json."""
    torch.set_num_threads(threads)
    ctx = Context(device=device, seed=seed, run_dir=out / "state")
    of = data.load(
        data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed, device=str(ctx.device)
    )
    plan = training.resolve(recipe)
    origin = {"model": plan.model, "recipe": recipe, "data_hash": of.hash, "seed": seed}
    identity = manifest.claim(out, command="train", **origin)
    events = LearningEvents(len(of.train))
    model = training.fit(models.build(plan.model, of, seed=seed), of.train, plan, ctx, events=events)
    seconds = training.seconds_in(out / "state")
    accuracy = {name: ctx.accuracy(model, part) for name, part in of.parts.items()}
    training.save_checkpoint(out / "model.safetensors", model, **origin, train_seconds=seconds)
    events.save(out / "events.safetensors")
    about = {"data": data_name, "noise": noise, "data_seed": data_seed, **origin}
    manifest.write(out, identity=identity, seconds=seconds, accuracy=accuracy, **about)
    say(f"{out / 'model.safetensors'}: accuracy ↑ " + ", ".join(f"{k} {v:.4f}" for k, v in accuracy.items()))
