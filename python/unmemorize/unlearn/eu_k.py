"""Train the last layers from scratch without the forget set."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize import models
from unmemorize.train import Context
from unmemorize.unlearn.last_layers import LastLayers


@dataclass(frozen=True)
class EUk(LastLayers):
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

    def begin(self, layers: nn.ModuleList, ctx: Context) -> None:
        """Draw their parameters anew.

        Raises:
            TypeError: one of the layers does not know how to.
        """
        models.reinitialize(layers, ctx.seed)
