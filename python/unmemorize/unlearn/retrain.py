"""Train from scratch without the forget set: the oracle that every algorithm is compared with."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unmemorize import models, train
from unmemorize.data import Examples
from unmemorize.train import Context, Recipe
from unmemorize.unlearn.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class Retrain(Hyperparameters):
    """Fresh parameters from ``ctx.seed``, then the recipe of the original on the retain set.

    Args:
        recipe: what the original was trained with, a `Recipe` or the name of one. The default is that of the small
            conv net on the embedded digits: name the original's own, or the result is no oracle.

    Source: exact unlearning by definition (Bourtoule et al. 2021, arXiv 1912.03817).

    Example:
        >>> Retrain(recipe="cifar10").recipe
        'cifar10'
    """

    NAME: ClassVar = "retrain"

    recipe: str | Recipe = "digits"

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        """`model`, its parameters and buffers drawn anew and trained on `retain`.

        Raises:
            ValueError: a layer of `model` does not know how to draw its parameters anew.
        """
        return train.fit(models.reinitialize(model, ctx.seed), retain, self.recipe, ctx)
