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
from unmemorize.cli.study import run as run_study
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
    study: Annotated[bool, typer.Option("--study", help="Compare every proxy with exact scores, or your own.")] = False,
    runs: Annotated[int, typer.Option(min=2, help="Of the study: training runs, each with its own seed.")] = 5,
    ensemble: Annotated[
        Path | None, typer.Option(help="Of the study: a store of subset models, instead of training one here.")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Of the study: your own scores by source_id (.csv, .parquet, .npz); no ensemble is trained then."
        ),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Of the study: a column of --scores, higher = more memorized; repeatable.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=0, help="Of the study: of each bootstrap over examples.")] = 1000,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    workers: Workers = None,
    config: Config = None,
) -> None:
    """Write scores.csv: proxies from learning events, or with exact memorization from an ensemble trained here.

    With --study: train several times, take every proxy, and say which of them agree with the exact scores, what each
    costs and how early it is good.
    """
    where: dict[str, Any] = {"data": data_name, "noise": noise, "data_seed": data_seed}
    where |= {"val_share": val_share, "normalize": normalize}
    if study:
        if (scores is None) != (not target):
            raise ValueError("--scores, --target: give both or neither; --target names a column of the file")
        settings = Settings(**where, recipe=recipe, seed=seed, models=models, ratio=ratio, runs=runs)
        say(str(run_study(out, settings, ensemble, scores, target or [], workers=workers, resamples=resamples)))
        return
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
        settings = Settings(**where, recipe=recipe, seed=seed, models=models, ratio=ratio, runs=1)
        with Stages(Console(stderr=True)) as stages:
            work = Experiment(out, settings, workers=workers, progress=stages.update)
            stages.begin("original")
            work.train_originals()
            stages.begin("ensemble")
            work.train_ensemble()
        found = work.score()
        manifest.write(out, data=data_name, data_hash=work.data.hash, seeds=settings.seeds(), seconds=stages.seconds)
        say(f"split-half reliability ↑ {found.reliability} (T = {models})")
    say(f"{out / 'scores.csv'}")
