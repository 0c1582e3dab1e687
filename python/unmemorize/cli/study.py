"""`unmemorize score --study`: which proxy to trust, against exact scores or the user's own."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from unmemorize import Ensemble, engine, score_files, study
from unmemorize._files import write_durably
from unmemorize.cli import manifest
from unmemorize.cli.stages import Stages
from unmemorize.engine import Task
from unmemorize.experiment import Experiment, Settings
from unmemorize.report import study as drawn
from unmemorize.train import resolve


def run(
    out: Path, settings: Settings, ensemble: Path | None, scores: Path | None, targets: list[str], *,
    workers: int | None, resamples: int,
) -> Path:  # fmt: skip
    """Train what is needed, compare every proxy with every target, and write tables, numbers and a figure."""
    with Stages(Console(stderr=True)) as stages:
        work = Experiment(out, settings, workers=workers, progress=stages.update)
        of = work.data
        own = {name: score_files.column(scores, name, of.train.source_ids) for name in targets if scores is not None}
        stages.begin("train and take proxies", settings.runs)
        results = train_runs(out, settings, workers, stages)
        exact, ceiling, models = {}, {}, 0
        if ensemble is not None or not own:
            if ensemble is None:
                stages.begin("train ensemble", settings.models)
                work.train_ensemble()
            store = Ensemble.open(ensemble or out / "ensemble", data_hash=of.hash)
            exact = {"memorization": store.memorization().score, "1 - C-score": 1 - store.c_score()}
            halves = settings.seed_of("reliability")
            ceiling = {
                "memorization": store.reliability(seed=halves),
                "1 - C-score": store.reliability(of="c_score", seed=halves),
            }
            models = len(store.entries("reference"))
        stages.begin("compare")
        runs = [study.read(out, index) for index in range(settings.runs)]
        found = study.compare(
            _title(settings, len(of.train), models),
            {**exact, **own},
            runs,
            results,
            of.flipped,
            trainings=models * settings.ratio,
            ceiling=ceiling,
            resamples=resamples,
            seed=settings.seed_of("bootstrap"),
        )
    whole = [run[study.WHOLE] for run in runs]
    _write_scores(out, of.train.source_ids, {**exact, **own}, whole)
    write(out, found, _notes(settings, results, int(of.flipped.sum())))
    score = next(iter({**exact, **own}.values()))
    write_durably(out / "profiles.svg", drawn.profiles(found, score, whole[0], of.flipped, _strata(score)))
    manifest.write(out, data=settings.data, data_hash=of.hash, seeds=settings.seeds(), seconds=stages.seconds)
    return out / "study.md"


def train_runs(out: Path, settings: Settings, workers: int | None, stages: Stages) -> list[dict[str, Any]]:
    """The training runs of the study, those that are done already left alone."""
    tasks = [Task(f"study-{i:05d}", "unmemorize.study.runs:run", {"index": i}) for i in range(settings.runs)]
    done = engine.run(
        tasks, out / "tasks", shared={"folder": str(out)}, workers=workers,
        progress=lambda done, total, _key, _result: stages.update(done, total),
    )  # fmt: skip
    return list(done.values())


def write(out: Path, found: study.Study, notes: tuple[str, ...]) -> None:
    """study.md, LaTeX tables, and every number as study.csv and study.parquet."""
    write_durably(out / "study.md", drawn.markdown(found, manifest.command_line(), notes).encode())
    for number, target in enumerate(found.targets):
        write_durably(out / f"agreement-{number}.tex", drawn.agreement(found, target).latex().encode())
        write_durably(out / f"early-{number}.tex", drawn.early(found, target).latex().encode())
    write_durably(out / "combined.tex", drawn.gains(found).latex().encode())
    for suffix in ("csv", "parquet"):
        score_files.write(out / f"study.{suffix}", drawn.numbers(found))


def _write_scores(
    out: Path, source_ids: np.ndarray, targets: dict[str, np.ndarray], runs: list[dict[str, np.ndarray]]
) -> None:
    columns = {"source_id": source_ids, **targets}
    columns |= {f"{name}/{i}": values for i, run in enumerate(runs) for name, values in run.items()}
    for suffix in ("csv", "parquet"):
        score_files.write(out / f"scores.{suffix}", columns)


def _strata(score: np.ndarray) -> np.ndarray:
    """Low, medium and high as `study.agree` has them, -1 elsewhere."""
    known = np.flatnonzero(~np.isnan(score))
    chosen = study.reference(score[known])
    strata = np.full(len(score), -1)
    strata[known[chosen.ids]] = chosen.strata
    return strata


def _title(settings: Settings, n: int, models: int) -> str:
    exact = f"exact scores from T = {models} models, " if models else ""
    recipe = resolve(settings.recipe)
    return (
        f"Proxies of memorization on {Path(settings.data).stem}: n = {n}, {exact}{recipe.epochs} epochs of "
        f"{recipe.model}, {settings.runs} runs"
    )


def _notes(settings: Settings, results: list[dict[str, Any]], flipped: int) -> tuple[str, ...]:
    accuracy = {part: [result["accuracy"][part] for result in results] for part in ("train", "test")}
    return (
        f"Training accuracy {min(accuracy['train']):.4f} at the least, test accuracy {np.mean(accuracy['test']):.4f}; "
        f"{flipped} training labels flipped.",
        "Intervals are 95%: over the runs Student's, over the examples the bootstrap's (the ends of the runs "
        f"averaged). Strata: the {study.STRATA_SHARE:.0%} of the examples that the score puts into low, medium and "
        "high, cut again by the proxy; chance is 33%. Recall of flips: among as many highest scores, so it is the "
        "precision too. Run time is what the proxy adds to the training, in seconds of one core, the least of the "
        "runs; passes are over the training set.",
    )
