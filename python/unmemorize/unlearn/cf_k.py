"""Go on training the last layers without the forget set."""

from dataclasses import dataclass
from typing import ClassVar

from unmemorize.unlearn.last_layers import LastLayers


@dataclass(frozen=True)
class CFk(LastLayers):
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
