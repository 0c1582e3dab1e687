"""What every proxy does to its arguments first."""

import copy

import torch
from torch import nn

from unmemorize.data import Data
from unmemorize.train import Context


def still(model: nn.Module, ctx: Context) -> nn.Module:
    """A copy on the device of `ctx`, in eval mode, whose parameters take no gradient; the user's is left alone."""
    return copy.deepcopy(model).to(ctx.device).eval().requires_grad_(False)


def ready(data: Data, model: nn.Module, ctx: Context) -> Data:
    """`data` on the device of `ctx`, its training labels fit for `model`, a `still` one.

    Raises:
        TypeError: the labels are probabilities, not class indices.
        ValueError: there are no training examples, or the network has no output for a label.
    """
    if not len(data.train):
        raise ValueError("data.train: expected at least 1 example, got 0")
    data = data.to(ctx.device)
    labels = data.train.labels
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise TypeError(
            f"data.train.labels: expected class indices, int64 (n,), got {labels.dtype} {tuple(labels.shape)}; "
            "soft labels have no single class to be confident of"
        )
    outputs = ctx.logits(model, data.train.take([0])).shape[1]
    for label in (int(labels.min()), int(labels.max())):
        if not 0 <= label < outputs:
            raise ValueError(f"data.train.labels: {label} is out of range for a network of {outputs} outputs")
    return data
