"""What the worker processes of an experiment do: each function is one training or one unlearning.

A function gets the experiment's folder and an index, reads the rest from the folder, and returns what fits in JSON.
Whatever is random follows from the settings, so a task gives the same numbers in any process, in any order.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmemorize import audit, models, proxies, score_files, train, unlearn
from unmemorize.data import Data, Examples
from unmemorize.engine.references import load
from unmemorize.ensemble import Ensemble
from unmemorize.events import LearningEvents
from unmemorize.experiment.methods import FIXED, FORGET_SET, Cell, Steps, method
from unmemorize.experiment.settings import Settings, load_settings
from unmemorize.forget_set import ForgetSet
from unmemorize.train import Context, Recipe
from unmemorize.unlearn import Unlearned

OF_MODEL: dict[str, Callable[..., NDArray[np.float64]]] = {
    "confidence_now": proxies.confidence_now,
    "holdout_retraining": proxies.holdout_retraining,
    "loss_curvature_sign": proxies.loss_curvature,
}
"""Proxies of a model as it is, by the name they have in a study."""


def data_of(settings: Settings) -> Data:
    """The data set of an experiment, its labels flipped; loaded once a process."""
    return load(**settings.source)


def recipe_of(settings: Settings) -> Recipe:
    """The training recipe of an experiment."""
    return train.resolve(settings.recipe)


def forget_set_of(folder: str, name: str) -> ForgetSet:
    """A manifest that an earlier stage wrote."""
    return ForgetSet.load(Path(folder) / "forget_sets" / f"{name}.json")


class TimedEvents(LearningEvents):
    """Learning events that know the seconds of this process that they took."""

    seconds = 0.0

    def update(self, *args: Any, **options: Any) -> None:
        """As that of `LearningEvents`, timed."""
        start = process_time()
        super().update(*args, **options)
        self.seconds += process_time() - start


def original(folder: str, index: int) -> dict[str, Any]:
    """Train the model that is to forget, its learning events recorded."""
    settings = load_settings(folder)
    of = data_of(settings)
    events = TimedEvents(len(of.train))
    model, seconds = _fit(settings, of, of.train, settings.seed_of("original", index), events)
    ctx = context(settings, "evaluate", index)
    home = Path(folder) / "original"
    home.mkdir(exist_ok=True)
    origin: dict[str, object] = {"model": recipe_of(settings).model, "recipe": settings.recipe, "data_hash": of.hash}
    origin |= {"seed": settings.seed_of("original", index), "train_seconds": seconds}
    train.save_checkpoint(checkpoint(folder, index), model, **origin)
    events.save(home / f"events-{index}.safetensors")
    return {
        "seconds": seconds,
        "events_seconds": events.seconds,
        "train": ctx.accuracy(model, of.train),
        "val": ctx.accuracy(model, of.val),
        "test": ctx.accuracy(model, of.test),
    }


def checkpoint(folder: str, index: int) -> Path:
    """Where `original` writes its model."""
    return Path(folder) / "original" / f"model-{index}.safetensors"


def proxy(folder: str, index: int, name: str) -> dict[str, Any]:
    """Take one of OF_MODEL of an original: writes original/NAME-INDEX.npz."""
    settings = load_settings(folder)
    of = data_of(settings)
    start = perf_counter()
    score = OF_MODEL[name](original_model(folder, index), of, context(settings, f"proxy/{name}", index))
    seconds = perf_counter() - start
    score_files.write(proxy_file(folder, name, index), {"source_id": of.train.source_ids, name: score})
    return {"seconds": seconds}


def proxy_file(folder: str | Path, name: str, index: int) -> Path:
    """Where `proxy` writes."""
    return Path(folder) / "original" / f"{name}-{index}.npz"


def oracle(folder: str, index: int, forget_set: str = FORGET_SET) -> dict[str, Any]:
    """Retrain from scratch on the retain set and measure it."""
    settings = load_settings(folder)
    of = data_of(settings)
    forgotten = forget_set_of(folder, forget_set)
    retain = of.train.without(forgotten.ids)
    model, seconds = _fit(settings, of, retain, settings.seed_of("oracle", index))
    return {"seconds": seconds, "measurements": _measured(settings, of, model, forgotten, index)}


def unlearned(folder: str, index: int, cell: dict[str, str], steps: Steps, again: int) -> dict[str, Any]:
    """Unlearn with one method from the original of the same index, the `again`-th time, and measure the result."""
    settings, which = load_settings(folder), Cell(**cell)
    done = unlearn_once(folder, index, which, steps, again)
    # Every method is judged on the same strata, whichever cut it used itself.
    judged = forget_set_of(folder, which.forgets(settings.protocol))
    measured = _measured(settings, data_of(settings), done.model, judged, index)
    return {"seconds": done.seconds, "measurements": measured, "history": done.history}


def unlearn_once(folder: str, index: int, cell: Cell, steps: Steps, again: int = 0) -> Unlearned:
    """The model that one method makes of the original `index`; `again` tells unlearning seeds apart."""
    settings = load_settings(folder)
    time = f"/{again}" if again else ""
    plan = method(
        cell, steps, ensemble=Ensemble.open(Path(folder) / "ensemble"), seed=settings.seed_of(f"shuffle{time}", index),
        scores=_scores(folder) if cell.content else None,
    )  # fmt: skip
    warm_up(settings)
    by_proxy = settings.protocol == FIXED and cell.scores not in ("", FORGET_SET)
    refined = f"{FORGET_SET}-by-{cell.scores}" if by_proxy else cell.forgets(settings.protocol)
    ctx = context(settings, f"unlearn/{cell.key}{time}", index)
    return unlearn.run(plan, original_model(folder, index), data_of(settings), forget_set_of(folder, refined), ctx)


def _scores(folder: str) -> dict[str, NDArray[Any]]:
    """What scores.csv holds of each training example, memorization as the exact score."""
    known = score_files.read(Path(folder) / "scores.csv")
    return {**known, FORGET_SET: known["memorization"]}


def _measured(
    settings: Settings, of: Data, model: nn.Module, forget_set: ForgetSet, index: int
) -> list[dict[str, Any]]:
    """One measurement for each evaluation seed."""
    ctx = context(settings, "evaluate", index)
    seeds = range(settings.attacks)
    return [audit.measure(model, of, forget_set, ctx, attack_seed=seed).to_dict() for seed in seeds]


@cache
def warm_up(settings: Settings) -> None:
    """One step, once a process: the first of each shape compiles its kernels, which is no part of what is timed."""
    of, recipe = data_of(settings), recipe_of(settings)
    ctx = Context(device=settings.device, progress=False)
    model = models.build(recipe.model, of, seed=0).to(ctx.device)
    for size in (recipe.batch_size, ctx.batch_size):
        batch = of.train.take(range(min(size, len(of.train)))).to(ctx.device)
        ctx.step(ctx.sgd(model, lr=1e-3), ctx.loss(model, batch))


def context(settings: Settings, role: str, index: int) -> Context:
    """Device and seed of one task."""
    return Context(device=settings.device, seed=settings.seed_of(role, index), progress=False)


def _fit(
    settings: Settings, of: Data, examples: Examples, seed: int, events: LearningEvents | None = None
) -> tuple[nn.Module, float]:
    """A model trained from scratch on `examples`, and the wall seconds it took."""
    recipe = recipe_of(settings)
    warm_up(settings)
    start = perf_counter()
    model = models.build(recipe.model, of, seed=seed)
    ctx = Context(device=settings.device, seed=seed, progress=False)
    train.fit(model, examples, recipe, ctx, events=events)
    return model, perf_counter() - start


def original_model(folder: str, index: int) -> nn.Module:
    """What `original` trained."""
    settings = load_settings(folder)
    model = models.build(recipe_of(settings).model, data_of(settings))
    state, _ = train.load_checkpoint(checkpoint(folder, index))
    model.load_state_dict(state)
    return model
