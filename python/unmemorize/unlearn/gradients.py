"""Gradients of single examples by the trainable weights, in eval mode, as many at once as memory should hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from unmemorize.data import Examples
from unmemorize.train import Context

BLOCK = 2**25  # numbers in one block of gradients: 128 MB


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """`model` in eval mode; each of its modules gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that a step may move."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def per_example(model: nn.Module, batch: Examples, ctx: Context) -> Tensor:
    """(b, P): the gradient of each example's loss by all P trainable weights, for a model in eval mode."""
    weights = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}

    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        return ctx.criterion(functional_call(model, weights, (image[None],)), label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(weights, batch.images, batch.labels)
    return torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)


def blocks(model: nn.Module, examples: Examples) -> Iterator[Examples]:
    """`examples` in their order, in parts whose gradients fill a block."""
    size = max(1, BLOCK // max(1, sum(weight.numel() for weight in trainable(model))))
    for part in torch.arange(len(examples)).split(size):  # type: ignore[no-untyped-call]
        yield examples.take(part)


def like(flat: Tensor, weights: list[nn.Parameter]) -> list[Tensor]:
    """The (P,) numbers of `flat` in the shapes of `weights`."""
    parts = flat.split([weight.numel() for weight in weights])  # type: ignore[no-untyped-call]
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
