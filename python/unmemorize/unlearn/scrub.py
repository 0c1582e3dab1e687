"""Disobey the teacher on the forget set, follow it on the retain set."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class Scrub(Hyperparameters):
    """Move away from the original on the forget set, then back towards it on the retain set.

    The teacher is a frozen copy of the model as it enters, in eval mode; ``KD = T^2 KL(teacher / T || student / T)``,
    the mean over examples, T the temperature. Epochs 1 to `msteps` begin with a pass over the forget set, loss of a
    step ``-KD(forget batch)``; every epoch ends with a pass over the retain set, loss of a step ``gamma * CE(retain
    batch) + beta * KD(retain batch)``. BatchNorm's running statistics follow the student's batches, those of the retain
    set last.

    Fails when ascent and descent are out of balance: too large a rate and the retain passes do not repair the model.

    Source: Kurmanji et al. 2023, arXiv 2302.09880 (SCRUB); ranges: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> Scrub(temperature=0)
        Traceback (most recent call last):
        ValueError: temperature: expected a number in (0, inf), got 0
    """

    NAME: ClassVar = "scrub"
    PUBLISHED: ClassVar[Bounds] = {"lr": (5e-3, 5e-3), "epochs": (5, 5), "msteps": (4, 4), "temperature": (4, 4)}
    SEARCHED: ClassVar[Bounds] = {"gamma": (0.1, 1.0), "beta": (0.1, 1.0)}

    lr: Rate = 5e-3
    epochs: Count = 5
    msteps: Count = 4  # epochs, from the first, that begin with the forget set
    gamma: Rate = 1.0  # weight of the cross-entropy
    beta: Rate = 0.5  # weight of the distillation
    temperature: Rate = 4.0

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `retain` and `msteps` over `forget`."""
        teacher = copy.deepcopy(model).requires_grad_(False).eval()
        if not model.training:  # else a layer that was put into eval mode stays there
            model.train()
        optimizer = ctx.sgd(model, lr=self.lr)
        for epoch in ctx.epochs(self.epochs, self.NAME):
            if epoch < self.msteps:
                for batch in ctx.batches(forget):
                    ctx.step(optimizer, -self._distance(teacher, ctx.forward(model, batch.images), batch, ctx))
            for batch in ctx.batches(retain):
                student = ctx.forward(model, batch.images)
                loss = self.gamma * ctx.criterion(student, batch.labels)
                ctx.step(optimizer, loss + self.beta * self._distance(teacher, student, batch, ctx))
        return model

    def _distance(self, teacher: nn.Module, student: Tensor, batch: Examples, ctx: Context) -> Tensor:
        """KD of the student's logits."""
        with torch.no_grad():
            target = F.log_softmax(ctx.forward(teacher, batch.images) / self.temperature, 1)
        log_probs = F.log_softmax(student / self.temperature, 1)
        return self.temperature**2 * F.kl_div(log_probs, target, log_target=True, reduction="batchmean")
