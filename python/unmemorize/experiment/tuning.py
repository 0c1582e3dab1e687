"""Search for hyper-parameters, with the same budget for each method: what the presets are made by.

Oracle-tuned, as in the papers: the objective is agreement with retrained models, on label flips and training seeds that
are not those of the reported runs. It is the mean of ToW and ToW-MIA: tuned for ToW alone, a method may match the
accuracies of retraining with confidences that give the forgotten examples away.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from unmemorize import audit, engine
from unmemorize.audit import Measurement
from unmemorize.engine import Task
from unmemorize.experiment.pipeline import Experiment
from unmemorize.experiment.settings import Cell, Settings
from unmemorize.experiment.tasks import unlearned
from unmemorize.train import DivergedError

Space = dict[str, tuple[str, float, float]]  # name -> (kind, low, high); kinds: log, linear, int

OBJECTIVE = "mean of ToW ↑ and ToW-MIA ↑ against retrained models (oracle-tuned)"

SPACES: dict[str, Space] = {  # the published ranges, widened at both ends for smaller networks and sets
    "fine_tune": {"lr": ("log", 1e-3, 0.5), "epochs": ("int", 1, 10)},
    "neg_grad_plus": {"lr": ("log", 1e-3, 0.1), "epochs": ("int", 1, 10), "alpha": ("linear", 0.7, 0.999)},
    "salun": {"lr": ("log", 1e-3, 0.2), "epochs": ("int", 1, 10), "threshold": ("linear", 0.1, 0.9)},
    "out_of_sample": {"lr": ("log", 1e-3, 0.5), "epochs": ("int", 1, 10)},
}


class Tuning:
    """An experiment whose methods are searched for instead of compared.

    Args:
        folder: where everything is written.
        settings: as of an experiment; its preset is not used.
        trials: for each method.
        workers: processes.
        progress: called as (done, total) after each task of a stage.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        trials: int,
        workers: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._study = Experiment(folder, settings, workers=workers, progress=progress)
        self._trials, self._workers, self._progress = trials, workers, progress
        self.cells = [cell for cell in settings.cells if cell.algorithm in SPACES]

    def prepare(self, begin: Callable[[str, int], None] = lambda stage, tasks: None) -> None:
        """Originals, ensemble, forget sets and oracles."""
        self._study.prepare(begin)

    def search(self) -> dict[str, dict[str, Any]]:
        """The best steps of each method by its key, and the mean of ToW and ToW-MIA that they reached."""
        folder = self._study.folder
        oracles = self._study.train_oracles()
        measured = [result["measurement"] for result in oracles]
        tasks = [
            Task(
                f"tune-{cell.key}",
                "unmemorize.experiment.tuning:search",
                {"cell": asdict(cell), "trials": self._trials, "oracles": measured},
            )
            for cell in self.cells
        ]

        def report(done: int, total: int, key: str, result: Any) -> None:
            if self._progress:
                self._progress(done, total)

        shared = {"folder": str(folder)}
        found = engine.run(tasks, folder / "tasks", shared=shared, workers=self._workers, progress=report)
        return {cell.key: found[f"tune-{cell.key}"] for cell in self.cells}


def search(folder: str, cell: dict[str, str], trials: int, oracles: list[dict[str, Any]]) -> dict[str, Any]:
    """Tune one method in a worker process: Tree-structured Parzen estimator with median pruning, seeded."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError('optuna is missing: pip install "unmemorize[tune]"') from error
    which = Cell(**cell)
    truth = [Measurement.from_dict(oracle) for oracle in oracles]

    def objective(trial: optuna.Trial) -> float:
        count = 1 if which.plan == "vanilla" else 3
        steps = [dict(_suggest(trial, SPACES[which.algorithm], f"{k}.")) for k in range(count)]
        trial.set_user_attr("steps", steps)
        scores: list[float] = []
        for index in range(len(truth)):
            try:
                result = unlearned(folder, index, cell, steps)
            except DivergedError as error:
                raise optuna.TrialPruned from error
            found = audit.compare([Measurement.from_dict(result["measurement"])], truth)
            scores.append((found.tow.value + found.tow_mia.value) / 2)
            trial.report(float(np.mean(scores)), index)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(scores))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=10),
    )
    study.optimize(objective, n_trials=trials)
    return {"steps": study.best_trial.user_attrs["steps"], "value": study.best_value}


def _suggest(trial: Any, space: Space, prefix: str) -> Iterator[tuple[str, float]]:
    for name, (kind, low, high) in space.items():
        if kind == "int":
            yield name, trial.suggest_int(prefix + name, int(low), int(high))
        else:
            yield name, float(f"{trial.suggest_float(prefix + name, low, high, log=kind == 'log'):.3g}")


def write_preset(path: Path, study: dict[str, Any], cells: dict[str, dict[str, Any]]) -> None:
    """A preset as TOML: how it was tuned, then each method's steps and what they reached."""
    lines = ["[study]", *(f"{key} = {_toml(value)}" for key, value in study.items()), "", "[cells]"]
    for key, found in cells.items():
        tables = [", ".join(f"{name} = {_toml(value)}" for name, value in step.items()) for step in found["steps"]]
        lines += [f"{key} = [  # {found['value']:.4f}", *(f"    {{ {table} }}," for table in tables), "]"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
