"""Unlearning: one algorithm per file, and `run`, which applies one or a plan of several to a model."""

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from importlib.metadata import entry_points
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmemorize.data import Data
from unmemorize.forget_set import ForgetSet
from unmemorize.train import Context, derive_seed
from unmemorize.unlearn.bad_teacher import BadTeacher
from unmemorize.unlearn.boundary_shrink import BoundaryShrink
from unmemorize.unlearn.cf_k import CFk
from unmemorize.unlearn.chain import Algorithm, Plan, Step, Unlearned, check, run_chain, spent
from unmemorize.unlearn.eu_k import EUk
from unmemorize.unlearn.fine_tune import FineTune
from unmemorize.unlearn.influence import Influence
from unmemorize.unlearn.l1_sparse import L1Sparse
from unmemorize.unlearn.neg_grad import NegGrad
from unmemorize.unlearn.neg_grad_plus import NegGradPlus
from unmemorize.unlearn.nothing import Nothing
from unmemorize.unlearn.out_of_sample import OutOfSample
from unmemorize.unlearn.random_label import RandomLabel
from unmemorize.unlearn.retrain import Retrain
from unmemorize.unlearn.salun import SalUn
from unmemorize.unlearn.scrub import Scrub
from unmemorize.unlearn.ssd import SSD

__all__ = [
    "ALGORITHMS",
    "SSD",
    "Algorithm",
    "BadTeacher",
    "BoundaryShrink",
    "CFk",
    "EUk",
    "FineTune",
    "Influence",
    "L1Sparse",
    "NegGrad",
    "NegGradPlus",
    "Nothing",
    "OutOfSample",
    "Plan",
    "RandomLabel",
    "Retrain",
    "SalUn",
    "Scrub",
    "Step",
    "Unlearned",
    "find",
    "make",
    "run",
    "run_requests",
    "spent",
]

ALGORITHMS: dict[str, type[Any]] = {
    algorithm.NAME: algorithm
    for algorithm in (
        Nothing,
        Retrain,
        FineTune,
        L1Sparse,
        NegGrad,
        NegGradPlus,
        Scrub,
        RandomLabel,
        SalUn,
        Influence,
        SSD,
        BadTeacher,
        BoundaryShrink,
        CFk,
        EUk,
        OutOfSample,
    )
}


def make(name: str, **hyper: Any) -> Algorithm:
    """The algorithm called `name`, its hyper-parameters those given and defaults for the rest.

    Another package's algorithm, a dataclass, is found by its entry point in the group ``unmemorize.algorithms``.

    Raises:
        ImportError: the entry point of this name cannot be loaded.
        ValueError: no algorithm or hyper-parameter has this name, one without a default is missing, or a value is
            outside the range that the error names.

    Example:
        >>> make("salun", threshold=0.3)
        SalUn(lr=0.02, epochs=5, threshold=0.3)
        >>> make("salun", beta=1)
        Traceback (most recent call last):
        ValueError: salun: no hyper-parameter 'beta'; known are lr, epochs, threshold
    """
    known = {field.name: field.default for field in fields(find(name))}
    for given in hyper:
        if given not in known:
            raise ValueError(f"{name}: no hyper-parameter {given!r}; known are {', '.join(known) or 'none'}")
    for needed, default in known.items():
        if default is MISSING and needed not in hyper:
            raise ValueError(f"{name}: needs {needed}, which has no default")
    try:
        algorithm: Algorithm = find(name)(**hyper)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    return algorithm


def find(name: str) -> type[Any]:
    """The class of the algorithm called `name`, of this package or another.

    Raises:
        ImportError: the entry point of this name cannot be loaded.
        ValueError: no algorithm has this name.
    """
    return ALGORITHMS.get(name) or _plugin(name)


def _plugin(name: str) -> type[Any]:
    """The algorithm that another package brings under `name`."""
    found = {entry.name: entry for entry in entry_points(group="unmemorize.algorithms")}
    if name not in found:
        names = [*ALGORITHMS, *sorted(found.keys() - ALGORITHMS.keys())]
        raise ValueError(f"algorithm: no algorithm {name!r}; known are {', '.join(names)}")
    try:
        loaded: type[Any] = found[name].load()
    except Exception as error:
        entry = found[name]
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
        raise ImportError(f"algorithm {name!r}: {entry.value} of {package} cannot be loaded: {error}") from error
    return loaded


