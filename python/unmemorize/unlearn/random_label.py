"""Teach the forget set random labels."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class RandomLabel(Hyperparameters):
    """Random labels on the forget set, true ones on the retain set, in one shuffled pass.

    Labels are drawn anew each epoch, uniformly over all classes. Loss of a step: ``CE(batch of S and R shuffled)``.
    BatchNorm's running statistics follow the batches.

    Fails on examples of low memorization: a retrained model still classifies them, and random labels spoil that.

    Source: Graves et al. 2021, arXiv 2010.10981; ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> RandomLabel(epochs=0)
        Traceback (most recent call last):
        ValueError: epochs: expected a whole number >= 1, got 0
    """

    NAME: ClassVar = "random_label"
    PUBLISHED: ClassVar[Bounds] = {"lr": (0.01, 0.1), "epochs": (10, 10)}
    SEARCHED: ClassVar[Bounds] = {"epochs": (5, 10)}

    lr: Rate = 0.02
    epochs: Count = 5  # passes over both sets

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `forget` and `retain`."""
        optimizer = ctx.sgd(model, lr=self.lr)
        both = forget.join(retain)
        classes = ctx.logits(model, forget.take([0])).shape[1]
        for _ in ctx.epochs(self.epochs, self.NAME):
            random = torch.randint(classes, forget.labels.shape, generator=ctx.generator).to(forget.labels)
            for batch in ctx.batches(both.relabel(torch.cat([random, retain.labels]))):
                ctx.step(optimizer, ctx.loss(model, batch))
        return model
