"""Training the last layers of a network alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from unmemorize.unlearn.gradients import trainable


@contextmanager
def last_layers(model: nn.Module, k: int) -> Iterator[nn.ModuleList]:
    """The last `k` layers of `model`, everything before them frozen as long as the block lasts.

    A layer is a module with trainable parameters of its own; they count in the order in which the network defines them.
    The frozen part is in eval mode: BatchNorm's statistics there keep their bits, and dropout is off.

    Raises:
        ValueError: the network has fewer layers.
    """
    modules = list(model.modules())
    layers = [module for module in modules if any(weight.requires_grad for weight in module.parameters(recurse=False))]
    if k > len(layers):
        raise ValueError(f"k: expected at most the {len(layers)} layers of the network, got {k}")
    last = nn.ModuleList(layers[-k:])
    kept = {id(weight) for weight in last.parameters()}
    frozen = [weight for weight in trainable(model) if id(weight) not in kept]
    model.train()
    for module in modules[: modules.index(layers[-k])]:
        if not any(True for _ in module.children()):
            module.eval()
    for weight in frozen:
        weight.requires_grad_(False)
    try:
        yield last
    finally:
        for weight in frozen:
            weight.requires_grad_(True)
