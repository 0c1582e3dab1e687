"""What an ensemble will cost, from a probe of seconds."""

import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np

from unmemorize import _arrays
from unmemorize.engine.plan import Plan
from unmemorize.engine.queue import run
from unmemorize.engine.references import KEEP, Trained, append_group, load, train_panel
from unmemorize.engine.task import Task
from unmemorize.ensemble import Ensemble
from unmemorize.train import Context

PROBE = 4.0  # seconds of training that tell the rest; about four times as many are spent on it
EVALUATED = 1024  # images that each network is asked of


@dataclass(frozen=True)
class Cost:
    """What training an ensemble will take.

    Attributes:
        seconds: wall time, all workers together.
        memory: bytes of all processes together, at their peaks.
        disk: bytes of the store.
        models_per_minute: once the workers have started.
    """

    seconds: float
    memory: int
    disk: int
    models_per_minute: float


def estimate(
    plan: Plan,
    models: int,
    source: Mapping[str, Any],
    *,
    keep: Sequence[str] = KEEP,
    device: str = "auto",
    workers: int | None = None,
) -> Cost:
    """Predict the cost of `train_ensemble` with the same arguments. Nothing is kept.

    Every worker trains a group for some seconds, all at once, as they will; time is a straight line in the number of
    steps, images asked of and models stored.

    Raises:
        ValueError: as `train_ensemble`.
        TaskError: a probe failed.
    """
    groups = list(plan.groups(0, models))
    count = min(workers or _arrays.threads(None), len(groups))
    arguments = {"plan": plan.to_dict(), "of_models": models, "stop": len(groups[0])}
    tasks = [Task(f"probe-{k}", "unmemorize.engine.estimate:probe", {**arguments, "worker": k}) for k in range(count)]
    shared = {"source": dict(source), "device": device, "keep": list(keep)}
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = list(run(tasks, folder, shared=shared, workers=count).values())
    starting = max(perf_counter() - start - max(said["worked"] for said in found), 0)
    a_group = float(np.mean([said["group"] for said in found]))
    rounds = -(-len(groups) // count)
    return Cost(
        seconds=starting + float(np.mean([said["loading"] for said in found])) + rounds * a_group,
        memory=int(sum(said["memory"] for said in found)) + peak_memory(),
        disk=found[0]["entry"] * models,
        models_per_minute=60 * count * len(groups[0]) / a_group,
    )


def probe(
    source: dict[str, Any],
    device: str,
    keep: Sequence[str],
    plan: dict[str, Any],
    of_models: int,
    stop: int,
    worker: int,
) -> dict[str, float]:
    """Train the first group of a plan for some seconds; what it took, and what a whole training would."""
    start = perf_counter()
    what = Plan.from_dict(plan)
    ctx = Context(device=device, dtype=what.dtype, progress=False)
    of = load(**source, device=str(ctx.device))
    subsets = what.subsets(len(of.train), of_models)
    member = np.stack(list(islice(subsets.rows(), stop)))
    loading = perf_counter() - start
    per_epoch = -(-int(member.sum(axis=1).min()) // what.recipe.batch_size)
    in_all = per_epoch * what.recipe.epochs

    held = of.train.subset(np.flatnonzero(member[0])) if stop == 1 else None  # as a whole training would

    def trained(steps: int) -> tuple[float, int, Trained]:
        """Seconds of a training of about `steps` steps, in whole epochs or in a part of one, and its exact steps."""
        epochs = max(1, steps // per_epoch)
        short = replace(what, recipe=replace(what.recipe, epochs=epochs))
        some = member & (np.cumsum(member, axis=1) <= steps * what.recipe.batch_size)
        begun = perf_counter()
        found = train_panel(short, of, some, [what.seed_of(model) for model in range(stop)], ctx)
        return perf_counter() - begun, epochs * min(steps, per_epoch), found

    trained(2)  # the first step of each shape compiles its kernels
    before, few, (panel, events) = trained(2)
    seconds, steps, (panel, events) = trained(4)
    while seconds < PROBE and steps < in_all:
        before, few = seconds, steps
        seconds, steps, (panel, events) = trained(min(2 * steps, in_all))
    training = seconds + max(seconds - before, 0) / max(steps - few, 1) * (in_all - steps)

    some = of.train.take(range(min(EVALUATED, len(of.train))))
    ctx.logits(panel, some)
    begun = perf_counter()
    logits = ctx.logits(panel, some)
    asking = (perf_counter() - begun) * (len(of.train) + len(of.test)) / len(some)

    with tempfile.TemporaryDirectory() as folder:
        store = Ensemble.create(folder, len(of.train), len(of.test))
        begun = perf_counter()
        said = [logits.new_zeros(len(part), *logits.shape[1:]) for part in (of.train, of.test)]
        append_group(store, what, of, subsets, range(stop), events, said, keep, ctx, 0.0)
        appending = perf_counter() - begun
        entry = store.describe()["bytes"] // stop
    return {
        "worked": perf_counter() - start,
        "loading": loading,
        "group": training + asking + appending,
        "memory": peak_memory(),
        "entry": entry,
        "held": len(held or ()),
    }


def peak_memory() -> int:
    """The most bytes that this process held at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
