"""`unmemorize demo`: the whole way from a training run to an audited, unlearned model, on embedded data."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unmemorize import report
from unmemorize.cli import manifest
from unmemorize.cli.options import Config, Seed, Workers
from unmemorize.cli.stages import Stages
from unmemorize.engine import Crew
from unmemorize.experiment import Cell, Experiment, Settings, grid, preset, summarize, tuned

PRESET = "digits"
METHODS = (Cell("nothing"), *grid(("fine_tune", "neg_grad_plus", "salun")), Cell("out_of_sample"))
QUICK_MODELS, QUICK_RUNS = 20, 2  # seconds instead of minutes; the numbers are rough


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("runs/demo"),
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="20 models and 2 seeds: a smoke test.")] = False,
    workers: Workers = None,
    config: Config = None,
) -> None:
    """Train, score, stratify, unlearn, audit and report on scikit-learn's digits with 5% of the labels flipped.

    Interrupted, the same command goes on where it was.
    """
    console = Console()
    settings = Settings(seed=seed, data_seed=seed)
    if quick:
        settings = replace(settings, models=QUICK_MODELS, runs=QUICK_RUNS)
    with Crew(workers) as crew, Stages(console) as stages:
        study = Experiment(out, settings, executor=crew, progress=stages.update)
        found = study.run(tuned(METHODS, PRESET, settings.recipe), stages.begin)
        stages.begin("audit")
        tuning = preset(PRESET)["study"]
        results = summarize(study, found, tuning, versions=manifest.versions(), command=manifest.command_line())
    results = replace(results, stages=tuple(stages.seconds.items()))
    page = report.write(results, out)
    manifest.write(
        out,
        settings=asdict(settings),
        seeds=settings.seeds(),
        data_hash=study.data.hash,
        forget_hashes={name: forget_set.hash for name, forget_set in found.forget_sets.items()},
        seconds=stages.seconds,
    )
    console.print(report.terminal_table(results))
    console.print(f"{page}  (open it in a browser)")
