"""Teach the forget set what models that never saw it say about it."""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from unmemorize.data import Examples
from unmemorize.ensemble import Ensemble
from unmemorize.ensemble.hybrid import hybrid_softmax
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate

FINEST = 2.0**-11  # what float16, in which an ensemble keeps softmax, can tell from 1


class Unseeing(Protocol):
    """Whatever knows the answers of models that never saw an example; an `Ensemble` does."""

    def out_of_sample(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """(len(ids), C) mean softmax over the models that left the example out; NaN where none did."""


@dataclass(frozen=True)
class OutOfSample(Hyperparameters):
    """True labels on the retain set; on the forget set what models that never saw the example say of it.

    A retrained model differs from the original on an example by what it says when it has not seen it, and the ensemble
    that measures memorization holds that answer. Loss of a step: ``CE(batch of S and R shuffled)``, where the target of
    an example of S is its out-of-sample softmax; the learning rate falls linearly to 0 over the run. No retrained
    model is used. BatchNorm's running statistics follow the batches. The targets of both sets are held: O(n C) memory.

    Fails where the targets are wrong: the models of the ensemble saw the rest of the forget set, so what its examples
    tell of each other stays; and those trained on the forget set still hold it: drop or retrain them after use.

    Args:
        ensemble: an `Ensemble` over the same training set with `probs` in its entries. Balanced with K models and ratio
            1 - 1/K, it is K-fold cross-fitting: every example is out of one model.
        targets: "mean", the mean softmax of the models that left the example out; "hybrid", the margin model's, which
            three models are enough for, and which knows an example that every model saw (`ensemble.hybrid_softmax`).
        match: "softmax"; or "log_odds", Huber's loss (delta 1) of the label's log-odds in place of CE on S.

    Source: this project (out-of-sample matching).

    Example:
        >>> OutOfSample(ensemble=None, epochs=0.5)
        Traceback (most recent call last):
        ValueError: epochs: expected a whole number >= 1, got 0.5
    """

    NAME: ClassVar = "out_of_sample"
    SEARCHED: ClassVar[Bounds] = {"lr": (0.01, 0.2), "epochs": (1, 10)}

    ensemble: Unseeing
    lr: Rate = 0.05  # of the first step
    epochs: Count = 5  # passes over both sets
    targets: str = "mean"
    match: str = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("targets", ("mean", "hybrid")), ("match", tuple(MATCHES))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected {' or '.join(known)}, got {getattr(self, name)!r}")

    @property
    def data_hash(self) -> str | None:
        """Of the data set that the ensemble knows; None: not known."""
        found: str | None = getattr(getattr(self.ensemble, "header", None), "data_hash", None)
        return found

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `forget` and `retain`.

        Raises:
            ValueError: no model of the ensemble left some example out, or it knows other classes.
        """
        teach, loss = MATCHES[self.match]
        with ctx.timed("targets"):
            unseen = self._unseen(forget, ctx.logits(model, forget.take([0])).shape[1])
            both = forget.join(retain).relabel(teach(unseen, forget.labels, retain.labels))
        optimizer = ctx.sgd(model, lr=self.lr)
        steps = self.epochs * math.ceil(len(both) / ctx.batch_size)
        schedule = LambdaLR(optimizer, lambda step: 1 - step / steps)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for batch in ctx.batches(both):
                ctx.step(optimizer, loss(model, batch, ctx))
                schedule.step()
        return model

    def _unseen(self, forget: Examples, classes: int) -> Tensor:
        """(k, C): the softmax of models that never saw the examples."""
        ids = forget.ids.cpu().numpy()
        if self.targets == "mean":
            found = self.ensemble.out_of_sample(ids)
        else:
            if not isinstance(self.ensemble, Ensemble):
                raise TypeError("ensemble: targets 'hybrid' need an Ensemble, whose learning events they are made of")
            found = hybrid_softmax(self.ensemble, forget.labels.cpu().numpy(), ids)
        if found.shape[1] != classes:
            raise ValueError(
                f"ensemble: expected answers over {classes} classes to match the model, got {found.shape[1]}"
            )
        if len(missing := ids[np.isnan(found).any(axis=1)]):
            shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            raise ValueError(
                f"ensemble: {len(missing)} of {len(forget)} examples to forget were in the training subset of every "
                f"model (ids {shown}); append models that leave them out, or take targets='hybrid'"
            )
        return torch.as_tensor(found, dtype=torch.float32, device=forget.labels.device)


def _softmax(unseen: Tensor, forget: Tensor, retain: Tensor) -> Tensor:
    """(n, C): what is taught of each class."""
    return torch.cat([unseen, F.one_hot(retain, unseen.shape[1]).float()])


def _log_odds(unseen: Tensor, forget: Tensor, retain: Tensor) -> Tensor:
    """(n, 2): the label, and the log-odds that are taught of it; NaN: as high as can be."""
    own = unseen.gather(1, forget[:, None]).squeeze(1).logit(eps=FINEST)
    taught = torch.cat([own, torch.full(retain.shape, torch.nan, device=own.device)])
    return torch.stack([torch.cat([forget, retain]).float(), taught], dim=1)


def _log_odds_loss(model: nn.Module, batch: Examples, ctx: Context) -> Tensor:
    if not model.training:
        model.train()
    label, taught = batch.labels[:, :1].long(), batch.labels[:, 1]
    logits = ctx.forward(model, batch.images)
    others = logits.scatter(1, label, -torch.inf).logsumexp(1)
    off = F.smooth_l1_loss(logits.gather(1, label).squeeze(1) - others, taught.nan_to_num(), reduction="none")
    retained = taught.isnan()
    loss = off[~retained].sum()
    if retained.any():
        loss = loss + retained.sum() * ctx.criterion(logits[retained], label[retained].squeeze(1))
    return loss / len(taught)


def _softmax_loss(model: nn.Module, batch: Examples, ctx: Context) -> Tensor:
    return ctx.loss(model, batch)


MATCHES = {"softmax": (_softmax, _softmax_loss), "log_odds": (_log_odds, _log_odds_loss)}
