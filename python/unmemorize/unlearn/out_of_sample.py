"""Teach the forget set what models that never saw it say about it."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


class Unseeing(Protocol):
    """Whatever knows the answers of models that never saw an example; an `Ensemble` does."""

    def out_of_sample(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """(len(ids), C) mean softmax over the models that left the example out; NaN where none did."""


@dataclass(frozen=True)
class OutOfSample(Hyperparameters):
    """True labels on the retain set; on the forget set the mean softmax of the models that never saw the example.

    A retrained model differs from the original on an example by what it says when it has not seen it, and the ensemble
    that measures memorization holds that answer. Loss of a step: ``CE(batch of S and R shuffled)``, where the target of
    an example of S is its out-of-sample softmax; the learning rate falls linearly to 0 over the run. No retrained
    model is used. BatchNorm's running statistics follow the batches. The targets of both sets are held: O(n C) memory.

    The models of the ensemble that were trained on the forget set still hold it: drop or retrain them after use.

    Args:
        ensemble: an `Ensemble` over the same training set with `probs` in its entries.

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
        classes = ctx.logits(model, forget.take([0])).shape[1]
        known = F.one_hot(retain.labels, classes).float()
        both = replace(forget.join(retain), labels=torch.cat([self._targets(forget, classes), known]))
        optimizer = ctx.sgd(model, lr=self.lr)
        steps = self.epochs * math.ceil(len(both) / ctx.batch_size)
        schedule = LambdaLR(optimizer, lambda step: 1 - step / steps)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for batch in ctx.batches(both):
                ctx.step(optimizer, ctx.loss(model, batch))
                schedule.step()
        return model

    def _targets(self, forget: Examples, classes: int) -> Tensor:
        targets = self.ensemble.out_of_sample(forget.ids.cpu().numpy())
        if targets.shape[1] != classes:
            raise ValueError(
                f"ensemble: expected answers over {classes} classes to match the model, got {targets.shape[1]}"
            )
        if len(missing := forget.ids.cpu().numpy()[np.isnan(targets).any(axis=1)]):
            shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            raise ValueError(
                f"ensemble: {len(missing)} of {len(forget)} examples to forget were in the training subset of every "
                f"model (ids {shown}); append models that leave them out"
            )
        return torch.as_tensor(targets, dtype=torch.float32, device=forget.images.device)
