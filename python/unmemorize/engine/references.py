"""What a worker process does for an ensemble: train a group of reference models and append them to the store."""

from collections.abc import Sequence
from functools import cache
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unmemorize import data, models
from unmemorize.data import Data
from unmemorize.engine.plan import Group, Plan
from unmemorize.ensemble import Design, Ensemble
from unmemorize.events import LearningEvents
from unmemorize.models import Panel
from unmemorize.train import Context, fit, fit_stacked

Trained = tuple[nn.Module, list[LearningEvents]]
KEEP = ("phi", "probs", "events")  # what an entry can hold besides bits


@cache
def load(**source: Any) -> Data:
    """`unmemorize.data.load`, once a process."""
    return data.load(**source)


def train_group(
    folder: str,
    source: dict[str, Any],
    device: str,
    keep: Sequence[str],
    plan: dict[str, Any],
    of_models: int,
    first: int,
    stop: int,
) -> None:
    """Train models `first`, ..., `stop` - 1 of `of_models` and append what they say of every example to a store.

    Args:
        folder: the store's.
        source: arguments of `unmemorize.data.load`.
        device: as in `Context`.
        keep: which of `KEEP` to store.
        plan: a `Plan`, as JSON holds it.
        of_models: the size of the design.
        first: the first model of the group.
        stop: the one after its last.

    Raises:
        ValueError: the data set is not that of the plan.
    """
    what = Plan.from_dict(plan)
    group = range(first, stop)
    ctx = Context(device=device, dtype=what.dtype, seed=what.seed_of(first), progress=False)
    of = load(**source, device=str(ctx.device))
    if of.hash != what.data_hash:
        raise ValueError(f"{of.name}: data hash is {of.hash[:12]}, expected {what.data_hash[:12]}")
    subsets = what.subsets(len(of.train), of_models)
    store = Ensemble.open(folder)
    member = np.stack(list(islice(subsets.rows(), first, stop))) & ~store.purged
    start = perf_counter()
    panel, events = train_panel(what, of, member, [what.seed_of(model) for model in group], ctx)
    seconds = (perf_counter() - start) / len(group)
    said = [ctx.logits(panel, part) for part in (of.train, of.test)]
    append_group(store, what, of, subsets, group, events, said, keep, ctx, seconds)


def append_group(
    store: Ensemble,
    plan: Plan,
    of: Data,
    subsets: Design,
    group: Group,
    events: Sequence[LearningEvents],
    said: Sequence[Tensor],
    keep: Sequence[str],
    ctx: Context,
    seconds: float,
) -> None:
    """Store what the models of a group say of the training and of the test set, logits (n, S, C) and (m, S, C)."""
    members = (row & ~store.purged for row in islice(subsets.rows(), group.start, group.stop))
    for k, (model, member) in enumerate(zip(group, members, strict=True)):
        (own, own_test), labels, test_labels = (logits[:, k] for logits in said), of.train.labels, of.test.labels
        correct, test_correct = right(own, labels), right(own_test, test_labels)
        store.append(
            member,
            correct,
            test_correct,
            phi=log_odds(own, labels) if "phi" in keep else None,
            test_phi=log_odds(own_test, test_labels) if "phi" in keep else None,
            probs=own.softmax(1).cpu().numpy() if "probs" in keep else None,
            events=events[k] if "events" in keep else None,
            key=key_of(model),
            meta={
                "seed": plan.seed_of(model),
                **subsets.meta(model),
                "group": [group.start, group.stop],
                "device": str(ctx.device),
                "torch": torch.__version__,
                "seconds": seconds,
                "train": float(correct[member].mean()),
                "out": float(correct[~member].mean()),
                "test": float(test_correct.mean()),
            },
        )


def key_of(model: int) -> str:
    """The key of a model in its store."""
    return f"reference-{model:05d}"


def train_panel(plan: Plan, of: Data, member: NDArray[np.bool_], seeds: Sequence[int], ctx: Context) -> Trained:
    """A network for each row of `member`, trained: images (b, c, h, w) -> logits (b, S, C); and the learning events."""
    networks = [models.build(plan.recipe.model, of, seed=seed) for seed in seeds]
    events = [LearningEvents(len(of.train)) for _ in seeds]
    if len(networks) == 1:
        fit(networks[0], of.train.subset(np.flatnonzero(member[0])), plan.recipe, ctx, events=events[0])
        return nn.Sequential(networks[0], nn.Unflatten(1, (1, -1))), events
    subsets = [torch.from_numpy(np.flatnonzero(row)) for row in member]
    return Panel(fit_stacked(networks, of.train, subsets, plan.recipe, ctx, seeds=seeds, events=events)), events


def right(logits: Tensor, labels: Tensor) -> NDArray[np.bool_]:
    """Bool (n,): the largest logit is that of the label."""
    return np.asarray((logits.argmax(1) == labels).cpu().numpy())


def log_odds(logits: Tensor, labels: Tensor) -> NDArray[np.float32]:
    """Ln p_y - ln(1 - p_y) of the true label, from logits."""
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return np.asarray((own - others).cpu().numpy())
