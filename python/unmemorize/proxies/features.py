"""What a network makes of an example before its last layer decides."""

import torch
from numpy import float64
from numpy.typing import NDArray
from torch import Tensor, nn

from unmemorize.data import Examples
from unmemorize.proxies.inputs import still
from unmemorize.train import Context


def features(model: nn.Module, examples: Examples, ctx: Context) -> Tensor:
    """Penultimate features in eval mode: what enters the last linear layer, float64 (n, d), on the CPU.

    Raises:
        TypeError: the network has no linear layer.
    """
    model, seen = still(model, ctx), []
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise TypeError("model: has no linear layer, so it is not known what its features are")
    layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1).double().cpu()))
    ctx.logits(model, examples)
    return torch.cat(seen)


def proximity(model: nn.Module, examples: Examples, among: Examples, ctx: Context) -> NDArray[float64]:
    """Minus the distance (k,) of each of k examples to the centroid of `among`, each of which weighs the same.

    The higher, the more entangled with the others (arXiv 2406.01257): contiguous groups in this order differ in their
    `entanglement`. Memory O(n d).
    """
    centroid = features(model, among, ctx).mean(dim=0)
    distance: NDArray[float64] = (features(model, examples, ctx) - centroid).norm(dim=1).numpy()
    return -distance
