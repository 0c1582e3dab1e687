"""What the worker processes of an experiment do: each function is one training or one unlearning.

A function gets the experiment's folder and an index, reads the rest from the folder, and returns what fits in JSON.
Whatever is random follows from the settings, so a task gives the same numbers in any process, in any order.
"""

from functools import cache
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from torch import nn

from unmemorize import audit, models, train, unlearn
from unmemorize.data import Data, Examples
from unmemorize.engine.references import load
from unmemorize.ensemble import Ensemble
from unmemorize.events import LearningEvents
from unmemorize.experiment.methods import method
from unmemorize.experiment.settings import Cell, Settings, load_settings
from unmemorize.forget_set import ForgetSet
from unmemorize.train import Context, Recipe

FORGET_SET = "exact"  # the one set that every method and oracle forgets


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
    ctx = _context(settings, "evaluate", index)
    home = Path(folder) / "original"
    home.mkdir(exist_ok=True)
    origin = {"model": recipe_of(settings).model, "recipe": settings.recipe, "data_hash": of.hash}
    train.save_checkpoint(checkpoint(folder, index), model, **origin, seed=settings.seed_of("original", index))
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


def oracle(folder: str, index: int) -> dict[str, Any]:
    """Retrain from scratch on the retain set and measure it."""
    settings = load_settings(folder)
    of = data_of(settings)
    forget_set = forget_set_of(folder, FORGET_SET)
    retain = of.train.without(forget_set.ids)
    model, seconds = _fit(settings, of, retain, settings.seed_of("oracle", index))
    measured = audit.measure(model, of, forget_set, _context(settings, "evaluate", index))
    return {"seconds": seconds, "measurement": measured.to_dict()}


def unlearned(folder: str, index: int, cell: dict[str, str], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Unlearn with one method from the original of the same index and measure the result."""
    settings = load_settings(folder)
    of = data_of(settings)
    which = Cell(**cell)
    store = Ensemble.open(Path(folder) / "ensemble") if which.algorithm == "out_of_sample" else None
    algorithm = method(which, steps, ensemble=store, seed=settings.seed_of("shuffle", index))
    warm_up(settings)
    forget_set = forget_set_of(folder, FORGET_SET)
    refined = forget_set_of(folder, f"{FORGET_SET}-by-{which.scores}") if which.scores == settings.proxy else forget_set
    done = unlearn.run(
        algorithm, _original(folder, index), of, refined, _context(settings, f"unlearn/{which.key}", index)
    )
    # Every method is judged on the same strata, whichever cut it used itself.
    measured = audit.measure(done.model, of, forget_set, _context(settings, "evaluate", index))
    return {"seconds": done.seconds, "measurement": measured.to_dict(), "history": done.history}


@cache
def warm_up(settings: Settings) -> None:
    """One step, once a process: the first of each shape compiles its kernels, which is no part of what is timed."""
    of, recipe = data_of(settings), recipe_of(settings)
    model, ctx = models.build(recipe.model, of, seed=0), Context(progress=False)
    for size in (recipe.batch_size, ctx.batch_size):
        batch = of.train.take(range(min(size, len(of.train))))
        ctx.step(ctx.sgd(model, lr=1e-3), ctx.loss(model, batch))


def _context(settings: Settings, role: str, index: int) -> Context:
    return Context(seed=settings.seed_of(role, index), progress=False)


def _fit(
    settings: Settings, of: Data, examples: Examples, seed: int, events: LearningEvents | None = None
) -> tuple[nn.Module, float]:
    """A model trained from scratch on `examples`, and the wall seconds it took."""
    recipe = recipe_of(settings)
    warm_up(settings)
    start = perf_counter()
    model = models.build(recipe.model, of, seed=seed)
    train.fit(model, examples, recipe, Context(seed=seed, progress=False), events=events)
    return model, perf_counter() - start


def _original(folder: str, index: int) -> nn.Module:
    settings = load_settings(folder)
    model = models.build(recipe_of(settings).model, data_of(settings))
    state, _ = train.load_checkpoint(checkpoint(folder, index))
    model.load_state_dict(state)
    return model
