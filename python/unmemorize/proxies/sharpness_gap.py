"""How much the loss of an example rises when the weights take one step up its gradient."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from unmemorize.data import Data, Examples
from unmemorize.proxies.cost import spend
from unmemorize.proxies.inputs import ready, still
from unmemorize.proxies.passes import Pass
from unmemorize.train import Context

GRADIENT_BYTES = 1 << 30  # of gradients that are held at a time


def sharpness_gap(model: nn.Module, data: Data, ctx: Context, *, rho: float = 0.05) -> NDArray[np.float64]:
    """``l(w + rho g / ||g||) - l(w)``, g the gradient of an example's own loss l by all weights w, in eval mode.

    The step is that of sharpness-aware minimization with a batch of one: what few, sharp weights hold in place rises
    most. An example whose gradient is 0 has no direction, and a gap of 0. The loss is the cross-entropy, always in
    float32. Cost: for each example 2 forward passes and 1 backward pass. Memory: as many gradients as fit 1 GiB, one
    at the least, and about as much again for the moved weights.

    Args:
        model: a classifier trained on `data.train`; it is not changed. In eval mode it must treat each image alone.
        data: the data set.
        ctx: device and batch size; with `run_dir` a pass that was killed goes on.
        rho: length of the step in the space of all weights; 0.05 is the usual one of sharpness-aware minimization.

    Returns:
        float64 (n,), of either sign; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices.
        ValueError: rho not above 0, no training examples, or a label that the network has no output for.
        FileExistsError: `ctx.run_dir` holds this proxy of another model, data set, argument or seed.

    Source: the step: Foret et al. 2021, arXiv 2010.01412; one for each example: this project.

    Example:
        >>> from unmemorize import data, models
        >>> digits = data.load("digits")
        >>> ctx = Context(device="cpu", progress=False)
        >>> bool((sharpness_gap(models.build("convnet", digits), digits, ctx) > 0).all())
        True
    """
    if not 0 < rho < np.inf:
        raise ValueError(f"rho: expected above 0, got {rho}")
    ctx = replace(ctx, dtype="float32")
    model = still(model, ctx)
    train = ready(data, model, ctx).train
    weights = {name: weight.detach() for name, weight in model.named_parameters()}

    def loss(at: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(functional_call(model, at, (image[None],)), label[None])

    def gap(image: Tensor, label: Tensor) -> Tensor:
        gradient = grad(loss)(weights, image, label)
        length = torch.stack([part.norm() for part in gradient.values()]).norm()
        step = rho / length.clamp_min(torch.finfo(length.dtype).tiny)
        up = {name: weight + step * gradient[name] for name, weight in weights.items()}
        return loss(up, image, label) - loss(weights, image, label)

    at_once = max(1, GRADIENT_BYTES // (4 * sum(weight.numel() for weight in weights.values())))

    def gaps(batch: Examples) -> Tensor:
        spend(forwards=2 * len(batch), backwards=len(batch))
        found: Tensor = vmap(gap, chunk_size=at_once)(batch.images, batch.labels)
        return found

    return Pass("sharpness_gap", model, train, ctx, rho=rho).scores(gaps)
