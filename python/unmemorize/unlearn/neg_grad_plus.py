"""Descend on the retain set and ascend on the forget set at once."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate, Share


@dataclass(frozen=True)
class NegGradPlus(Hyperparameters):
    """Descend on the retain set, ascend on the forget set, in every step.

    Loss of a step: ``alpha * CE(retain batch) - (1 - alpha) * CE(forget batch)``. The forget set is smaller: it is
    cycled, in a new order each time round. BatchNorm's running statistics follow both batches, half and half, as
    both are forward passes in train mode.

    Fails by running away: the ascent has no floor, so a small ``alpha`` or a long run pushes the forget set below the
    accuracy that a retrained model has on it, which is as telling as leaving it above.

    Source: Kurmanji et al. 2023, arXiv 2302.09880 (NegGrad+); ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> NegGradPlus(alpha=1.5)
        Traceback (most recent call last):
        ValueError: alpha: expected a number in (0, 1], got 1.5
    """

    NAME: ClassVar = "neg_grad_plus"
    PUBLISHED: ClassVar[Bounds] = {"lr": (0.01, 0.05), "epochs": (5, 5), "alpha": (0.85, 0.99)}

    lr: Rate = 0.01
    epochs: Count = 5  # passes over the retain set
    alpha: Share = 0.97  # weight of the retain loss

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `retain`."""
        optimizer = ctx.sgd(model, lr=self.lr)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for r, f in zip(ctx.batches(retain), ctx.cycle(forget), strict=False):
                loss = self.alpha * ctx.loss(model, r) - (1 - self.alpha) * ctx.loss(model, f)
                ctx.step(optimizer, loss)
        return model
