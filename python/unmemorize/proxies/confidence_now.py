"""How sure a finished model is of each label."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmemorize.data import Data
from unmemorize.proxies.cost import spend
from unmemorize.proxies.inputs import ready, still
from unmemorize.train import Context


def confidence_now(model: nn.Module, data: Data, ctx: Context) -> NDArray[np.float64]:
    """``-p[y]``: what the finished model says of each training label, in eval mode.

    The weakest form of the confidence, for a model whose training nobody recorded: once it fits an example, it is about
    as sure of a memorized as of an easy one. Cost: n forward passes. Memory: O(n C).

    Args:
        model: a classifier trained on `data.train`; it is not changed.
        data: the data set.
        ctx: device and precision.

    Returns:
        float64 (n,), in [-1, 0]; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices.
        ValueError: no training examples, or a label that the network has no output for.

    Example:
        >>> from unmemorize import data, models
        >>> digits = data.load("digits")
        >>> confidence_now(models.build("convnet", digits), digits, Context(device="cpu")).shape
        (1295,)
    """
    model = still(model, ctx)
    train = ready(data, model, ctx).train
    probs = ctx.logits(model, train).double().softmax(1)
    spend(forwards=len(train))
    score: NDArray[np.float64] = -probs.gather(1, train.labels[:, None]).squeeze(1).cpu().numpy()
    return score
