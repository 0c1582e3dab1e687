"""Unlearn in steps, each from the model that the step before left, and go on after being killed."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unmemorize.data import Data, Examples
from unmemorize.ensemble import Ensemble
from unmemorize.forget_set import ForgetSet
from unmemorize.train import Context, DivergedError, load_checkpoint, save_checkpoint
from unmemorize.train.resume import told

NONE = np.empty(0, np.int64)


@runtime_checkable
class Algorithm(Protocol):
    """What makes a model forget. A frozen dataclass of hyper-parameters, here or in a user's own code."""

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """Work on `model` in place and return it; all that is random comes from `ctx`."""


@dataclass(frozen=True, eq=False)
class Step:
    """One link of a chain: `algorithm` forgets `ids`."""

    algorithm: Algorithm
    ids: NDArray[np.int64]
    stratum: str = "all"


@runtime_checkable
class Plan(Protocol):
    """What cuts a forget set into steps; `RUM` does."""

    def cut(
        self, forget_set: ForgetSet, model: nn.Module, data: Data, ctx: Context, gone: NDArray[np.int64]
    ) -> ForgetSet:
        """The same examples in the strata that the steps take, scored by `model`; `gone` were forgotten before."""

    def plan(self, forget_set: ForgetSet) -> Sequence[Step]:
        """The steps, in the order in which they are taken."""


@dataclass(frozen=True, eq=False)
class Unlearned:
    """The outcome of a chain."""

    model: nn.Module  # in eval mode
    seconds: float  # wall clock of the steps, without the evaluation between them
    history: list[dict[str, Any]]  # of each step: stratum, algorithm, size, seconds, costs, and the accuracy after it
    forget_set: ForgetSet  # in the strata of the chain
    gone: NDArray[np.int64]  # rows that the model has forgotten, those of earlier requests first

    @property
    def costs(self) -> dict[str, float]:
        """Of all steps; see `spent`."""
        return spent(self.history)


