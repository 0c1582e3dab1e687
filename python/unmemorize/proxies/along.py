"""A proxy of a model at several stages of its training."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmemorize.data import Data
from unmemorize.train import Context


def along_training(
    proxy: Callable[..., NDArray[np.float64]], snapshots: Iterable[nn.Module], data: Data, ctx: Context, **options: Any
) -> NDArray[np.float64]:
    """The mean of a proxy over snapshots of one training, as the papers take the curvature over its epochs.

    Cost: that of the proxy, for each snapshot. Memory: O(n) beside it; snapshots are taken one at a time.

    Args:
        proxy: one of `PROXIES` that reads a model: `loss_curvature`, `confidence_now`, ...
        snapshots: the model after some epochs; a generator may load one checkpoint after another.
        data: the data set.
        ctx: device, precision, seed; with `run_dir` each snapshot has a folder of its own there.
        options: further arguments of the proxy.

    Returns:
        float64 (n,); higher = more memorized.

    Raises:
        ValueError: no snapshots, or what the proxy raises.

    Example:
        >>> from unmemorize import data, models, proxies
        >>> digits, ctx = data.load("digits"), Context(device="cpu", progress=False)
        >>> two = (models.build("convnet", digits, seed=seed) for seed in (0, 1))
        >>> proxies.along_training(proxies.confidence_now, two, digits, ctx).shape
        (1295,)
    """
    total, count = np.zeros(len(data.train)), 0
    for model in snapshots:
        folder = Path(ctx.run_dir) / f"snapshot-{count}" if ctx.run_dir is not None else None
        total += proxy(model, data, replace(ctx, run_dir=folder), **options)
        count += 1
    if not count:
        raise ValueError("snapshots: expected at least 1 model, got 0")
    return total / count
