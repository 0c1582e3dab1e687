"""One Newton step away from the forget set."""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.train import Context, DivergedError
from unmemorize.unlearn.gradients import blocks, evaluating, like, per_example, trainable
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class Influence(Hyperparameters):
    """Add to the weights what leaving the forget set out would, to first order, have added.

    ``theta + alpha * F^-1 v``, where ``v = (sum of grad l over S - N_S / N_R * sum of grad l over R) / (N_S + N_R)``
    and ``F = I + G^T G / N`` is the damped empirical Fisher matrix, G the gradients of N retain examples. By Woodbury
    ``F^-1 v = v - G^T (N I + G G^T)^-1 G v``, which needs an N x N matrix only; G itself, N x P, is never held: blocks
    of b rows are computed when they are needed, ``N^2 / (2 b)`` gradients in all. Gradients are taken in eval mode, and
    BatchNorm's running statistics stay as they are. Memory: two blocks of 128 MB, and N^2.

    Fails where the model is far from a minimum or the forget set is large: a single linear step is no retraining, and
    `alpha` is a matter of trial.

    Source: Koh & Liang 2017, arXiv 1703.04730; with the empirical Fisher: Jia et al. 2023, arXiv 2304.04934; ranges:
        Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> Influence(samples=0)
        Traceback (most recent call last):
        ValueError: samples: expected a whole number >= 1, got 0
    """

    NAME: ClassVar = "influence"
    PUBLISHED: ClassVar[Bounds] = {"alpha": (1.0, 100.0), "samples": (1000, 1000)}

    alpha: Rate = 10.0  # length of the step
    samples: Count = 1000  # N, drawn from the retain set; all of it if that is smaller

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after one step.

        Raises:
            DivergedError: the step is not finite.
        """
        sample = retain.take(torch.randperm(len(retain), generator=ctx.generator)[: self.samples])
        with evaluating(model):
            share = len(forget) / len(retain)
            v = _total(model, forget, ctx) - share * _total(model, retain, ctx)
            step = _solve(model, sample, ctx, v / (len(forget) + len(retain)))
        if not step.isfinite().all():
            raise DivergedError("influence: the step is not finite, as the losses of the model are not")
        weights = trainable(model)
        with torch.no_grad():
            for weight, part in zip(weights, like(step, weights), strict=True):
                weight.add_(part, alpha=self.alpha)
        return model


def _total(model: nn.Module, examples: Examples, ctx: Context) -> Tensor:
    """(P,): the gradients of `examples`, added up."""
    return reduce(torch.add, (per_example(model, block, ctx).sum(0) for block in blocks(model, examples)))


def _solve(model: nn.Module, sample: Examples, ctx: Context, v: Tensor) -> Tensor:
    """``F^-1 v`` with the Fisher matrix of `sample`."""
    parts = list(blocks(model, sample))
    gram, along = torch.empty(len(sample), len(sample), dtype=torch.float64), []
    ends = torch.tensor([len(part) for part in parts]).cumsum(0).tolist()
    for i, (part, end) in enumerate(zip(parts, ends, strict=True)):
        rows = per_example(model, part, ctx)
        along.append((rows @ v).double().cpu())
        for other, other_end in zip(parts[: i + 1], ends, strict=False):
            product = rows @ (rows if other is part else per_example(model, other, ctx)).T
            gram[end - len(part) : end, other_end - len(other) : other_end] = product.double().cpu()
    gram = gram.tril() + gram.tril(-1).T
    solved = torch.linalg.solve(len(sample) * torch.eye(len(sample), dtype=torch.float64) + gram, torch.cat(along))
    for part, coefficients in zip(parts, solved.to(v).split([len(part) for part in parts]), strict=True):
        v = v - coefficients @ per_example(model, part, ctx)
    return v
