"""Leave the model as it is."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize.data import Examples
from unmemorize.train import Context
from unmemorize.unlearn.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Nothing(Hyperparameters):
    """The identity: what every algorithm has to beat, and a step of its own in a plan.

    On examples that are hardly memorized the original is already near the retrained model, so the best published plan
    for CIFAR-10 starts with it (low memorization: nothing, medium: fine_tune, high: salun).

    Source: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> from torch import nn
        >>> from unmemorize import Context
        >>> model = nn.Linear(2, 2)
        >>> Nothing().apply(model, None, None, Context(device="cpu")) is model
        True
    """

    NAME: ClassVar = "nothing"

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model`, untouched."""
        return model
