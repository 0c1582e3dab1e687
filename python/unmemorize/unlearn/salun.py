"""Teach the forget set random labels, through the weights that matter to it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.gradients import evaluating, trainable
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate, Share


@dataclass(frozen=True)
class SalUn(Hyperparameters):
    """Random labels on the forget set, true ones on the retain set, and only the most salient weights may move.

    A weight is salient by ``|grad CE(forget)|`` of the model as it enters, and the `threshold` share of all trainable
    weights with the largest values is trained; every other weight keeps its bits, whatever momentum and weight decay
    say. Labels are drawn anew each epoch, uniformly over all classes. Loss of a step: ``CE(batch of S and R
    shuffled)``.

    Saliency is taken in eval mode, over the whole forget set without a step: the gradient is that of the classifier as
    it is used, does not depend on how examples fall into batches, and leaves BatchNorm's running statistics alone.
    During training those statistics follow the batches: they are no weights, and the mask does not hold them.

    Fails on examples of low memorization: a retrained model still classifies them, and random labels spoil that.

    Source: Fan et al. 2024, arXiv 2310.12508; ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> SalUn(threshold=0)
        Traceback (most recent call last):
        ValueError: threshold: expected a number in (0, 1], got 0
    """

    NAME: ClassVar = "salun"
    PUBLISHED: ClassVar[Bounds] = {"lr": (0.005, 0.1), "epochs": (5, 10), "threshold": (0.3, 0.7)}

    lr: Rate = 0.02
    epochs: Count = 5  # passes over both sets
    threshold: Share = 0.5  # share of the weights, the most salient ones, that is trained

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `forget` and `retain`."""
        optimizer = ctx.sgd(model, lr=self.lr)
        with ctx.timed("mask"):
            hold(optimizer, trainable(model), most_salient(saliency(model, forget, ctx), self.threshold))
        both = forget.join(retain)
        classes = ctx.logits(model, forget.take([0])).shape[1]
        for _ in ctx.epochs(self.epochs, self.NAME):
            random = torch.randint(classes, forget.labels.shape, generator=ctx.generator).to(forget.labels)
            for batch in ctx.batches(both.relabel(torch.cat([random, retain.labels]))):
                ctx.step(optimizer, ctx.loss(model, batch))
        return model


def saliency(model: nn.Module, forget: Examples, ctx: Context) -> list[Tensor]:
    """``|grad CE(forget)|`` of each trainable parameter at the present weights, in eval mode; nothing is changed."""
    weights = trainable(model)
    gradient = [torch.zeros_like(weight) for weight in weights]
    with evaluating(model):
        for batch in ctx.batches(forget, shuffle=False):
            loss = ctx.criterion(model(batch.images), batch.labels) * (len(batch) / len(forget))
            for total, part in zip(gradient, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
                if part is not None:
                    total += part
    return [total.abs() for total in gradient]


def most_salient(values: list[Tensor], share: float) -> list[Tensor]:
    """Where the largest `share` of all `values` lies: a bool mask for each; at least one weight, ties by position."""
    flat = torch.cat([value.flatten() for value in values])
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.argsort(descending=True, stable=True)[: max(1, round(share * len(flat)))]] = True
    return [
        part.view_as(value)
        for part, value in zip(torch.split(chosen, [v.numel() for v in values]), values, strict=True)
    ]


def hold(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], moves: list[Tensor]) -> None:
    """Give `weights` back, after every step, the values they have now wherever they may not move.

    A masked gradient would not do: momentum and weight decay move a weight without one. What the momentum of a held
    weight gathers has no effect, as SGD and Adam work on each weight alone.
    """
    before = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def restore(*_: object) -> None:
        for weight, may_move, value in zip(weights, moves, before, strict=True):
            weight.copy_(torch.where(may_move, weight, value))

    optimizer.register_step_post_hook(restore)
