"""Networks by name."""

from collections.abc import Callable

import torch
from torch import nn

from unmemorize.data import Data
from unmemorize.models.convnet import convnet
from unmemorize.models.resnet import resnet18, resnet18_imagenet_stem, resnet50
from unmemorize.models.vgg import vgg16_bn

_NETWORKS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "convnet": convnet,
    "resnet18": lambda channels, _height, _width, n_classes: resnet18(channels, n_classes),
    "resnet18_imagenet_stem": lambda channels, _height, _width, n_classes: resnet18_imagenet_stem(channels, n_classes),
    "resnet50": lambda channels, _height, _width, n_classes: resnet50(channels, n_classes),
    "vgg16_bn": lambda channels, _height, _width, n_classes: vgg16_bn(channels, n_classes),
}
NAMES = tuple(_NETWORKS)
SMALLEST = {"vgg16_bn": 32}  # pixels; five max-pools


def build(name: str, data: Data, *, seed: int | None = None) -> nn.Module:
    """A network for the images and classes of `data`, on its device.

    Args:
        name: one of `NAMES`.
        data: gives the shape of an image and the number of classes.
        seed: of the initial parameters; None: torch's current random state.

    Raises:
        ValueError: no network has this name, or the images are too small for it.

    Example:
        >>> from unmemorize.data import load
        >>> digits = load("digits")
        >>> build("convnet", digits, seed=0)(digits.test.images[:2]).shape
        torch.Size([2, 10])
    """
    if name not in _NETWORKS:
        raise ValueError(f"model: no network {name!r}; known are {', '.join(NAMES)}")
    channels, height, width = data.shape
    least = SMALLEST.get(name, 8)
    if min(height, width) < least:
        raise ValueError(f"model: {name} needs images of at least {least} x {least} pixels, got {height} x {width}")
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        model = _NETWORKS[name](channels, height, width, data.n_classes)
    return model.to(data.train.images.device)


def reinitialize(model: nn.Module, seed: int) -> nn.Module:
    """Give `model` fresh parameters and buffers in place, as if it had just been made.

    Any network works whose parameters belong to modules with `reset_parameters`, as all of PyTorch's do.

    Raises:
        TypeError: a module holds parameters of its own but cannot reset them.
    """
    stuck = [type(m).__name__ for m in model.modules() if _own(m) and not hasattr(m, "reset_parameters")]
    if stuck:
        raise TypeError(f"model: {stuck[0]} holds parameters but has no reset_parameters method; give it one")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator]
    return model


def _own(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
