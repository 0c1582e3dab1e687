"""`unmemorize ensemble train`: the models that exact memorization needs, whatever is killed meanwhile."""

from dataclasses import asdict
from pathlib import Path
from time import monotonic, perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from unmemorize import Data, Ensemble, train
from unmemorize.cli import manifest
from unmemorize.cli.files import read_source_ids, rows_of
from unmemorize.cli.options import Config, DataName, DataSeed, Device, Noise, Normalize, Seed, ValShare, Workers
from unmemorize.engine import Crew, Executor, RayCluster
from unmemorize.engine import estimate as costs
from unmemorize.engine.plan import REFERENCE_DESIGNS, Books, Plan, stack_for
from unmemorize.engine.references import KEEP, load
from unmemorize.engine.training import halves, train_ensemble
from unmemorize.report.text import duration

LOOK_EVERY = 5.0  # seconds between estimates of the reliability


class Bar:
    """A progress bar that also shows models per minute and the reliability of the scores so far."""

    def __init__(self) -> None:
        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"))
        self._bar = Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                             console=Console(stderr=True))  # fmt: skip
        self._task = self._bar.add_task("", total=None, note="")
        self._began: tuple[float, int] | None = None
        self._looked = monotonic()
        self._reliability = ""

    def watch(self, done: int, models: int, store: Ensemble) -> None:
        """Show that `done` of `models` are done."""
        now = monotonic()
        self._began = self._began or (now, done)
        start, before = self._began
        rate = f"{(done - before) / (now - start) * 60:.1f} models/min" if done > before else ""
        if (now - self._looked > LOOK_EVERY or done == models) and (found := halves(store)):
            self._looked, self._reliability = now, f"reliability {found.value:.3f}"
        self._bar.update(self._task, completed=done, total=models, note=f"{rate} {self._reliability}".strip())

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def command(
    data_name: DataName,
    out: Annotated[Path, typer.Option("--out", help="Folder of the store; one that is there grows.")],
    models: Annotated[int, typer.Option(min=2, help="How many models there are to be.")] = 100,
    design: Annotated[
        str, typer.Option(help=f"Which subset each model gets: {', '.join(REFERENCE_DESIGNS)}.")
    ] = "balanced",
    ratio: Annotated[float, typer.Option(help="Share of the training set in each subset.")] = 0.7,
    ids: Annotated[Path | None, typer.Option(help="Candidates of design targeted: a CSV file with source ids.")] = None,
    recipe: Annotated[str, typer.Option(help=f"target, or one of {', '.join(train.RECIPES)}.")] = "target",
    target: Annotated[
        Path | None, typer.Option(help="Checkpoint of the model to be unlearned, for --recipe target.")
    ] = None,
    until_reliability: Annotated[
        float | None, typer.Option(help="Stop once the scores are this reliable, in whole blocks of the design.")
    ] = None,
    keep: Annotated[str, typer.Option(help="What to store besides bits: any of phi, probs, events.")] = ",".join(KEEP),
    stack: Annotated[
        int | None, typer.Option(min=1, help="Models trained at once in one process; default: what is fastest.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Of the forward pass: auto (bfloat16 on a GPU that has it), float32 or bfloat16.")
    ] = "auto",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it will cost, by a probe of half a minute; train nothing.")
    ] = False,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Workers = None,
    executor: Annotated[
        str,
        typer.Option(
            help="local: worker processes; ray: the cluster that RAY_ADDRESS names, else one of this machine."
        ),
    ] = "local",
    gpus: Annotated[float, typer.Option(help="With --executor ray: GPUs of a task; a fraction shares one.")] = 0.0,
    config: Config = None,
) -> None:
    """Train models on known subsets and keep what each says of every example.

    Interrupted or killed, the same command goes on where it was; with more --models the store grows.
    """
    source: dict[str, Any] = {"name": data_name, "noise": noise, "seed": data_seed}
    source |= {"val_share": val_share, "normalize": normalize}
    of = load(**source, device="cpu")
    found = recipe_of(recipe, target, of)
    before = Books(out).load()
    if stack is None:
        stack = before[0].stack if before else stack_for(found, of, device, dtype)
    candidates = () if ids is None else tuple(sorted(rows_of(read_source_ids(ids), of).tolist()))
    plan = Plan(of.hash, found, design, ratio, seed, dtype, stack, candidates)
    kept = [name for name in keep.split(",") if name]
    if estimate:
        cost = costs.estimate(plan, models, source, keep=kept, device=device, workers=workers)
        typer.echo(
            f"{models} models: {duration(cost.seconds)} ({cost.models_per_minute:.3g} models/min), "
            f"{cost.memory / 1e9:.2f} GB of memory, {cost.disk / 1e6:.1f} MB of disk; nothing was trained"
        )
        return
    start = perf_counter()
    with executor_of(executor, workers, gpus) as where, Bar() as bar:
        store = train_ensemble(
            out, plan, models, source, keep=kept, device=device, workers=workers, executor=where,
            until_reliability=until_reliability, watch=bar.watch,
        )  # fmt: skip
    reliability, trained = halves(store), len(store.entries("reference"))
    manifest.write(
        out,
        plan=plan.to_dict(),
        data={**source, "hash": of.hash},
        recipe={"name": recipe, "hash": found.hash},
        models=trained,
        reliability=reliability and asdict(reliability),
        seconds=perf_counter() - start,
    )
    typer.echo(f"{out}: {trained} models, split-half reliability ↑ {reliability or 'unknown of so few'}")


def executor_of(name: str, workers: int | None, gpus: float) -> Executor:
    """Where the models are trained.

    Raises:
        ImportError: Ray is not installed.
        ValueError: no executor has this name, or local workers are given shares of GPUs.
    """
    if name == "ray":
        return RayCluster(gpus=gpus)
    if name != "local":
        raise ValueError(f"executor: no executor {name!r}; known are local, ray")
    if gpus:
        raise ValueError(f"gpus: only for --executor ray, got {gpus:g} with --executor local")
    return Crew(workers)


def recipe_of(name: str, target: Path | None, of: Data) -> train.Recipe:
    """A recipe by its name; "target": that of the model to be unlearned, or else the one for the data set.

    Raises:
        ValueError: there is no such recipe, or the target was trained on other data.
    """
    if name != "target":
        if target is not None:
            raise ValueError(f"target: only for --recipe target, got --recipe {name}")
        return train.resolve(name)
    if target is None:
        return train.resolve(of.name)
    _, origin = train.load_checkpoint(target)
    if origin.get("data_hash") != of.hash:
        raise ValueError(
            f"{target}: trained on data with hash {str(origin.get('data_hash'))[:12]}, but {of.name!r} as loaded here "
            f"has hash {of.hash[:12]}; give the same --data, --noise and --data-seed"
        )
    return train.resolve(origin["recipe"])
