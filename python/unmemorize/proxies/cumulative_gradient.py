"""How strongly an example has pulled on the loss over a whole training."""

import copy

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmemorize import models, train
from unmemorize.data import Data
from unmemorize.proxies.cost import spend
from unmemorize.proxies.input_gradients import InputGradients
from unmemorize.proxies.inputs import ready, still
from unmemorize.train import Context, Recipe


def cumulative_gradient(
    model: nn.Module, data: Data, ctx: Context, *, recipe: str | Recipe = "digits"
) -> NDArray[np.float64]:
    """Sum over a training of ``||grad_x l(x)||``, the norm of the gradient of an example's loss by its image.

    It cannot be told from a finished model, so a copy with fresh parameters is trained from scratch; whoever trains
    anyway hands an `InputGradients` to `train.fit`, or to a loop of his own, and pays the last link of each backward
    pass. With `ctx.run_dir` a training that was killed goes on. The norm is that of the training step: train mode,
    augmented image. Cost: of each example one forward and one backward pass an epoch. Memory: that of the training,
    and 16 n bytes.

    Args:
        model: gives the architecture; it is not changed.
        data: the data set.
        ctx: device, precision, seed of the parameters and of the training.
        recipe: what the model was trained with. The default is that of the small conv net on the embedded digits: name
            the model's own.

    Returns:
        float64 (n,), at least 0; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices, or a layer that cannot draw its parameters anew.
        ValueError: unknown recipe, no training examples, or a label that the network has no output for.
        DivergedError: the loss is not finite.

    Source: cumulative sample gradient (ICLR 2026), here over the whole training; its authors stop where the norm of
        the weights peaks.

    Example:
        >>> from unmemorize import data, models
        >>> digits, ctx = data.load("digits"), Context(device="cpu", progress=False)
        >>> model, recipe = models.build("convnet", digits), Recipe("convnet", epochs=1)
        >>> score = cumulative_gradient(model, digits, ctx, recipe=recipe)
        >>> bool((score > 0).all())
        True
    """
    recipe, ctx = train.resolve(recipe), ctx.seeded(ctx.seed)
    data = ready(data, still(model, ctx), ctx)
    fresh = models.reinitialize(copy.deepcopy(model).requires_grad_(), ctx.seed)
    gradients = InputGradients(len(data.train), fresh)
    train.fit(fresh, data.train, recipe, ctx, events=gradients)
    spend(forwards=recipe.epochs * len(data.train), backwards=recipe.epochs * len(data.train))
    return gradients.scores()["input_gradient"]
