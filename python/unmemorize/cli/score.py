"""`unmemorize score`: how strongly each training example is memorized."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import print as say
from rich.console import Console

from unmemorize import LearningEvents, data
from unmemorize.cli import manifest
from unmemorize.cli.options import Config, DataName, DataSeed, Noise, Normalize, Out, Seed, ValShare, Workers
from unmemorize.cli.stages import Stages
from unmemorize.experiment import Experiment, Settings, write_scores


def command(
    data_name: DataName,
    out: Out,
    events: Annotated[
        Path | None, typer.Option(help="Learning events of a training run: proxies only, at no cost.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Recipe of the model and of the subset models.")] = "digits",
    models: Annotated[int, typer.Option(min=2, help="Subset models for the exact scores.")] = 100,
    ratio: Annotated[float, typer.Option(help="Share of the training set in each subset.")] = 0.7,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    workers: Workers = None,
    config: Config = None,
) -> None:
    """Write scores.csv: proxies from learning events, or with exact memorization from an ensemble trained here."""
    if events is not None:
        of = data.load(data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed)
        record = LearningEvents.load(events)
        if len(record.seen) != len(of.train):
            raise ValueError(f"{events}: holds {len(record.seen)} examples, the training split has {len(of.train)}")
        beside = events.parent / "manifest.json"
        trained_on = json.loads(beside.read_text(encoding="utf-8")).get("data_hash") if beside.exists() else None
        if trained_on not in (None, of.hash):
            raise ValueError(
                f"{events}: recorded on data with hash {trained_on[:12]}, but {of.name!r} as loaded here has hash "
                f"{of.hash[:12]}; give the same --data, --noise and --data-seed"
            )
        identity = manifest.claim(out, command="score", data_hash=of.hash, events=events)
        write_scores(out / "scores.csv", of, record.proxies())
        manifest.write(out, identity=identity, data=data_name, data_hash=of.hash)
    else:
        where: dict[str, Any] = {"data": data_name, "noise": noise, "data_seed": data_seed}
        where |= {"val_share": val_share, "normalize": normalize}
        settings = Settings(**where, recipe=recipe, seed=seed, models=models, ratio=ratio, runs=1)
        with Stages(Console(stderr=True)) as stages:
            study = Experiment(out, settings, workers=workers, progress=stages.update)
            stages.begin("original")
            study.train_originals()
            stages.begin("ensemble")
            study.train_ensemble()
        scores = study.score()
        manifest.write(out, data=data_name, data_hash=study.data.hash, seeds=settings.seeds(), seconds=stages.seconds)
        say(f"split-half reliability ↑ {scores.reliability} (T = {models})")
    say(f"{out / 'scores.csv'}")
