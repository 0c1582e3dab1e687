"""`unmemorize tune`: hyper-parameters for every method of a comparison, each with the same budget."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from unmemorize.cli import manifest
from unmemorize.cli.options import (
    Algorithms,
    Config,
    CutBy,
    DataName,
    Device,
    Mode,
    Models,
    Noise,
    Normalize,
    Out,
    Plans,
    Protocol,
    Seed,
    ValShare,
    Workers,
    listed,
)
from unmemorize.cli.stages import Stages
from unmemorize.engine import Crew
from unmemorize.experiment import Cell, Settings, grid, write_preset
from unmemorize.experiment.methods import FIXED
from unmemorize.experiment.objectives import OBJECTIVES
from unmemorize.experiment.tuning import Tuning
from unmemorize.report.text import duration
from unmemorize.train import resolve
from unmemorize.unlearn import ALGORITHMS

TRIALS, RUNS, SEED = 40, 3, 1000


def command(
    out: Out,
    preset: Annotated[Path, typer.Option(help="Preset to write (.toml).")] = Path("preset.toml"),
    data_name: DataName = "digits",
    algorithms: Algorithms = None,
    plans: Plans = "vanilla,shuffle,rum",
    scores: CutBy = "exact,confidence",
    protocol: Protocol = FIXED,
    trials: Annotated[int, typer.Option(min=1, help="Trials for each method.")] = TRIALS,
    runs: Annotated[int, typer.Option(min=2, help="Originals, and oracles, that a trial is judged on.")] = RUNS,
    mode: Mode = "oracle",
    recipe: Annotated[str, typer.Option(help="Recipe of the originals and of the subset models.")] = "digits",
    models: Models = 100,
    size: Annotated[int, typer.Option(min=3, help="Examples to forget.")] = 135,
    noise: Noise = 0.05,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    seed: Seed = SEED,
    device: Device = "auto",
    workers: Workers = None,
    config: Config = None,
) -> None:
    """Tune methods: the seed, which draws the label flips too, must not be that of the runs to be reported.

    Interrupted or killed, the same command goes on; at most the trials in flight are lost.
    """
    cut_by = listed(scores)
    cells = grid(ALGORITHMS if algorithms is None else listed(algorithms), listed(plans), cut_by, protocol)
    if preset.suffix != ".toml":
        raise ValueError(f"preset: expected a .toml file to write, got {str(preset)!r}")
    preset.parent.mkdir(parents=True, exist_ok=True)  # what cannot be written is said before hours of search
    settings = Settings(
        data_name, noise, seed, val_share, normalize, recipe, device, seed, models, runs=runs, size=size, scores=cut_by,
        protocol=protocol,
    )  # fmt: skip
    with Crew(workers) as crew, Stages(Console(stderr=True)) as stages:
        study, found = tune(out, settings, cells, trials=trials, mode=mode, crew=crew, stages=stages)
    write_preset(preset, study, found)
    manifest.write(out, settings=asdict(settings), seeds=settings.seeds(), cells=found, seconds=stages.seconds)
    typer.echo(f"{preset}: {len(found)} methods, {trials} trials each")


def tune(
    out: Path, settings: Settings, cells: Sequence[Cell], *, trials: int, mode: str, crew: Crew, stages: Stages
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The study that a preset tells of, and the best steps of each method by its key; says the budget beforehand."""
    search = Tuning(out, settings, cells, trials=trials, mode=mode, executor=crew, progress=stages.update)
    search.prepare(stages.begin)
    stages.begin("first trials", len(search.cells))
    most = duration(search.first())
    stages.say(f"{len(search.cells)} methods x {trials} trials x {settings.runs} runs: {most} of one core at the most")
    stages.begin("search", len(search.cells))
    found = search.search()
    study = {
        "objective": OBJECTIVES[mode].words,
        "mode": mode,
        "trials": trials,
        "runs": settings.runs,
        "seed": settings.seed,
        "data": settings.data,
        "noise": settings.noise,
        "network": resolve(settings.recipe).model,
        "recipe": settings.recipe,
        "size": settings.size,
        "models": settings.models,
        "protocol": settings.protocol,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": manifest.hardware(),
        "command": manifest.command_line(),
        **{name: value for name, value in manifest.versions().items() if name in ("unmemorize", "torch", "optuna")},
        "ranges": search.spaces,
    }
    return study, found
