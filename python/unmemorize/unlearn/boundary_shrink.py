"""Teach the forget set the class on the other side of the nearest decision boundary."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.gradients import evaluating
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class BoundaryShrink(Hyperparameters):
    """Fine-tune on the forget set, each example relabelled with the wrong class that is nearest to it.

    Nearest is the likeliest wrong class, to the model as it enters, at ``x + bound * sign(grad_x CE(x, y))``, one step
    up the loss. Loss of a step: ``CE(forget batch, nearest wrong class)``. The retain set is not used. Neighbours are
    looked for in eval mode; BatchNorm's running statistics then follow the forget set.

    Fails on scattered examples: made to forget whole classes, it has nothing that holds the retain set, and a retrained
    model need not be wrong at all.

    Source: Chen et al. 2023, arXiv 2303.11570.

    Example:
        >>> BoundaryShrink(bound=0)
        Traceback (most recent call last):
        ValueError: bound: expected a number in (0, inf), got 0
    """

    NAME: ClassVar = "boundary_shrink"
    PUBLISHED: ClassVar[Bounds] = {"lr": (1e-5, 1e-5), "epochs": (10, 10), "bound": (0.1, 0.1)}
    SEARCHED: ClassVar[Bounds] = {"lr": (1e-5, 1e-3), "epochs": (5, 10)}

    lr: Rate = 1e-3
    epochs: Count = 5  # passes over the forget set
    bound: Rate = 0.1  # length of the step in each coordinate, in the units of the images as the model gets them

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `forget`."""
        wrong = forget.relabel(self._nearest_wrong(model, forget, ctx))
        optimizer = ctx.sgd(model, lr=self.lr)
        for _ in ctx.epochs(self.epochs, self.NAME):
            for batch in ctx.batches(wrong):
                ctx.step(optimizer, ctx.loss(model, batch))
        return model

    def _nearest_wrong(self, model: nn.Module, forget: Examples, ctx: Context) -> Tensor:
        found = []
        with evaluating(model):
            for batch in ctx.batches(forget, shuffle=False):
                images = batch.images.detach().requires_grad_()
                loss = ctx.criterion(model(images), batch.labels)
                (uphill,) = torch.autograd.grad(loss, images)
                with torch.no_grad():
                    logits = model(images + self.bound * uphill.sign())
                found.append(logits.scatter(1, batch.labels[:, None], -torch.inf).argmax(1))
        return torch.cat(found)