def spent(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds by what they went to: "scoring", what an algorithm told, as "mask", and the "unlearning" itself.

    Example:
        >>> spent([{"costs": {"scoring": 0.5, "unlearning": 2.0}}, {"costs": {"mask": 1.0, "unlearning": 1.0}}])
        {'scoring': 0.5, 'mask': 1.0, 'unlearning': 3.0}
    """
    costs = [entry["costs"] for entry in history]
    kinds = sorted({what for one in costs for what in one}, key=lambda what: (what != "scoring", what == "unlearning"))
    return {what: sum(one.get(what, 0.0) for one in costs) for what in kinds}


def run_chain(
    steps: Sequence[Step],
    model: nn.Module,
    data: Data,
    forget_set: ForgetSet,
    ctx: Context,
    *,
    gone: NDArray[np.int64] = NONE,
    scoring: float = 0.0,
) -> Unlearned:
    """Take `steps` one after another on a copy of `model`.

    Step i forgets its own examples and retains the training set without those of steps 1 to i: what is still to be
    unlearned is retained until its turn comes. Each step has random numbers of its own, so a chain that was killed and
    resumed (`ctx.run_dir`) ends with the bits of an undisturbed one.

    Memory: the data set, of which a step holds no copy; the original; and the weights, gradients and momentum of the
    copy. What an algorithm holds beside that, its docstring says.

    Args:
        steps: the chain.
        model: the original; it is not changed.
        data: the data set it was trained on.
        forget_set: what is forgotten in all; accuracies are reported on it and on each of its strata.
        ctx: device, precision, seed; `run_dir` keeps a checkpoint of every finished step.
        gone: rows that were forgotten before: no step retains them.
        scoring: seconds that the strata took; they are accounted to the first step.

    Raises:
        ValueError: the forget set belongs to other data or leaves nothing to retain; a step has no examples.
        FileExistsError: `ctx.run_dir` holds another chain.
        DivergedError: the loss is not finite; the checkpoints of the steps before it are kept.
    """
    model = copy.deepcopy(model).to(ctx.device)
    check(forget_set, data, gone)
    _fit_together(steps, model, data, ctx)
    plan = "" if ctx.run_dir is None else _fingerprint(steps, model, data, forget_set, ctx, gone)
    data = data.to(ctx.device)
    train = data.train.view()
    history = _resume(model, steps, plan, ctx)
    for i, step in enumerate(steps[len(history) :], start=len(history)):
        out = np.concatenate([gone, *(earlier.ids for earlier in steps[: i + 1])])
        own = _context(ctx, i)
        try:
            model, seconds = _take(step, out, model, train, own)
        except DivergedError as error:
            kept = f"; the model of step {i} is in {_path(ctx.run_dir, i - 1)}" if ctx.run_dir is not None and i else ""
            where = f"step {i + 1}, {name_of(step.algorithm)} of stratum {step.stratum!r}"
            raise DivergedError(f"{where}: {error}{kept}") from error
        costs = {"scoring": scoring if i == 0 else 0.0, **own.costs, "unlearning": seconds - sum(own.costs.values())}
        history.append(
            {
                "stratum": step.stratum,
                "algorithm": name_of(step.algorithm),
                "size": len(step.ids),
                "seconds": seconds,
                "costs": costs,
                "accuracy": _accuracy(model, data, forget_set, ctx, gone),
            }
        )
        if ctx.run_dir is not None:
            save_checkpoint(_path(ctx.run_dir, i), model, plan=plan, history=json.dumps(history))
    total = sum(entry["seconds"] for entry in history)
    return Unlearned(model.eval(), total, history, forget_set, np.concatenate([gone, forget_set.ids]))


def name_of(algorithm: Algorithm) -> str:
    """The name under which an algorithm is known, "neg_grad_plus" of `NegGradPlus`; else that of its class."""
    name: str = getattr(algorithm, "NAME", type(algorithm).__name__)
    return name


def check(forget_set: ForgetSet, data: Data, gone: NDArray[np.int64] = NONE) -> None:
    """Refuse a forget set of other data, one that leaves nothing to retain, or one that holds what is gone.

    Raises:
        ValueError: it is one of these.
    """
    forget_set.check(len(data.train), data.hash if forget_set.data_hash else None)
    if len(twice := np.intersect1d(forget_set.ids, gone)):
        raise ValueError(
            f"forget set: {len(twice)} of {len(forget_set)} examples were forgotten before, the first is row {twice[0]}"
        )
    if len(forget_set) + len(gone) == len(data.train):
        raise ValueError(f"forget set: holds all {len(data.train)} training examples, so none is left to retain")


def _fit_together(steps: Sequence[Step], model: nn.Module, data: Data, ctx: Context) -> None:
    """Refuse what would go wrong, or be wrong, later."""
    for i, step in enumerate(steps):
        if not len(step.ids):
            raise ValueError(f"step {i + 1}: stratum {step.stratum!r} has 0 examples to forget")
        known = getattr(step.algorithm, "data_hash", None)
        if known is not None and known != data.hash:
            raise ValueError(f"step {i + 1}: its ensemble is of data {known[:16]}, expected {data.hash[:16]}")
    outputs = ctx.logits(model, data.train.take([0])).shape[1]
    if outputs < data.n_classes:
        raise ValueError(f"model: expected at least {data.n_classes} outputs to match the data, got {outputs}")


def _context(ctx: Context, step: int) -> Context:
    """Random numbers and a folder for one step; nothing carries over from the step before."""
    seed = int(np.random.SeedSequence([ctx.seed, step]).generate_state(1)[0])
    return replace(ctx, seed=seed, run_dir=None if ctx.run_dir is None else Path(ctx.run_dir) / f"step-{step + 1}")


def _take(
    step: Step, gone: NDArray[np.int64], model: nn.Module, train: Examples, ctx: Context
) -> tuple[nn.Module, float]:
    """One step and its wall seconds."""
    forget, retain = train.subset(step.ids), train.without(gone)
    start = perf_counter()
    model = step.algorithm.apply(model, forget, retain, ctx)
    if train.labels.is_cuda:
        torch.cuda.synchronize(ctx.device)
    return model, perf_counter() - start


def _accuracy(
    model: nn.Module, data: Data, forget_set: ForgetSet, ctx: Context, gone: NDArray[np.int64]
) -> dict[str, float]:
    """On the forget set, its strata, the retain set, the test set, and what was forgotten "before"."""
    correct = (ctx.logits(model, data.train).argmax(1) == data.train.labels).cpu().numpy()
    groups = forget_set.groups(len(data.train))
    if len(gone):
        groups |= {"retain": np.setdiff1d(groups["retain"], gone), "before": gone}
    accuracy = {name: float(correct[ids].mean()) for name, ids in groups.items()}
    return {**accuracy, "test": ctx.accuracy(model, data.test)}


def _fingerprint(
    steps: Sequence[Step], model: nn.Module, data: Data, forget_set: ForgetSet, ctx: Context, gone: NDArray[np.int64]
) -> str:
    """SHA-256 over all that decides the outcome."""
    told = [_told(what) for what in (ctx.criterion, *(step.algorithm for step in steps))]
    what = [data.hash, forget_set.hash, ctx.seed, ctx.batch_size, str(ctx.dtype), told]
    digest = hashlib.sha256(json.dumps(what).encode())
    for ids in (gone, *(step.ids for step in steps)):
        digest.update(ids.tobytes())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _told(what: Any) -> str:
    """An algorithm or a loss, and what its ensemble, which may have grown, holds."""
    store = getattr(what, "ensemble", None)
    return told(what, *((entry.digest for entry in store.entries()) if isinstance(store, Ensemble) else ()))


def _resume(model: nn.Module, steps: Sequence[Step], plan: str, ctx: Context) -> list[dict[str, Any]]:
    """Load the last finished step into `model`; the history up to it, empty where there is none."""
    if ctx.run_dir is None:
        return []
    for i in reversed(range(len(steps))):
        path = _path(ctx.run_dir, i)
        if path.exists():
            state, meta = load_checkpoint(path)
            if meta.get("plan") != plan:
                raise FileExistsError(
                    f"{path}: is of unlearning {str(meta.get('plan'))[:16]}, this one is {plan[:16]} (another model, "
                    "data set, forget set, plan or seed); name another run_dir, or remove it"
                )
            model.load_state_dict(state)
            history: list[dict[str, Any]] = json.loads(meta["history"])
            return history
    return []


def _path(folder: str | Path, step: int) -> Path:
    return Path(folder) / f"step-{step + 1}.safetensors"
