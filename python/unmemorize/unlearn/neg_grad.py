"""Ascend on the forget set."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class NegGrad(Hyperparameters):
    """Ascend on the forget set and do not look at anything else.

    Loss of a step: ``-CE(forget batch)``. BatchNorm's running statistics follow the forget set.

    Fails by destroying the model: nothing holds the retain set, so only few and small steps are usable.

    Source: Golatkar et al. 2020, arXiv 1911.04933 (NegGrad); ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> NegGrad().lr
        0.001
    """

    NAME: ClassVar = "neg_grad"
    PUBLISHED: ClassVar[Bounds] = {"lr": (1e-4, 0.1), "epochs": (5, 10)}

    lr: Rate = 0.001
    epochs: Count = 5  # passes over the forget set

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `forget`."""
        optimizer = ctx.sgd(model, lr=self.lr)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for batch in ctx.batches(forget):
                ctx.step(optimizer, -ctx.loss(model, batch))
        return model
