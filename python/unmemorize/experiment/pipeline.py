"""The stages of an experiment, in the order of the street; each reads what the one before wrote to the folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unmemorize import engine, score_files
from unmemorize.data import Data
from unmemorize.engine import Executor, Task
from unmemorize.engine.plan import Plan, stack_for
from unmemorize.engine.training import train_ensemble
from unmemorize.ensemble import Ensemble
from unmemorize.events import PROXIES, LearningEvents
from unmemorize.experiment.methods import FIXED, FORGET_SET, PAPER, Cell, Steps
from unmemorize.experiment.settings import Settings
from unmemorize.experiment.tasks import OF_MODEL, data_of, proxy_file, recipe_of
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
    seconds: dict[str, float] = field(default_factory=dict)  # of the proxies that training does not bring along


@dataclass(frozen=True)
class Found:
    """What the stages of one experiment returned."""

    originals: list[dict[str, Any]]
    references: list[dict[str, Any]]
    scores: Scores
    forget_sets: dict[str, ForgetSet]  # the first is the one that every method forgets
    oracles: dict[str, list[dict[str, Any]]]  # by the forget set that they were retrained without
    unlearned: dict[Cell, list[list[dict[str, Any]]]] = field(default_factory=dict)  # by original, by unlearning seed
    steps: dict[Cell, Steps] = field(default_factory=dict)  # the hyper-parameters used
    protocol: str = FIXED


class Experiment:
    """One run folder and the stages that fill it. A stage that was interrupted goes on where it was.

    Args:
        folder: where everything is written; new, empty, or holding a run with the same settings.
        settings: what to do.
        workers: worker processes of each stage; None: one for each core that the process may use.
        executor: where all stages run in their place; the caller opens and closes it.
        progress: called as (done, total) after each task of a stage.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: a score that strata are to be cut by is unknown.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> None:
        known = (FORGET_SET, *PROXIES, *OF_MODEL)
        if unknown := set(settings.scores) - set(known):
            raise ValueError(f"scores: no score {min(unknown)!r}; known are {', '.join(known)}")
        settings.save(folder)
        self.folder = folder
        self.settings = settings
        self._workers, self._executor = workers, executor
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
    def forgotten(self) -> tuple[str, ...]:
        """Names of the forget sets that methods and oracles forget: one for all, or one for each score."""
        return self.settings.scores if self.settings.protocol == PAPER else (FORGET_SET,)

    def run(self, methods: Mapping[Cell, Steps], begin: Begin = lambda stage, tasks: None) -> Found:
        """Every stage in turn; `begin` is called as (stage, number of tasks) before each."""
        found = self.prepare(begin)
        begin("unlearn", self.settings.runs * self.settings.unlearnings * len(methods))
        return replace(found, unlearned=self.unlearn(methods), steps=dict(methods))

    def prepare(self, begin: Begin = lambda stage, tasks: None, *, oracles: bool = True) -> Found:
        """Every stage before unlearning; without `oracles` nothing is retrained."""
        runs = self.settings.runs
        begin("train originals", runs)
        originals = self.train_originals()
        begin("train ensemble", self.settings.models)
        references = self.train_ensemble()
        begin("score and stratify", 1)
        scores = self.score()
        forget_sets = self.choose_forget_sets(scores)
        if not oracles:
            return Found(originals, references, scores, forget_sets, {}, protocol=self.settings.protocol)
        begin("retrain oracles", runs * len(self.forgotten))
        return Found(
            originals, references, scores, forget_sets, self.train_oracles(), protocol=self.settings.protocol
        )  # fmt: skip

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
            self.data.hash,
            recipe,
            ratio=settings.ratio,
            seed=settings.seed,
            stack=stack_for(recipe, self.data, settings.device),
        )
        store = train_ensemble(
            self.folder / "ensemble",
            plan,
            settings.models,
            settings.source,
            workers=self._workers,
            executor=self._executor,
            device=settings.device,
            watch=lambda done, total, _: self._progress(done, total) if self._progress else None,
        )
        return [entry.meta for entry in store.entries("reference")]

    def score(self) -> Scores:
        """Exact memorization from the ensemble, proxies from the first original and its learning events: scores.csv."""
        store, seed = self.ensemble, self.settings.seed_of("reliability")
        exact = store.memorization()
        events = LearningEvents.load(self.folder / "original" / "events-0.safetensors").proxies()
        names = [name for name in self.settings.scores if name in OF_MODEL]
        taken = self._run(
            "proxy", [("proxy", {"name": name}, 0) for name in names], [f"proxy-{name}" for name in names]
        )
        ids = self.data.train.source_ids
        proxies = events | {name: score_files.column(proxy_file(self.folder, name, 0), name, ids) for name in names}
        seconds = {name: result["seconds"] for name, result in zip(names, taken, strict=True)}
        scores = Scores(exact.score, exact.std_error, proxies, store.reliability(seed=seed), seconds)
        columns = {"memorization": scores.exact, "std_error": scores.std_error, **scores.proxies}
        write_scores(self.folder / "scores.csv", self.data, columns)
        return scores

    def choose_forget_sets(self, scores: Scores) -> dict[str, ForgetSet]:
        """Three strata by exact memorization; by each proxy its own set, and the exact set with its strata cut anew."""
        of, settings = self.data, self.settings
        labels = of.train.labels.cpu().numpy()
        exact = ForgetSet.by_score(scores.exact, settings.size, medium=0.5, labels=labels, data_hash=of.hash)
        sets = {FORGET_SET: exact}
        for name in settings.scores:
            if name != FORGET_SET:
                proxy = scores.proxies[name]
                sets[name] = ForgetSet.by_score(proxy, settings.size, labels=labels, data_hash=of.hash)
                sets[f"{FORGET_SET}-by-{name}"] = exact.restrata(proxy)
        home = self.folder / "forget_sets"
        home.mkdir(exist_ok=True)
        for name, forget_set in sets.items():
            forget_set.save(home / f"{name}.json")
        return sets

    def train_oracles(self) -> dict[str, list[dict[str, Any]]]:
        """Retrain from scratch without the forget set; under protocol "paper", without each of them."""
        found = {}
        for name in self.forgotten:
            stage, extra = ("oracle", {}) if name == FORGET_SET else (f"oracle-{name}", {"forget_set": name})
            found[name] = self._run(stage, [("oracle", extra, i) for i in range(self.settings.runs)])
        return found

    def unlearn(self, methods: Mapping[Cell, Steps]) -> dict[Cell, list[list[dict[str, Any]]]]:
        """Apply every method to every original, once for each unlearning seed."""
        runs, times = self.settings.runs, self.settings.unlearnings
        work = [
            (
                f"unlearn-{cell.key}" + (f"-{again}" if again else ""),
                {"cell": cell.to_dict(), "steps": tables},
                again,
                i,
            )
            for cell, tables in methods.items()
            for i in range(runs)
            for again in range(times)
        ]
        calls = [("unlearned", {**extra, "again": again}, i) for _, extra, again, i in work]
        results = iter(self._run("unlearned", calls, [key for key, *_ in work]))
        return {cell: [[next(results) for _ in range(times)] for _ in range(runs)] for cell in methods}

    def _run(
        self, stage: str, work: Sequence[tuple[str, dict[str, Any], int]], keys: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Run one task for each (function, arguments, index); results in the same order."""
        names = [f"{key}-{i:05d}" for key, (_, _, i) in zip(keys or [stage] * len(work), work, strict=True)]
        tasks = [
            Task(name, f"unmemorize.experiment.tasks:{function}", {"index": i, **arguments})
            for name, (function, arguments, i) in zip(names, work, strict=True)
        ]

        return list(self.do(tasks).values())

    def do(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """The results of tasks that take the folder, by key; those of earlier runs are kept there."""
        return engine.run(
            tasks,
            self.folder / "tasks",
            shared={"folder": str(self.folder)},
            workers=self._workers,
            executor=self._executor,
            progress=lambda done, total, *_: self._progress(done, total) if self._progress else None,
        )


def write_scores(path: Path, of: Data, columns: dict[str, np.ndarray]) -> None:
    """One row for each training example: row, source_id, label, whether it was flipped, and every score."""
    train = of.train
    about = {"id": train.ids.cpu().numpy(), "source_id": train.source_ids, "label": train.labels.cpu().numpy()}
    score_files.write(path, {**about, "flipped": of.flipped.astype(np.int64), **columns})
