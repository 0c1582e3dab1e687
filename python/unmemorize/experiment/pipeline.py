"""The stages of an experiment, in the order of the street; each reads what the one before wrote to the folder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unmemorize import audit, engine, score_files
from unmemorize.audit import Evaluation, Measurement
from unmemorize.data import Data
from unmemorize.engine import Task
from unmemorize.engine.plan import Plan, stack_for
from unmemorize.engine.training import train_ensemble
from unmemorize.ensemble import Ensemble
from unmemorize.events import LearningEvents
from unmemorize.experiment.methods import Steps, preset
from unmemorize.experiment.settings import Cell, Settings
from unmemorize.experiment.tasks import FORGET_SET, data_of, recipe_of
from unmemorize.forget_set import ForgetSet
from unmemorize.stats import Estimate

Progress = Callable[[int, int], None]  # tasks done, tasks in all

Begin = Callable[[str, int], None]  # stage, number of tasks

MEMORIZED = 0.99  # training accuracy below which nothing was memorized


class NotMemorizedError(RuntimeError):
    """The original model does not fit its training set, so there is nothing to study."""


@dataclass(frozen=True)
class Scores:
    """Every score of every training example, higher = more memorized."""

    exact: np.ndarray  # f64[n], memorization
    std_error: np.ndarray  # f64[n]
    proxies: dict[str, np.ndarray]  # f64[n] each
    reliability: Estimate  # split-half, Spearman-Brown corrected: the ceiling of any proxy's correlation


@dataclass(frozen=True)
class Found:
    """What the stages of one experiment returned."""

    originals: list[dict[str, Any]]
    references: list[dict[str, Any]]
    scores: Scores
    forget_sets: dict[str, ForgetSet]  # the first is the one that every method forgets
    oracles: list[dict[str, Any]]
    unlearned: dict[Cell, list[dict[str, Any]]] = field(default_factory=dict)
    steps: dict[Cell, Steps] = field(default_factory=dict)  # the hyper-parameters used


class Experiment:
    """One run folder and the stages that fill it. A stage that was interrupted goes on where it was.

    Args:
        folder: where everything is written; new, empty, or holding a run with the same settings.
        settings: what to do.
        workers: worker processes; None: one for each core that the process may use.
        progress: called as (done, total) after each task of a stage.

    Raises:
        FileExistsError: the folder holds something else.
    """

    def __init__(
        self, folder: Path, settings: Settings, *, workers: int | None = None, progress: Progress | None = None
    ) -> None:
        settings.save(folder)
        self.folder = folder
        self.settings = settings
        self._workers = workers
        self._progress = progress

    @property
    def data(self) -> Data:
        """The data set, its labels flipped."""
        return data_of(self.settings)

    @property
    def ensemble(self) -> Ensemble:
        """The store of subset models."""
        return Ensemble.open(self.folder / "ensemble")

    @property
    def steps(self) -> dict[Cell, Steps]:
        """Each method's hyper-parameters, from the preset; an algorithm without any has one empty step."""
        tuned = preset(self.settings.preset)["cells"]
        return {cell: tuned[cell.key] if cell.algorithm != "nothing" else [{}] for cell in self.settings.cells}

    def run(self, begin: Begin = lambda stage, tasks: None) -> Found:
        """Every stage in turn; `begin` is called as (stage, number of tasks) before each."""
        found = self.prepare(begin)
        begin("unlearn", self.settings.runs * len(self.settings.cells))
        return replace(found, unlearned=self.unlearn(), steps=self.steps)

    def prepare(self, begin: Begin = lambda stage, tasks: None) -> Found:
        """Every stage before unlearning."""
        runs = self.settings.runs
        begin("train originals", runs)
        originals = self.train_originals()
        begin("train ensemble", self.settings.models)
        references = self.train_ensemble()
        begin("score and stratify", 1)
        scores = self.score()
        forget_sets = self.choose_forget_sets(scores)
        begin("retrain oracles", runs)
        return Found(originals, references, scores, forget_sets, self.train_oracles())

    def train_originals(self) -> list[dict[str, Any]]:
        """Train the models that are to forget, learning events recorded.

        Raises:
            NotMemorizedError: a model stays below `MEMORIZED` on its own training set.
        """
        results = self._run("original", [("original", {}, i) for i in range(self.settings.runs)])
        for i, result in enumerate(results):
            if result["train"] < MEMORIZED:
                raise NotMemorizedError(
                    f"original {i}: training accuracy {result['train']:.4f} is below {MEMORIZED}, so little was "
                    "memorized; train longer or with a larger network"
                )
        return results

    def train_ensemble(self) -> list[dict[str, Any]]:
        """Train the subset models that exact memorization needs."""
        settings, recipe = self.settings, recipe_of(self.settings)
        plan = Plan(
            self.data.hash, recipe, ratio=settings.ratio, seed=settings.seed, stack=stack_for(recipe, self.data)
        )
        store = train_ensemble(
            self.folder / "ensemble",
            plan,
            settings.models,
            settings.source,
            workers=self._workers,
            watch=lambda done, total, _: self._progress(done, total) if self._progress else None,
        )
        return [entry.meta for entry in store.entries("reference")]

    def score(self) -> Scores:
        """Exact memorization from the ensemble, proxies from the learning events; writes scores.csv."""
        store, seed = self.ensemble, self.settings.seed_of("reliability")
        exact = store.memorization()
        events = LearningEvents.load(self.folder / "original" / "events-0.safetensors")
        scores = Scores(exact.score, exact.std_error, events.proxies(), store.reliability(seed=seed))
        columns = {"memorization": scores.exact, "std_error": scores.std_error, **scores.proxies}
        write_scores(self.folder / "scores.csv", self.data, columns)
        return scores

    def choose_forget_sets(self, scores: Scores) -> dict[str, ForgetSet]:
        """Three strata by exact memorization, by the proxy, and the exact set with its strata cut by the proxy."""
        of, settings = self.data, self.settings
        labels, proxy = of.train.labels.cpu().numpy(), scores.proxies[settings.proxy]
        exact = ForgetSet.by_score(scores.exact, settings.size, medium=0.5, labels=labels, data_hash=of.hash)
        sets = {
            FORGET_SET: exact,
            settings.proxy: ForgetSet.by_score(proxy, settings.size, labels=labels, data_hash=of.hash),
            f"{FORGET_SET}-by-{settings.proxy}": exact.restrata(proxy),
        }
        home = self.folder / "forget_sets"
        home.mkdir(exist_ok=True)
        for name, forget_set in sets.items():
            forget_set.save(home / f"{name}.json")
        return sets

    def train_oracles(self) -> list[dict[str, Any]]:
        """Retrain from scratch without the forget set."""
        return self._run("oracle", [("oracle", {}, i) for i in range(self.settings.runs)])

    def unlearn(self) -> dict[Cell, list[dict[str, Any]]]:
        """Apply every method to every original."""
        steps, runs = self.steps, self.settings.runs
        work = [
            (f"unlearn-{cell.key}", {"cell": asdict(cell), "steps": tables}, i)
            for cell, tables in steps.items()
            for i in range(runs)
        ]
        results = self._run("unlearned", [("unlearned", extra, i) for _, extra, i in work], [key for key, _, _ in work])
        return {cell: results[k * runs : (k + 1) * runs] for k, cell in enumerate(steps)}

    def _run(
        self, stage: str, work: Sequence[tuple[str, dict[str, Any], int]], keys: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Run one task for each (function, arguments, index); results in the same order."""
        names = [f"{key}-{i:05d}" for key, (_, _, i) in zip(keys or [stage] * len(work), work, strict=True)]
        tasks = [
            Task(name, f"unmemorize.experiment.tasks:{function}", {"index": i, **arguments})
            for name, (function, arguments, i) in zip(names, work, strict=True)
        ]

        def report(done: int, total: int, key: str, result: Any) -> None:
            if self._progress:
                self._progress(done, total)

        results = engine.run(
            tasks, self.folder / "tasks", shared={"folder": str(self.folder)}, workers=self._workers, progress=report
        )
        return [results[name] for name in names]


def judge(results: Sequence[dict[str, Any]], oracles: Sequence[dict[str, Any]]) -> Evaluation:
    """Compare what `unlearn` returned for one method with what `train_oracles` returned."""
    return audit.compare(
        [Measurement.from_dict(result["measurement"]) for result in results],
        [Measurement.from_dict(result["measurement"]) for result in oracles],
    )


def write_scores(path: Path, of: Data, columns: dict[str, np.ndarray]) -> None:
    """One row for each training example: row, source_id, label, whether it was flipped, and every score."""
    train = of.train
    about = {"id": train.ids.cpu().numpy(), "source_id": train.source_ids, "label": train.labels.cpu().numpy()}
    score_files.write(path, {**about, "flipped": of.flipped.astype(np.int64), **columns})
