"""`unmemorize tune`: hyper-parameters for every method of a comparison, each with the same budget."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unmemorize.cli import manifest
from unmemorize.cli.options import Config, Out, Seed, Workers
from unmemorize.cli.stages import Stages
from unmemorize.experiment import Settings
from unmemorize.experiment.tuning import OBJECTIVE, Tuning, write_preset


def command(
    out: Out,
    preset: Annotated[Path, typer.Option(help="Preset to write (.toml).")] = Path("preset.toml"),
    trials: Annotated[int, typer.Option(min=1, help="Trials for each method.")] = 60,
    runs: Annotated[int, typer.Option(min=2, help="Originals and oracles that a trial is judged on.")] = 3,
    models: Annotated[int, typer.Option(min=2, help="Subset models of the ensemble.")] = 100,
    seed: Seed = 1000,
    workers: Workers = None,
    config: Config = None,
) -> None:
    """Tune every method of the demo against retrained models, on other flips and seeds than the demo's.

    Interrupted, the same command goes on with the methods that are left.
    """
    settings = Settings(seed=seed, data_seed=seed, models=models, runs=runs)
    with Stages(Console()) as stages:
        study = Tuning(out, settings, trials=trials, workers=workers, progress=stages.update)
        study.prepare(stages.begin)
        stages.begin("search", len(study.cells))
        found = study.search()
    about = {
        "objective": OBJECTIVE,
        "trials": trials,
        "runs": runs,
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "command": manifest.command_line(),
        **{name: value for name, value in manifest.versions().items() if name in ("unmemorize", "torch", "optuna")},
    }
    write_preset(preset, about, found)
    manifest.write(out, settings=asdict(settings), seeds=settings.seeds(), cells=found, seconds=stages.seconds)
    Console().print(f"{preset}: {len(found)} methods, {trials} trials each")
