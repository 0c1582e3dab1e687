"""Training the reference models of a store: never one twice, until there are enough."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

from unmemorize import _arrays
from unmemorize.engine.crew import Crew, Executor
from unmemorize.engine.plan import Books, Group, Plan
from unmemorize.engine.queue import run
from unmemorize.engine.references import KEEP, key_of, load
from unmemorize.engine.task import Task
from unmemorize.ensemble import Ensemble
from unmemorize.stats import Estimate

HALVES = 4  # models, the fewest that make two halves with scores
Watch = Callable[[int, int, Ensemble], None]


def train_ensemble(
    folder: str | Path,
    plan: Plan,
    models: int,
    source: Mapping[str, Any],
    *,
    keep: Sequence[str] = KEEP,
    device: str = "auto",
    workers: int | None = None,
    executor: Executor | None = None,
    until_reliability: float | None = None,
    watch: Watch | None = None,
) -> Ensemble:
    """Train the reference models of a store that it does not hold yet.

    Interrupted or killed, it goes on where it was when it is called again; called with more `models` than before, the
    store grows. What the store holds is what is done: a model that was removed, or whose entry was damaged, is trained
    again. On a CPU, scores have the same bits whatever was interrupted, and for any number of workers.

    Args:
        folder: of the store, new or there.
        plan: what the models are.
        models: T, how many there are to be.
        source: arguments of `unmemorize.data.load`.
        keep: what to store of each model besides bits: any of `KEEP`.
        device: as in `Context`; of several CUDA devices each worker has one.
        workers: processes; None: one for each core that this process may use.
        executor: where to run in place of processes of this machine; the caller opens and closes it.
        until_reliability: split-half reliability of the scores that is enough: no further block of the design is begun
            once it is reached.
        watch: called as (models done, models in all, store) at the start and whenever a group is done.

    Returns:
        The store.

    Raises:
        ValueError: the store is of other data, another recipe or another plan, or something makes no sense.
        TaskError: a training failed.
    """
    _check(keep, models, until_reliability)
    of = load(**source)
    if of.hash != plan.data_hash:
        raise ValueError(f"{of.name}: data hash is {of.hash[:12]}, expected {plan.data_hash[:12]}")
    next(plan.subsets(len(of.train), models).rows())  # complains of what makes no sense
    store = Ensemble.create(folder, len(of.train), len(of.test), data_hash=of.hash, recipe_hash=plan.recipe.hash)
    sizes = Books(store.path).claim(plan, models, len(of.train))
    shared = {"folder": str(store.path.resolve()), "source": dict(source), "device": device, "keep": list(keep)}

    def report(*_: object) -> None:
        if watch is not None:
            watch(len(_done(store).intersection(map(key_of, range(models)))), models, store)

    report()
    at_once = workers or _arrays.threads(None)
    with nullcontext(executor) if executor else Crew(workers) as crew:
        for part in _rounds(plan, sizes, models, at_once if until_reliability is not None else None):
            done = _done(store)
            if until_reliability is not None and (found := halves(store)) and found.value >= until_reliability:
                break
            todo = [task for task, group in part if not done.issuperset(map(key_of, group))]
            for task in todo:  # what the store does not hold is not done, whatever was written down once
                task.file(store.path / "tasks").unlink(missing_ok=True)
            run(todo, store.path / "tasks", shared=shared, executor=crew, progress=report)
    return store


def halves(store: Ensemble) -> Estimate | None:
    """Split-half reliability of the scores; None: there are too few models for two halves."""
    return store.reliability() if len(store.entries("reference")) >= HALVES else None


def _rounds(plan: Plan, sizes: Sequence[int], models: int, workers: int | None) -> Iterator[list[tuple[Task, Group]]]:
    """The groups in rounds of whole blocks that keep `workers` busy; None: in one round."""
    part: list[tuple[Task, Group]] = []
    for first, size in pairwise([0, *sizes]):
        for group in plan.groups(first, size):
            if group.start < models:
                part.append((_task(plan, size, group), group))
            if workers and len(part) >= workers and group.stop % plan.block(size) == 0:
                yield part
                part = []
    yield part


def _task(plan: Plan, size: int, group: Group) -> Task:
    return Task(
        f"reference-{group.start:05d}-{group.stop - 1:05d}",
        "unmemorize.engine.references:train_group",
        {"plan": plan.to_dict(), "of_models": size, "first": group.start, "stop": group.stop},
    )


def _done(store: Ensemble) -> set[str]:
    """Keys of the reference models that the store holds."""
    return {entry.key for entry in store.entries("reference") if entry.key is not None}


def _check(keep: Sequence[str], models: int, until_reliability: float | None) -> None:
    for name in keep:
        if name not in KEEP:
            raise ValueError(f"keep: no {name!r}; known are {', '.join(KEEP)}")
    if models < 2:
        raise ValueError(f"models: expected at least 2, got {models}")
    if until_reliability is not None and not 0 < until_reliability < 1:
        raise ValueError(f"until_reliability: expected above 0 and below 1, got {until_reliability}")
