"""How sure a finished model is of each label."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from unmemorize.data import Data, Examples
from unmemorize.proxies.cost import spend
from unmemorize.proxies.inputs import ready, still
from unmemorize.proxies.passes import Pass
from unmemorize.train import Context


def confidence_now(model: nn.Module, data: Data, ctx: Context) -> NDArray[np.float64]:
    """``-p[y]``: what the finished model says of each training label, in eval mode.

    The weakest form of the confidence, for a model whose training nobody recorded: once it fits an example, it is about
    as sure of a memorized as of an easy one. Cost: n forward passes. Memory: O(n C).

    Args:
        model: a classifier trained on `data.train`; it is not changed.
        data: the data set.
        ctx: device, precision and batch size; with `run_dir` a pass that was killed goes on.

    Returns:
        float64 (n,), in [-1, 0]; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices.
        ValueError: no training examples, or a label that the network has no output for.
        FileExistsError: `ctx.run_dir` holds this proxy of another model, data set, argument or seed.

    Example:
        >>> from unmemorize import data, models
        >>> digits = data.load("digits")
        >>> confidence_now(models.build("convnet", digits), digits, Context(device="cpu")).shape
        (1295,)
    """
    ctx = ctx.seeded(ctx.seed)  # random numbers that start from the seed
    model = still(model, ctx)
    train = ready(data, model, ctx).train

    def confidence(batch: Examples) -> Tensor:
        probs = ctx.logits(model, batch).double().softmax(1)
        spend(forwards=len(batch))
        return -probs.gather(1, batch.labels[:, None]).squeeze(1)

    return Pass("confidence_now", model, train, ctx).scores(confidence)
