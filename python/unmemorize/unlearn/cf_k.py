"""Go on training the last layers without the forget set."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Bounds, Count, Hyperparameters, Rate
from unmemorize.unlearn.last_layers import last_layers


@dataclass(frozen=True)
class CFk(Hyperparameters):
    """Catastrophic forgetting in the last k layers: fine-tune them on the retain set, all before them frozen.

    Loss of a step: ``CE(retain batch)``. A layer is a module with trainable parameters of its own, in the order of
    definition; frozen ones, BatchNorm's statistics included, keep their bits.

    Fails as `FineTune` does, and what the frozen layers hold of the forget set stays there.

    Source: Goel et al. 2022, arXiv 2201.06640.

    Example:
        >>> CFk(k=0)
        Traceback (most recent call last):
        ValueError: k: expected a whole number >= 1, got 0
    """

    NAME: ClassVar = "cf_k"
    SEARCHED: ClassVar[Bounds] = {"k": (1, 4), "lr": (0.01, 0.1), "epochs": (1, 10)}

    k: Count = 1  # layers, from the last
    lr: Rate = 0.05
    epochs: Count = 10  # passes over the retain set

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model` after `epochs` passes over `retain`.

        Raises:
            ValueError: the network has fewer than `k` layers.
        """
        with last_layers(model, self.k):
            optimizer = ctx.sgd(model, lr=self.lr)
            for _ in ctx.epochs(self.epochs, self.NAME):
                for batch in ctx.batches(retain):
                    ctx.step(optimizer, ctx.loss(model, batch))
        return model
