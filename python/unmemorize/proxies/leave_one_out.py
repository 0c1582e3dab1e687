"""What a wide network says of an example that it has not seen, without training any."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from unmemorize.data import Examples
from unmemorize.train import Context

GROUP = 4096  # examples that are told from each other at once
PENALTY = 0.03  # share of the kernel's mean diagonal


def leave_one_out(examples: Examples, ctx: Context) -> NDArray[np.float64]:
    """Minus the margin of each label under kernel ridge regression on all other examples.

    The kernel K is what the gradients of a two-layer ReLU network of unbounded width have in common (neural tangent
    kernel), so this is what such a network says of an example that it was not trained on. Nothing is trained again for
    each: of one-hot labels Y and G = (K + penalty I)^-1, the others predict ``y_i - (G Y)_i / G_ii`` of example i.
    `hybrid_memorization` takes it as one more proxy.

    More than 4,096 examples are split at random into groups of about that size, each by itself. Time O(n g^2), memory
    O(n d + g^2), g = min(n, 4096).

    Args:
        examples: images, or any features (n, ...), of which the regression is; label indices.
        ctx: device, and the seed of the groups.

    Returns:
        float64 (n,), ``max_{k != y} z_k - z_y``; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices.
        ValueError: fewer than 2 examples or classes; images that are all the same, or hold NaN or infinity.

    Source: kernel of Jacot et al. 2018, arXiv 1806.07572, in the closed form of Cho & Saul 2009; leave-one-out of ridge
        regression: Allen 1974.

    Example:
        >>> from unmemorize import data
        >>> digits = data.load("digits", noise=0.05)
        >>> score = leave_one_out(digits.train, Context(device="cpu"))
        >>> bool(score[digits.flipped].mean() > 0.5 > 0 > score.mean())
        True
    """
    labels = examples.labels.to(ctx.device)
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise TypeError(f"labels: expected class indices, int64 (n,), got {labels.dtype} {tuple(labels.shape)}")
    classes = int(labels.max()) + 1 if len(labels) else 0
    if len(labels) < 2 or classes < 2:
        raise ValueError(f"examples: expected at least 2 of at least 2 classes, got {len(labels)} of {classes}")
    images = examples.images.to(ctx.device).flatten(1).double()
    images = images - images.mean()
    if not images.isfinite().all() or not images.any():
        raise ValueError("examples.images: expected finite numbers that are not all the same")
    order = torch.randperm(len(labels), generator=ctx.seeded(ctx.seed).generator).to(ctx.device)
    score = torch.empty(len(labels), dtype=torch.float64, device=ctx.device)
    for at in order.tensor_split(-(-len(order) // GROUP)):
        targets = one_hot(labels[at], classes).double()
        z = _predicted_by_the_others(_kernel(images[at]), targets - 1 / classes)
        own = labels[at, None]
        score[at] = z.scatter(1, own, -torch.inf).amax(1) - z.gather(1, own).squeeze(1)
    return score.cpu().numpy()


def _kernel(x: Tensor) -> Tensor:
    """``|x| |x'| (k1(c) + c k0(c))`` of the cosine c, over its mean diagonal."""
    norms = x.norm(dim=1).clamp(min=1e-100)  # an image without contrast has no direction
    unit = x / norms[:, None]
    cosine = (unit @ unit.T).clamp(-1, 1)
    angle = cosine.acos()
    k0, k1 = 1 - angle / torch.pi, (angle.sin() + (torch.pi - angle) * cosine) / torch.pi
    kernel: Tensor = norms[:, None] * norms * (k1 + cosine * k0)
    return kernel.div_(kernel.diagonal().mean())


def _predicted_by_the_others(kernel: Tensor, y: Tensor) -> Tensor:
    """Ridge regression of each row without itself, (g, C)."""
    penalised = kernel + PENALTY * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(penalised))
    return y - inverse @ y / inverse.diagonal()[:, None]
