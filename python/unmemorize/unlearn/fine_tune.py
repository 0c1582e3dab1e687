"""Go on training without the forget set."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class FineTune(Hyperparameters):
    """Descend on the retain set and rely on forgetting what is no longer shown.

    Loss of a step: ``CE(retain batch)``. BatchNorm's running statistics follow the retain set.

    Fails where the model fits its training set closely: the retain loss is then near 0 and nothing moves, so
    memorized examples stay memorized at any usable learning rate.

    Source: Golatkar et al. 2020, arXiv 1911.04933; ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> FineTune(lr=0)
        Traceback (most recent call last):
        ValueError: lr: expected a number in (0, inf), got 0
    """

    NAME: ClassVar = "fine_tune"
    PUBLISHED: ClassVar[Bounds] = {"lr": (0.01, 0.1), "epochs": (10, 10)}

    lr: Rate = 0.05
    epochs: Count = 10  # passes over the retain set

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `retain`."""
        optimizer = ctx.sgd(model, lr=self.lr)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for batch in ctx.batches(retain):
                ctx.step(optimizer, ctx.loss(model, batch))
        return model