def run(
    algorithm: str | Algorithm | Plan,
    model: nn.Module,
    data: Data,
    forget_set: ForgetSet,
    ctx: Context,
    *,
    gone: NDArray[np.int64] | None = None,
) -> Unlearned:
    """Make a copy of `model` forget `forget_set`.

    Args:
        algorithm: a name from `ALGORITHMS`, an instance, or anything with `cut` and `plan`, such as a `RUM`. A single
            algorithm forgets the whole set in one step.
        model: the original, trained on `data.train`; it is not changed.
        data: the data set.
        forget_set: what to forget, in rows of `data.train`.
        ctx: device, precision, seed. With `run_dir`, each finished step is kept there and a killed run goes on from it.
        gone: rows that earlier requests took: no step retains them, and no accuracy counts them.

    Returns:
        The unlearned model, its wall seconds, and accuracies after every step.

    Raises:
        ValueError: unknown algorithm; a forget set of another data set, one that leaves nothing to retain, or one that
            holds what is gone.
        TypeError: `algorithm` has neither `apply`, nor `cut` and `plan`.
        FileExistsError: `ctx.run_dir` holds another unlearning.
        DivergedError: the loss is not finite; the checkpoints of the steps before it are kept.

    Example:
        >>> from unmemorize import Context, ForgetSet, data, models
        >>> digits = data.load("digits")
        >>> forget = ForgetSet.from_ids([3, 14, 159], strata=1)
        >>> done = run("nothing", models.build("convnet", digits), digits, forget, Context(device="cpu"))
        >>> [(step["stratum"], step["algorithm"], step["size"]) for step in done.history]
        [('all', 'nothing', 3)]
    """
    chosen = make(algorithm) if isinstance(algorithm, str) else algorithm
    if isinstance(chosen, type) or not isinstance(chosen, Plan | Algorithm):
        raise TypeError(f"algorithm: expected a name, or an object with apply, or with cut and plan, got {algorithm!r}")
    gone = np.array([*dict.fromkeys(np.asarray([] if gone is None else gone).tolist())], np.int64)  # each once
    check(forget_set, data, gone)
    if not isinstance(chosen, Plan):
        return run_chain([Step(chosen, forget_set.ids)], model, data, forget_set, ctx, gone=gone)
    start = perf_counter()
    scoring = replace(ctx, run_dir=None if ctx.run_dir is None else Path(ctx.run_dir) / "scoring")
    forget_set = chosen.cut(forget_set, model, data, scoring, gone)
    seconds = perf_counter() - start
    return run_chain(chosen.plan(forget_set), model, data, forget_set, ctx, gone=gone, scoring=seconds)


def run_requests(
    algorithm: str | Algorithm | Plan, model: nn.Module, data: Data, forget_sets: Sequence[ForgetSet], ctx: Context
) -> list[Unlearned]:
    """Carry out one request after another, each on the model that the one before left.

    What an earlier request took is retained by no later one. A plan by a proxy takes it anew of the unlearned model;
    learning events have no such model to be taken of, and stay those of the original.

    Args:
        algorithm: as of `run`, the same for every request.
        model: the original.
        data: the data set.
        forget_sets: the requests, first to last; no example in two of them.
        ctx: as of `run`; every request has a folder of its own in `run_dir`, and random numbers of its own.

    Returns:
        What `run` returns of each.

    Raises:
        ValueError: as `run`, or an example is in two requests.

    Example:
        >>> from unmemorize import Context, ForgetSet, data, models
        >>> digits = data.load("digits")
        >>> requests = [ForgetSet.from_ids(ids, strata=1) for ids in ([3, 14], [159])]
        >>> done = run_requests("nothing", models.build("convnet", digits), digits, requests, Context(device="cpu"))
        >>> [len(request.gone) for request in done]
        [2, 3]
    """
    done: list[Unlearned] = []
    gone = np.empty(0, np.int64)
    for k, forget_set in enumerate(forget_sets):
        folder = None if ctx.run_dir is None else Path(ctx.run_dir) / f"request-{k + 1}"
        own = replace(ctx, run_dir=folder, seed=derive_seed(ctx.seed, "request", k) if k else ctx.seed)
        done.append(run(algorithm, model, data, forget_set, own, gone=gone))
        model, gone = done[-1].model, done[-1].gone
    return done
