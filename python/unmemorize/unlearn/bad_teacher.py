"""Follow an untrained teacher on the forget set, the original on the retain set."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from unmemorize import models
from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class BadTeacher(Hyperparameters):
    """Distil from two teachers: one that knows nothing for the forget set, the model as it enters for the retain set.

    The bad teacher is the same network with fresh parameters from ``ctx.seed``; both teach in eval mode, by their
    softmax at temperature 1. Loss of a step: ``CE(batch of S and R shuffled)`` against the teacher's softmax, whose
    gradient is that of the KL divergence from it. BatchNorm's running statistics follow the batches. The targets of
    both sets are held: O(n C) memory.

    Fails by giving itself away: a retrained model is not ignorant of what it has not seen, the bad teacher is.
    `OutOfSample` has the right teacher in its place.

    Source: Chundawat et al. 2023, arXiv 2205.08096; there with Adam at 1e-4, one epoch and 30% of the retain set.

    Example:
        >>> BadTeacher(lr=-1)
        Traceback (most recent call last):
        ValueError: lr: expected a number in (0, inf), got -1
    """

    NAME: ClassVar = "bad_teacher"
    PUBLISHED: ClassVar[Bounds] = {"epochs": (1, 1)}
    SEARCHED: ClassVar[Bounds] = {"lr": (0.005, 0.1), "epochs": (1, 5)}

    lr: Rate = 0.02
    epochs: Count = 3  # passes over both sets

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `forget` and `retain`.

        Raises:
            TypeError: a layer of `model` does not know how to draw its parameters anew.
        """
        bad = models.reinitialize(copy.deepcopy(model), ctx.seed)
        taught = torch.cat([ctx.logits(bad, forget), ctx.logits(model, retain)]).softmax(1)
        both = forget.join(retain).relabel(taught)
        optimizer = ctx.sgd(model, lr=self.lr)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for batch in ctx.batches(both):
                ctx.step(optimizer, ctx.loss(model, batch))
        return model
