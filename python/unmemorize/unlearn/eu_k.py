"""Train the last layers from scratch without the forget set."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize import models
from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate
from unmemorize.unlearn.last_layers import last_layers


@dataclass(frozen=True)
class EUk(Hyperparameters):
    """Exact unlearning of the last k layers: fresh parameters for them, then training on the retain set.

    All before them is frozen, BatchNorm's statistics included. Fresh parameters come from ``ctx.seed``. Loss of a step:
    ``CE(retain batch)``. A layer is a module with trainable parameters of its own, in the order of definition.

    Fails where memorization lies deeper: what the frozen layers hold of the forget set stays there.

    Source: Goel et al. 2022, arXiv 2201.06640.

    Example:
        >>> EUk(k=1.5)
        Traceback (most recent call last):
        ValueError: k: expected a whole number >= 1, got 1.5
    """

    NAME: ClassVar = "eu_k"
    SEARCHED: ClassVar[Bounds] = {"k": (1, 4), "lr": (0.01, 0.1), "epochs": (1, 10)}

    k: Count = 1  # layers, from the last
    lr: Rate = 0.05
    epochs: Count = 10  # passes over the retain set

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model`, its last layers drawn anew and trained on `retain`.

        Raises:
            TypeError: one of the layers does not know how to draw its parameters anew.
            ValueError: the network has fewer than `k` layers.
        """
        with last_layers(model, self.k) as layers:
            models.reinitialize(layers, ctx.seed)
            optimizer = ctx.sgd(model, lr=self.lr)
            for _ in ctx.epochs(self.epochs, self.NAME):
                for batch in ctx.batches(retain):
                    ctx.step(optimizer, ctx.loss(model, batch))
        return model
