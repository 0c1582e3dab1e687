"""`unmemorize unlearn`: a checkpoint and a list of examples in, an unlearned checkpoint and a report out."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import print as say

from unmemorize import Context, Ensemble, ForgetSet, audit, data, report, score_files, train
from unmemorize import unlearn as unlearning
from unmemorize.cli import manifest
from unmemorize.cli.files import read_model, read_source_ids, rows_of
from unmemorize.cli.options import (
    Config,
    DataName,
    DataSeed,
    Device,
    ModelName,
    Noise,
    Normalize,
    Out,
    Seed,
    Threads,
    ValShare,
)
from unmemorize.data import Data
from unmemorize.experiment import Cell, Steps, data_summary, forget_set_summary, method, preset


def command(
    checkpoint: Annotated[Path, typer.Option(help="The trained model: .safetensors, or a .pt state dict.")],
    data_name: DataName,
    out: Out,
    ids: Annotated[Path | None, typer.Option(help="What to forget: a CSV file with source ids.")] = None,
    forget_set: Annotated[Path | None, typer.Option(help="What to forget: a manifest of forget-set.")] = None,
    algorithm: Annotated[str, typer.Option(help="One of the unlearning algorithms.")] = "fine_tune",
    plan: Annotated[str, typer.Option(help="vanilla, shuffle or rum.")] = "vanilla",
    scores: Annotated[
        Path | None, typer.Option(help="Scores that cut the strata, by source_id: .csv, .parquet or .npz.")
    ] = None,
    by: Annotated[str, typer.Option(help="The score's column; higher = more memorized.")] = "confidence",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A hyper-parameter; may be repeated.")
    ] = None,
    tuned: Annotated[str | None, typer.Option("--preset", help="Tuned hyper-parameters, such as digits.")] = None,
    ensemble: Annotated[Path | None, typer.Option(help="Ensemble store: the targets of out_of_sample.")] = None,
    model_name: ModelName = None,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 1,
    config: Config = None,
) -> None:
    """Unlearn: model.safetensors, report.html, results.json, forget_set.json and manifest.json."""
    torch.set_num_threads(threads)
    ctx = Context(device=device, seed=seed, run_dir=out / "state")
    of = data.load(
        data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed, device=str(ctx.device)
    )
    model, origin = read_model(checkpoint, of, model_name)
    model.to(ctx.device)
    forget = _forget_set(of, ids, forget_set, scores, by)
    if plan == "rum" and len(forget.names) == 1:
        raise ValueError("plan 'rum' unlearns by strata: give --scores, or a --forget-set that has strata")
    if plan == "shuffle" and len(forget.names) == 1:
        forget = forget.shuffled(seed, strata=3)
    cell = Cell(algorithm, plan, by if plan == "rum" else "")
    steps = _steps(cell, len(forget.names), tuned, settings or [])
    if algorithm == "out_of_sample" and ensemble is None:
        raise ValueError("out_of_sample takes its targets from subset models: give --ensemble (`score` trains one)")
    store = None if ensemble is None else Ensemble.open(ensemble)
    what = {"algorithm": algorithm, "plan": plan, "steps": steps, "forget_hash": forget.hash, "seed": seed}
    identity = manifest.claim(out, command="unlearn", checkpoint=_hash(checkpoint), data_hash=of.hash, **what)
    before = audit.measure(model, of, forget, ctx)
    done = unlearning.run(method(cell, steps, ensemble=store, seed=seed), model, of, forget, ctx)
    after = audit.measure(done.model, of, forget, ctx)
    forget.save(out / "forget_set.json")
    about: dict[str, Any] = {
        **origin,
        "algorithm": algorithm,
        "plan": plan,
        "forget_hash": forget.hash,
        "unlearn_seed": seed,
    }
    train.save_checkpoint(out / "model.safetensors", done.model, **about)
    outcome = report.Outcome(
        algorithm, before, after, plan, cell.scores, done.seconds, {"steps": steps}, tuple(done.history),
        checkpoint=str(out / "model.safetensors"), checkpoint_hash=_hash(out / "model.safetensors"),
    )  # fmt: skip
    results = report.Results(
        title=f"{len(forget.ids)} examples unlearned with {algorithm}",
        seeds={"unlearn": seed, "data": data_seed},
        versions=manifest.versions(),
        data=data_summary(of),
        forget_sets=(forget_set_summary("request", forget, of),),
        outcome=outcome,
        command=manifest.command_line(),
    )
    page = report.write(results, out)
    manifest.write(out, identity=identity, seconds=done.seconds, steps=steps, **about)
    say(f"{out / 'model.safetensors'} in {done.seconds:.1f} s; {page}")


def _forget_set(of: Data, ids: Path | None, manifest_path: Path | None, scores: Path | None, by: str) -> ForgetSet:
    if (ids is None) == (manifest_path is None):
        raise ValueError("what to forget: give one of --ids and --forget-set")
    score = None if scores is None else score_files.column(scores, by, of.train.source_ids)
    if manifest_path is not None:
        chosen = ForgetSet.load(manifest_path)
        return chosen if score is None else chosen.restrata(score)
    assert ids is not None
    rows = rows_of(read_source_ids(ids), of)
    labels = of.train.labels.cpu().numpy()
    own = None if score is None else score[rows]
    return ForgetSet.from_ids(rows, score=own, strata=1 if score is None else 3, labels=labels, data_hash=of.hash)


def _steps(cell: Cell, strata: int, tuned: str | None, settings: list[str]) -> Steps:
    """Hyper-parameters of each step: the preset's, or defaults, then what `--set` says."""
    steps: Steps = [{} for _ in range(1 if cell.plan == "vanilla" else strata)]
    if tuned is not None:
        cells: dict[str, Any] = preset(tuned)["cells"]
        if cell.key not in cells:
            raise ValueError(f"preset {tuned!r}: has no {cell.key!r}; it has {', '.join(cells)}")
        steps = cells[cell.key]
    return [{**step, **dict(_assignment(text) for text in settings)} for step in steps]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set: expected NAME=VALUE, got {text!r}")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value
