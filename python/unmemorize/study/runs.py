"""The training runs of a study: every proxy of one run, at several stages of the training."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unmemorize import models, proxies, score_files, train
from unmemorize.experiment.settings import load_settings
from unmemorize.experiment.tasks import OF_MODEL, TimedEvents, data_of, recipe_of, warm_up
from unmemorize.proxies import Cost, InputGradients
from unmemorize.train import Context

WHOLE = 1.0
SHARES = (0.1, 0.25, 0.5, WHOLE)  # of the epochs: where the proxies are read

OF_FINISHED_MODEL: dict[str, Callable[..., NDArray[np.float64]]] = {
    "loss_curvature_rademacher": partial(proxies.loss_curvature, method="rademacher"),
    "sharpness_gap": proxies.sharpness_gap,
}
"""Those that take as long as a training, so they are taken once, at the end."""


def stops(epochs: int) -> dict[float, int]:
    """The number of epochs that each of SHARES stands for, at least 1.

    Example:
        >>> stops(12)
        {0.1: 1, 0.25: 3, 0.5: 6, 1.0: 12}
    """
    return {share: max(1, round(share * epochs)) for share in SHARES}


@dataclass(eq=False)
class _Watched(Context):
    """A context that tells after each epoch how many are done."""

    then: Callable[[int], None] = lambda done: None

    def epochs(self, n: int, what: str = "", *, start: int = 0) -> Iterator[int]:
        for epoch in super().epochs(n, what, start=start):
            yield epoch
            self.then(epoch + 1)


def run(folder: str, index: int) -> dict[str, Any]:
    """Train a model on all examples and take every proxy of it: writes study/run-INDEX.npz.

    The training is made twice with the same seed, the second time with `InputGradients` and no learning events: the
    difference is what the cumulative gradient costs.
    """
    settings = load_settings(folder)
    of, recipe = data_of(settings), recipe_of(settings)
    seed, at = settings.seed_of("original", index), stops(recipe.epochs)
    warm_up(settings)
    stages: dict[int, tuple[dict[str, NDArray[np.float64]], nn.Module]] = {}
    pulls: dict[int, NDArray[np.float64]] = {}
    events, model = TimedEvents(len(of.train)), models.build(recipe.model, of, seed=seed)

    def keep(done: int) -> None:
        if done in at.values():
            stages[done] = events.proxies(), copy.deepcopy(model)

    def keep_gradients(done: int) -> None:
        if done in at.values():
            pulls[done] = gradients.scores()["input_gradient"]

    clock = _clock()
    start = clock()
    train.fit(model, of.train, recipe, _Watched(seed=seed, progress=False, then=keep), events=events)
    seconds = clock() - start
    again = models.build(recipe.model, of, seed=seed)
    gradients = InputGradients(len(of.train), again)
    start = clock()
    train.fit(again, of.train, recipe, _Watched(seed=seed, progress=False, then=keep_gradients), events=gradients)
    more = max(clock() - start - (seconds - events.seconds), 0.0)
    costs = {name: {"seconds": events.seconds, "forwards": 0, "backwards": 0} for name in events.proxies()}
    costs["cumulative_gradient"] = {"seconds": more, "forwards": 0, "backwards": 0}
    columns: dict[str, NDArray[Any]] = {"source_id": of.train.source_ids}
    ctx = Context(seed=seed, progress=False)
    for share, epoch in at.items():
        found, snapshot = dict(stages[epoch][0]), stages[epoch][1].eval()
        for name, proxy in (OF_MODEL if share < WHOLE else OF_MODEL | OF_FINISHED_MODEL).items():
            with Cost() as cost:
                start = clock()
                found[name] = proxy(snapshot, of, ctx)
                spent = clock() - start
            costs[name] = {"seconds": spent, "forwards": cost.forwards, "backwards": cost.backwards}
        found["cumulative_gradient"] = pulls[epoch]
        columns |= {f"{share}/{name}": values for name, values in found.items()}
    home = Path(folder) / "study"
    home.mkdir(exist_ok=True)
    score_files.write(file(folder, index), columns)
    accuracy = {name: ctx.accuracy(model, part) for name, part in of.parts.items()}
    return {"seconds": seconds - events.seconds, "accuracy": accuracy, "costs": costs}


def _clock() -> Callable[[], float]:
    """Seconds of this process on its one core, whatever else the machine does; on a GPU those of the wall clock."""
    return perf_counter if torch.cuda.is_available() else process_time


def file(folder: str | Path, index: int) -> Path:
    """What `run` writes."""
    return Path(folder) / "study" / f"run-{index}.npz"


def read(folder: str | Path, index: int) -> dict[float, dict[str, NDArray[np.float64]]]:
    """Every proxy (n,) of one run, by the share of its epochs and by name."""
    found: dict[float, dict[str, NDArray[np.float64]]] = {share: {} for share in SHARES}
    for key, values in score_files.read(file(folder, index)).items():
        share, _, name = key.partition("/")
        if name:
            found[float(share)][name] = values
    return found
