"""Search for hyper-parameters, with the same budget for each method: what the presets are made by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unmemorize import unlearn
from unmemorize.engine import Executor, Task
from unmemorize.experiment.methods import WITHOUT_STRATA, Cell
from unmemorize.experiment.objectives import OBJECTIVES
from unmemorize.experiment.pipeline import Begin, Experiment, Progress
from unmemorize.experiment.settings import Settings, load_settings
from unmemorize.experiment.tasks import unlearn_once
from unmemorize.train import DivergedError, derive_seed
from unmemorize.unlearn.hyperparameters import Hyperparameters, Range

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler

Space = Mapping[str, tuple[str, float, float]]  # name -> (kind, low, high); kinds: log, linear, int

WIDER = 5.0  # than the published ranges, at both ends, for smaller networks and sets
STARTUP = 4  # trials before the sampler learns from them
SHARED = 8  # trials of a chain before its strata may differ
BEST = 25  # per cent of the complete trials that one must be among after each run, or it is pruned


class Tuning:
    """An experiment whose methods are searched for instead of compared.

    Args:
        folder: where everything is written; a search that was interrupted or killed loses the trial in flight at most.
        settings: as of an experiment; a trial is judged on its `runs`.
        cells: the methods; those without hyper-parameters, or with a plan that names them, are left out.
        trials: for each method.
        mode: one of OBJECTIVES: by which a trial is judged.
        workers: as of an experiment; so too `executor` and `progress`.
        executor: see there.
        progress: see there.

    Raises:
        ValueError: unknown mode, an algorithm that has no ranges, or nothing that can be tuned.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        cells: Sequence[Cell],
        *,
        trials: int,
        mode: str = "oracle",
        workers: int | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> None:
        if mode not in OBJECTIVES:
            raise ValueError(f"mode: no mode {mode!r}; known are {', '.join(OBJECTIVES)}")
        self.cells = [cell for cell in cells if cell.algorithm not in WITHOUT_STRATA and "steps" not in cell.rules]
        if not self.cells:
            raise ValueError(
                "methods: none that can be tuned; give algorithms with ranges, and plans that name no steps"
            )
        self.spaces = {cell.algorithm: space(cell.algorithm) for cell in self.cells}
        self.mode, self.trials = mode, trials
        self._study = Experiment(folder, settings, workers=workers, executor=executor, progress=progress)

    def prepare(self, begin: Begin = lambda stage, tasks: None) -> None:
        """Originals, ensemble, forget sets; and oracles, if they are what a trial is judged by."""
        self._study.prepare(begin, oracles=self.mode == "oracle")

    def first(self) -> float:
        """The first trial of each method, its defaults; the seconds of one core that all trials take, unless pruned."""
        return self.trials * sum(float(found["seconds"]) for found in self._search(1).values())

    def search(self) -> dict[str, dict[str, Any]]:
        """By each method's key: its best steps, the value that they reached, and the trials that were pruned."""
        return self._search(self.trials)

    def _search(self, trials: int) -> dict[str, dict[str, Any]]:
        retrained = self._study.train_oracles() if self.mode == "oracle" else {}
        oracles = {name: [run["measurements"][0] for run in runs] for name, runs in retrained.items()}
        tasks = [
            Task(
                f"tune-{self.mode}-{trials}-{cell.key}",
                "unmemorize.experiment.tuning:search",
                {
                    "cell": cell.to_dict(),
                    "trials": trials,
                    "mode": self.mode,
                    "space": {name: list(of) for name, of in self.spaces[cell.algorithm].items()},
                    "oracles": oracles.get(cell.forgets(self._study.settings.protocol), []),
                },
            )
            for cell in self.cells
        ]
        found = self._study.do(tasks)
        return {cell.key: result for cell, result in zip(self.cells, found.values(), strict=True)}


def space(algorithm: str) -> Space:
    """What is searched of an algorithm: its own `ranges`, widened.

    Raises:
        ValueError: no algorithm has this name, or it says nothing of ranges.
    """
    kind = unlearn.find(algorithm)
    ranges: dict[str, Range] = kind.ranges() if issubclass(kind, Hyperparameters) else {}
    if not ranges:
        raise ValueError(f"algorithm: {algorithm!r} has no ranges to search; it is to derive from Hyperparameters")
    return {name: found.widened(WIDER) for name, found in ranges.items()}


