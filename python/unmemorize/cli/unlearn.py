"""`unmemorize unlearn`: a checkpoint and a list of examples in, an unlearned checkpoint and a report out."""

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import print as say

from unmemorize import RUM, Context, Ensemble, ForgetSet, audit, data, report, score_files, train
from unmemorize import unlearn as unlearning
from unmemorize.cli import manifest
from unmemorize.cli.files import name_twins, read_model, read_source_ids, rows_of
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
    WithTwins,
)
from unmemorize.data import Data
from unmemorize.experiment import Cell, data_summary, forget_set_summary, preset
from unmemorize.experiment.presets import lacks
from unmemorize.forget_set import merged
from unmemorize.rum import read_plan

DEFAULT = "fine_tune"  # where neither the plan nor the user names an algorithm


def command(
    checkpoint: Annotated[Path, typer.Option(help="The trained model: .safetensors, or a .pt state dict.")],
    data_name: DataName,
    out: Out,
    ids: Annotated[Path | None, typer.Option(help="What to forget: a CSV file with source ids.")] = None,
    forget_set: Annotated[Path | None, typer.Option(help="What to forget: a manifest of forget-set.")] = None,
    then: Annotated[
        list[Path] | None,
        typer.Option(help="The next request, a .csv or a manifest (.json), on the unlearned model; may be repeated."),
    ] = None,
    algorithm: Annotated[str | None, typer.Option(help="An algorithm; default: the plan's, or fine_tune.")] = None,
    plan: Annotated[str, typer.Option(help="A plan that ships (vanilla, shuffle, rum, ...) or FILE.toml.")] = "vanilla",
    scores: Annotated[
        Path | None, typer.Option(help="Scores that cut the strata, by source_id: .csv, .parquet or .npz.")
    ] = None,
    by: Annotated[str, typer.Option(help="The score's column; higher = more memorized.")] = "confidence",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A hyper-parameter; may be repeated.")
    ] = None,
    tuned: Annotated[str | None, typer.Option("--preset", help="Tuned hyper-parameters, such as digits.")] = None,
    ensemble: Annotated[Path | None, typer.Option(help="Ensemble store: the targets of out_of_sample.")] = None,
    with_twins: WithTwins = False,
    retrain_seconds: Annotated[
        float | None,
        typer.Option(min=0.0, help="Of one retraining: costs are told as a share; default: what training took."),
    ] = None,
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
    """Unlearn: model.safetensors, report.html, results.json, forget_set.json and manifest.json.

    Interrupted, the same command goes on after the last step that was finished.
    """
    torch.set_num_threads(threads)
    ctx = Context(device=device, seed=seed, run_dir=out / "state")
    of = data.load(
        data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed, device=str(ctx.device)
    )
    model, origin = read_model(checkpoint, of, model_name)
    model.to(ctx.device)
    if (ids is None) == (forget_set is None):
        raise ValueError("what to forget: give one of --ids and --forget-set")
    files = [path for path in (ids, forget_set, *(then or ())) if path is not None]
    told = None if scores is None else score_files.column(scores, by, of.train.source_ids)
    requests = [_forget_set(path, of, told, manifest=path.suffix == ".json" or path == forget_set) for path in files]
    requests, notes = name_twins(requests, of, with_twins)
    rum = _plan(plan, algorithm, settings or [], tuned, by, None if ensemble is None else Ensemble.open(ensemble))
    if rum.by is not None and told is not None:
        rum = replace(rum, scores={by: told})
    if rum.by is None and rum.strata != 1 and any(len(one.names) == 1 for one in requests):
        raise ValueError(f"plan {plan!r} unlearns by strata: give --scores, or a --forget-set that has strata")
    whole = merged(requests)
    identity = manifest.claim(
        out, command="unlearn", checkpoint=_hash(checkpoint), data_hash=of.hash, plan=rum.to_dict(),
        forget_hash=[one.hash for one in requests], seed=seed,
    )  # fmt: skip
    before = audit.measure(model, of, whole, ctx)
    done = unlearning.run_requests(rum, model, of, requests, ctx)
    after = audit.measure(done[-1].model, of, whole, ctx)
    whole.save(out / "forget_set.json")
    history = [{**({"request": k + 1} if then else {}), **s} for k, one in enumerate(done) for s in one.history]
    named = " → ".join(dict.fromkeys(step["algorithm"] for step in history))
    costs = unlearning.spent(history)
    about: dict[str, Any] = {
        **origin,
        "algorithm": named,
        "plan": plan,
        "forget_hash": whole.hash,
        "unlearn_seed": seed,
    }
    train.save_checkpoint(out / "model.safetensors", done[-1].model, **about)
    cut = (rum.by or by if told is not None else rum.by or "") if rum.strata != 1 else ""
    outcome = report.Outcome(
        named, before, after, plan, cut, sum(one.seconds for one in done), rum.to_dict(), tuple(history),
        checkpoint=str(out / "model.safetensors"), checkpoint_hash=_hash(out / "model.safetensors"),
        protocol=done[0].forget_set.protocol, costs=costs,
        retrain_seconds=retrain_seconds or float(origin.get("train_seconds", "nan")),
    )  # fmt: skip
    results = report.Results(
        title=f"{len(whole)} examples unlearned with {named}",
        seeds={"unlearn": seed, "data": data_seed},
        versions=manifest.versions(),
        data=data_summary(of),
        forget_sets=tuple(
            forget_set_summary("request", one, of) for one in ([whole] if then else [done[0].forget_set])
        ),
        outcome=outcome,
        command=manifest.command_line(),
        notes=tuple(notes),
    )
    page = report.write(results, out)
    manifest.write(out, identity=identity, seconds=outcome.seconds, costs=costs, steps=rum.to_dict(), **about)
    for note in notes:
        say(note)
    say(f"{out / 'model.safetensors'} in {outcome.seconds:.1f} s; {page}")


