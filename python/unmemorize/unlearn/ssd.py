"""Dampen the weights that matter to the forget set more than to the rest."""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.gradients import blocks, evaluating, like, per_example, trainable
from unmemorize.unlearn.hyperparameters import Bounds, Hyperparameters, Rate


@dataclass(frozen=True)
class SSD(Hyperparameters):
    """Selective synaptic dampening: shrink a weight by how much more it serves the forget set than all examples.

    The importance of a weight to a set is the mean of its squared loss gradients over single examples (the diagonal of
    the empirical Fisher matrix), in eval mode: I_S for the forget set, I_D for forget and retain set together. Where
    ``I_S > selection * I_D`` the weight is multiplied by ``min(1, dampening * I_D / I_S)``; no other moves, and there
    is no training. BatchNorm's running statistics stay as they are. Nothing is random. Memory: a block of 128 MB.

    Fails on examples that are no class or concept of their own: on a random forget set hardly a weight is selected, and
    the model stays what it was.

    Source: Foster et al. 2024, arXiv 2308.07707.

    Example:
        >>> SSD(selection=0)
        Traceback (most recent call last):
        ValueError: selection: expected a number in (0, inf), got 0
    """

    NAME: ClassVar = "ssd"
    PUBLISHED: ClassVar[Bounds] = {"selection": (10.0, 10.0), "dampening": (1.0, 1.0)}

    selection: Rate = 10.0  # how much more important to S than to all, alpha in the paper
    dampening: Rate = 1.0  # lambda in the paper; smaller shrinks more

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model`, some of its weights smaller."""
        with evaluating(model):
            of_forget = _squares(model, forget, ctx)
            of_all = (of_forget + _squares(model, retain, ctx)) / (len(forget) + len(retain))
            of_forget /= len(forget)
        shrink = (self.dampening * of_all / of_forget).clamp(max=1)
        factor = torch.where(of_forget > self.selection * of_all, shrink, 1)
        weights = trainable(model)
        with torch.no_grad():
            for weight, part in zip(weights, like(factor, weights), strict=True):
                weight.mul_(part)
        return model


def _squares(model: nn.Module, examples: Examples, ctx: Context) -> Tensor:
    """(P,): the squared gradients of `examples`, added up."""
    return reduce(torch.add, (per_example(model, block, ctx).square_().sum(0) for block in blocks(model, examples)))
