"""Proxies of memorization that need a model: one function a file, all oriented higher = more memorized.

Each takes ``(model, data, ctx)`` and gives float64 (n,), one value for each example of ``data.train``, the same for the
same ``ctx.seed``. `Cost` tells what each took. Two kinds need no model: the by-products of training, `LearningEvents`,
and `leave_one_out`, which is of the images alone.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unmemorize.proxies.along import along_training
from unmemorize.proxies.confidence_now import confidence_now
from unmemorize.proxies.cost import Cost
from unmemorize.proxies.cumulative_gradient import cumulative_gradient
from unmemorize.proxies.holdout_retraining import holdout_retraining
from unmemorize.proxies.input_gradients import InputGradients
from unmemorize.proxies.leave_one_out import leave_one_out
from unmemorize.proxies.loss_curvature import loss_curvature
from unmemorize.proxies.sharpness_gap import sharpness_gap

__all__ = [
    "PROXIES",
    "Cost",
    "InputGradients",
    "along_training",
    "confidence_now",
    "cumulative_gradient",
    "holdout_retraining",
    "leave_one_out",
    "loss_curvature",
    "sharpness_gap",
]

PROXIES: dict[str, Callable[..., NDArray[np.float64]]] = {
    "confidence_now": confidence_now,
    "holdout_retraining": holdout_retraining,
    "loss_curvature": loss_curvature,
    "sharpness_gap": sharpness_gap,
    "cumulative_gradient": cumulative_gradient,
}
"""Name of each proxy, cheapest first: a function of ``(model, data, ctx)`` whose further arguments have defaults."""