def search(
    folder: str, cell: dict[str, str], trials: int, mode: str, space: Space, oracles: list[dict[str, Any]]
) -> dict[str, Any]:
    """Tune one method in a worker process, until its study holds `trials` trials.

    Tree-structured Parzen estimator; a trial that is not among the best after a run is pruned. The first trial is the
    defaults. In the first SHARED trials of a chain its strata have the same hyper-parameters; what was learned of them
    then is where they start to differ. What is drawn depends on the trials before it alone: a search that was killed,
    or that goes on with more trials, ends like an undisturbed one.

    Args:
        folder: of the experiment.
        cell: the method.
        trials: in all.
        mode: one of OBJECTIVES.
        space: of each hyper-parameter.
        oracles: measurements of retrained models, for mode "oracle" only.

    Raises:
        RuntimeError: no trial ended well.
    """
    which, settings = Cell(**cell), load_settings(folder)
    strata, runs, forget_set = which.links, settings.runs, which.forgets(settings.protocol)

    def objective(trial: "Trial") -> float:
        steps = [{name: _suggest(trial, f"{k}.{name}", *of) for name, of in space.items()} for k in range(strata)]
        trial.set_user_attr("steps", steps)
        values: list[float] = []
        for index in range(runs):
            try:
                model = unlearn_once(folder, index, which, steps).model
                values.append(OBJECTIVES[mode].value(folder, index, forget_set, model, oracles))
            except DivergedError as error:
                raise optuna.TrialPruned from error
            trial.report(float(np.mean(values)), index)
            if trial.should_prune() and index + 1 < runs:
                raise optuna.TrialPruned
        return float(np.mean(values))

    optuna = _optuna()
    study = _study(Path(folder) / "tuning", f"{mode}-{which.key}", space)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):  # by a search that died
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)
    while (done := len(study.get_trials(deepcopy=False, states=ended))) < trials:
        if not done:
            study.enqueue_trial(_defaults(which, space, strata), skip_if_exists=True)
        study.sampler = _sampler(derive_seed(done, which.key), shared=done < SHARED)
        study.optimize(objective, n_trials=1)
    return _outcome(study, which.key, trials)


def _suggest(trial: "Trial", name: str, kind: str, low: float, high: float) -> float:
    if kind == "int":
        return trial.suggest_int(name, int(low), int(high))
    return float(f"{trial.suggest_float(name, low, high, log=kind == 'log'):.3g}")


def _defaults(cell: Cell, space: Space, strata: int) -> dict[str, float]:
    """The defaults of an algorithm for each of `strata`, moved into the ranges where they are outside."""
    known: dict[str, Any] = {field.name: field.default for field in fields(unlearn.find(cell.algorithm))}
    inside = {name: min(max(known[name], low), high) for name, (_, low, high) in space.items()}
    return {f"{k}.{name}": value for k in range(strata) for name, value in inside.items()}


def _study(folder: Path, name: str, space: Space) -> "Study":
    """The study of one method, new or as far as it came: a journal of its own, durable after each trial."""
    optuna = _optuna()
    folder.mkdir(exist_ok=True)
    journal = optuna.storages.journal.JournalFileBackend(str(folder / f"{name}.jsonl"))
    study: Study = optuna.create_study(
        storage=optuna.storages.JournalStorage(journal),
        study_name=json.dumps(space),
        direction="maximize",
        pruner=optuna.pruners.PercentilePruner(BEST, n_startup_trials=2),
        load_if_exists=True,
    )
    return study


def _sampler(seed: int, *, shared: bool) -> "BaseSampler":
    """Draws from `seed`; with `shared` what is drawn for the first stratum holds for all of them."""
    optuna = _optuna()

    class Shared(optuna.samplers.TPESampler):  # type: ignore[misc,name-defined]
        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            space = super().infer_relative_search_space(study, trial)
            return {name: of for name, of in space.items() if not shared or name.startswith("0.")}

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            stratum, _, of = name.partition(".")
            if shared and stratum != "0":
                return trial.params[f"0.{of}"]
            return super().sample_independent(study, trial, name, distribution)

    return Shared(seed=seed, n_startup_trials=STARTUP, multivariate=True)


def _outcome(study: "Study", key: str, trials: int) -> dict[str, Any]:
    """Of the first `trials` that ended."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")][:trials]
    complete = [trial for trial in ended if trial.state.name == "COMPLETE"]
    if not complete:
        raise RuntimeError(f"{key}: none of {len(ended)} trials ended with finite losses; lower its learning rates")
    best = max(complete, key=lambda trial: trial.values[0])  # the first of equals
    seconds = sum(trial.duration.total_seconds() for trial in ended if trial.duration)
    pruned = len(ended) - len(complete)
    return {"steps": best.user_attrs["steps"], "value": best.values[0], "pruned": pruned, "seconds": seconds}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError('optuna is missing: pip install "unmemorize[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # versions before 4.9 warn of what `_sampler` does on purpose
    return optuna