def _forget_set(path: Path, of: Data, score: Any, *, manifest: bool) -> ForgetSet:
    """One request; its strata are cut by `score` if it is given."""
    if manifest:
        chosen = ForgetSet.load(path)
        chosen.check(len(of.train), of.hash)
        if score is None:
            return chosen
        return chosen.restrata(score, strata=len(chosen.names) if len(chosen.names) > 1 else min(3, len(chosen)))
    rows, labels = rows_of(read_source_ids(path), of), of.train.labels.cpu().numpy()
    own = None if score is None else score[rows]
    return ForgetSet.from_ids(
        rows, score=own, strata=1 if score is None else min(3, len(rows)), labels=labels, data_hash=of.hash
    )


def _plan(
    plan: str, algorithm: str | None, settings: list[str], tuned: str | None, by: str, ensemble: Ensemble | None
) -> RUM:
    """The plan with the hyper-parameters of the preset, or defaults, then what `--set` says."""
    hyper = dict(_assignment(text) for text in settings)
    content = read_plan(plan)
    if "steps" in content:
        if algorithm or hyper or tuned:
            raise ValueError(f"plan {plan!r} names its own algorithms: leave --algorithm, --set and --preset out")
        return RUM.from_toml(plan, ensemble=ensemble)
    tables: list[dict[str, Any]] = [{}]
    if tuned is not None:
        cells, cell = preset(tuned)["cells"], Cell.of(algorithm or DEFAULT, plan)
        cell = replace(cell, scores=by if cell.by_score else "")
        if cell.key not in cells:
            raise ValueError(lacks(tuned, cell.key))
        tables = cells[cell.key]
    steps = [{"algorithm": algorithm or DEFAULT, **table, **hyper} for table in tables]
    if algorithm == "out_of_sample" and ensemble is None:
        raise ValueError("out_of_sample takes its targets from subset models: give --ensemble (`score` trains one)")
    return RUM.from_dict({**content, "steps": steps if len(steps) > 1 else steps[0]}, ensemble=ensemble)


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
