"""Training the last layers of a network alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.gradients import trainable
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate


@dataclass(frozen=True)
class LastLayers(Hyperparameters):
    """Base of the algorithms that train the last `k` layers on the retain set: ``CE(retain batch)``."""

    NAME: ClassVar[str]
    SEARCHED: ClassVar[Bounds] = {"k": (1, 4), "lr": (0.01, 0.1), "epochs": (1, 10)}

    k: Count = 1  # layers, from the last
    lr: Rate = 0.05
    epochs: Count = 10  # passes over the retain set

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `retain`.

        Raises:
            ValueError: the network has fewer than `k` layers.
        """
        with last_layers(model, self.k) as layers:
            self.begin(layers, ctx)
            optimizer = ctx.sgd(model, lr=self.lr)
            for _ in ctx.epochs(self.epochs, self.NAME):
                for batch in ctx.batches(retain):
                    ctx.step(optimizer, ctx.loss(model, batch))
        return model

    def begin(self, layers: nn.ModuleList, ctx: Context) -> None:
        """What is done to the layers before they are trained: nothing."""


@contextmanager
def last_layers(model: nn.Module, k: int) -> Iterator[nn.ModuleList]:
    """The last `k` layers of `model`, everything before them frozen as long as the block lasts.

    A layer is a module with trainable parameters of its own; they count in the order in which the network defines them.
    The frozen part is in eval mode: BatchNorm's statistics there keep their bits, and dropout is off. Afterwards each
    module has its own mode back, so that the next step of a chain trains the whole network.

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
    modes = [module.training for module in modules]
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
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
