"""How fast the gradient of the loss turns around an example."""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unmemorize.data import Data, Examples
from unmemorize.proxies.cost import spend
from unmemorize.proxies.inputs import ready, still
from unmemorize.proxies.passes import Pass
from unmemorize.train import Context

Method = Literal["sign", "rademacher"]
STEP = {"sign": 1e-2, "rademacher": 1e-3}  # published, for images in [0, 1]


def loss_curvature(
    model: nn.Module, data: Data, ctx: Context, *, method: Method = "sign", h: float | None = None, draws: int = 10
) -> NDArray[np.float64]:
    """Curvature of the loss by the input, of the finished model, in eval mode.

    With g(x) the gradient of the cross-entropy l by the image x:

    * ``sign``: ``||g(x + z) - g(x)||`` with ``z = h sign(g) / ||sign(g)||``; 0 where g is 0;
    * ``rademacher``: the mean over `draws` of ``||g(x + h v) - g(x)||``, each coordinate of v being -1 or 1.

    Always computed in float32, whatever the precision of `ctx`: it is a small difference of gradients. Cost: for each
    example 2 (sign) or 1 + draws (rademacher) forward and backward passes. Memory: that of one batch, and the draws.

    Args:
        model: a classifier trained on `data.train`; it is not changed. In eval mode it must treat each image alone.
        data: the data set.
        ctx: device, seed of the draws, and batch size, which says how they are dealt to the examples; with `run_dir` a
            pass that was killed goes on.
        method: "sign" or "rademacher".
        h: length of the step, in the units of the images as the model gets them; None: 0.01 for sign, 0.001 for
            rademacher. Those were published for images in [0, 1]; on images that are divided by their standard
            deviation s they are steps of h * s.
        draws: of rademacher, at least 1.

    Returns:
        float64 (n,), at least 0; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices.
        ValueError: unknown method, h or draws out of range, no training examples, or a label that the network has no
            output for.
        FileExistsError: `ctx.run_dir` holds this proxy of another model, data set, argument or seed.

    Source: "sign": Moosavi-Dezfooli et al. 2019, arXiv 1811.09716, as in arXiv 2410.16516; "rademacher": Garg et al.
        2023, arXiv 2307.05831.

    Example:
        >>> from unmemorize import data, models
        >>> digits = data.load("digits")
        >>> bool((loss_curvature(models.build("convnet", digits), digits, Context(device="cpu")) > 0).all())
        True
    """
    if method not in get_args(Method):
        raise ValueError(f"method: expected sign or rademacher, got {method!r}")
    h = STEP[method] if h is None else h
    if not 0 < h < np.inf or draws < 1:
        raise ValueError(f"h, draws: expected above 0, at least 1, got {h}, {draws}")
    ctx = replace(ctx, dtype="float32")  # and random numbers that start from the seed
    model = still(model, ctx)
    train = ready(data, model, ctx).train

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        losses: Tensor = cross_entropy(model(images), labels, reduction="none")
        return losses.sum()  # no image has a part in another's loss

    gradient = torch.func.grad(loss)

    def curvature(batch: Examples) -> Tensor:
        x, y = batch.images, batch.labels
        here = gradient(x, y)
        moves = [_along(here)] if method == "sign" else _signs(x, draws, ctx)
        turns = [(gradient(x + h * move, y) - here).flatten(1).norm(dim=1) for move in moves]
        spend(forwards=(1 + len(moves)) * len(x), backwards=(1 + len(moves)) * len(x))
        return torch.stack(turns).double().mean(0)

    return Pass("loss_curvature", model, train, ctx, method=method, h=h, draws=draws).scores(curvature)


def _along(gradient: Tensor) -> Tensor:
    """Sign of each coordinate, scaled to length 1; 0 of a gradient that is 0."""
    sign = gradient.sign()
    length = sign.flatten(1).norm(dim=1).clamp_min(1)  # below 1 only if all are 0
    along: Tensor = (sign.flatten(1) / length[:, None]).view_as(sign)
    return along


def _signs(images: Tensor, draws: int, ctx: Context) -> list[Tensor]:
    """-1 or 1 for each coordinate, `draws` times; drawn on the CPU, the same for all devices."""
    drawn = torch.randint(0, 2, (draws, *images.shape), generator=ctx.generator)
    return list((2 * drawn - 1).to(images))
