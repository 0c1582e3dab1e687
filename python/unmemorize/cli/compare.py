"""`unmemorize compare`: unlearning methods against retraining, all on the same seeds, with intervals."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from unmemorize import report, score_files
from unmemorize._files import write_durably
from unmemorize.cli import manifest
from unmemorize.cli.options import (
    Algorithms,
    Config,
    CutBy,
    DataName,
    DataSeed,
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
from unmemorize.cli.tune import SEED, tune
from unmemorize.engine import Crew
from unmemorize.experiment import Settings, compare, grid, preset, write_preset
from unmemorize.experiment.methods import FIXED, WITHOUT_STRATA
from unmemorize.experiment.tuning import space
from unmemorize.report.compare import markdown
from unmemorize.results import Results
from unmemorize.unlearn import ALGORITHMS


def command(
    data_name: DataName,
    out: Out,
    algorithms: Algorithms = None,
    plans: Plans = "vanilla,shuffle,rum",
    scores: CutBy = "exact,confidence",
    protocol: Protocol = FIXED,
    tuned_by: Annotated[
        str | None, typer.Option("--preset", help="Tuned hyper-parameters: a preset's name, or a .toml file of tune.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Instead of --preset: tune each method here, with as many trials.")
    ] = None,
    tuning_runs: Annotated[
        int | None, typer.Option(min=2, help="Of --trials: originals that a trial is judged on; default: 2.")
    ] = None,
    mode: Mode | None = None,
    recipe: Annotated[str, typer.Option(help="Recipe of the originals, oracles and subset models.")] = "digits",
    runs: Annotated[int, typer.Option(min=1, help="Training seeds: originals, and as many oracles.")] = 5,
    unlearnings: Annotated[int, typer.Option(min=1, help="Unlearning seeds, of each original.")] = 1,
    attacks: Annotated[int, typer.Option(min=1, help="Evaluation seeds, of each unlearned model.")] = 1,
    size: Annotated[int, typer.Option(min=3, help="Examples to forget, in three strata by exact score.")] = 135,
    models: Models = 100,
    ratio: Annotated[float, typer.Option(help="Share of the training set in each subset.")] = 0.7,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    device: Device = "auto",
    workers: Workers = None,
    config: Config = None,
) -> None:
    """Compare algorithms x plans x scores over seeds, with doing nothing as the floor and retraining as the ceiling.

    Writes report.html, compare.md, LaTeX and CSV tables, and compare.parquet: one row for each method, seed and metric.
    With --trials the methods are tuned first, on other seeds and label flips. Interrupted or killed, it goes on.
    """
    if (tuned_by is None) == (trials is None):
        raise ValueError("hyper-parameters: give one of --preset and --trials")
    if trials is None and (mode is not None or tuning_runs is not None):
        raise ValueError("--mode and --tuning-runs say how to tune: only with --trials")
    cut_by = listed(scores)
    settings = Settings(
        data_name, noise, data_seed, val_share, normalize, recipe, device, seed, models, ratio, runs, unlearnings,
        attacks, size, cut_by, protocol,
    )  # fmt: skip
    chosen = [name for name in (ALGORITHMS if algorithms is None else listed(algorithms)) if name not in WITHOUT_STRATA]
    cells = grid(chosen, listed(plans), cut_by, protocol)
    with Crew(workers) as crew, Stages(Console(stderr=True)) as stages:
        if trials is not None:
            for name in chosen:
                space(name)  # an unknown one is said before the folder is claimed
            settings.save(out)
            tuned_by = str(out / "preset.toml")
            elsewhere = replace(settings, seed=seed + SEED, data_seed=data_seed + SEED, runs=tuning_runs or 2)
            tuning, best = tune(
                out / "tuning", elsewhere, cells, trials=trials, mode=mode or "oracle", crew=crew, stages=stages
            )
            write_preset(Path(tuned_by), tuning, best)
        assert tuned_by is not None
        found = compare(
            out, settings, cells, tuned_by, executor=crew, begin=stages.begin, progress=stages.update,
            versions=manifest.versions(), command=manifest.command_line(),
        )  # fmt: skip
    results = replace(found.results, stages=tuple(stages.seconds.items()))
    write(out, results, found.table)
    hashes = {name: forget_set.hash for name, forget_set in found.found.forget_sets.items()}
    manifest.write(
        out, settings=asdict(settings), seeds=settings.seeds(), data_hash=results.data.hash if results.data else "",
        tuning=preset(tuned_by)["study"], forget_hashes=hashes, seconds=stages.seconds,
    )  # fmt: skip
    Console().print(report.terminal_table(results), out / "report.html")


def write(out: Path, results: Results, columns: dict[str, np.ndarray]) -> None:
    """The page, the tables, and every number."""
    report.write(results, out)
    report.write_tables(results, out)
    write_durably(out / "compare.md", markdown(results).encode())
    score_files.write(out / "compare.parquet", columns)
