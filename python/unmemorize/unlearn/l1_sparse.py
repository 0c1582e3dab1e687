"""Go on training without the forget set, towards few weights."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class L1Sparse(Hyperparameters):
    """Fine-tune on the retain set with a penalty on the size of the weights that falls to nothing.

    Loss of a step in epoch e = 0, 1, ...: ``CE(retain batch) + gamma * (1 - e / epochs) * sum |weights|``, over all
    weights that are trained. BatchNorm's running statistics follow the retain set.

    Fails as `FineTune` does where the model fits its training set closely, if less: the penalty does move the weights.

    Source: Jia et al. 2023, arXiv 2304.04934; ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> L1Sparse(gamma=0)
        Traceback (most recent call last):
        ValueError: gamma: expected a number in (0, inf), got 0
    """

    NAME: ClassVar = "l1_sparse"
    PUBLISHED: ClassVar[Bounds] = {"lr": (0.005, 0.1), "epochs": (10, 10), "gamma": (1e-6, 1e-4)}

    lr: Rate = 0.05
    epochs: Count = 10  # passes over the retain set
    gamma: Rate = 5e-5  # weight of the penalty in the first epoch

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `retain`."""
        optimizer = ctx.sgd(model, lr=self.lr)
        for epoch in ctx.epochs(self.epochs, self.NAME):
            gamma = self.gamma * (1 - epoch / self.epochs)
            for batch in ctx.batches(retain):
                ctx.step(optimizer, ctx.loss(model, batch) + gamma * _size(model))
        return model


def _size(model: nn.Module) -> Tensor:
    return torch.stack([weight.abs().sum() for weight in model.parameters() if weight.requires_grad]).sum()
