"""Networks by name, and fresh parameters for any network."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from unmemorize.models.convnet import convnet
from unmemorize.models.patch_convnet import patch_convnet
from unmemorize.models.resnet import resnet18, resnet18_imagenet_stem, resnet50
from unmemorize.models.resnet9 import resnet9
from unmemorize.models.vgg import vgg16_bn

_NETWORKS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "convnet": convnet,
    "patch_convnet": patch_convnet,
    "resnet9": lambda channels, _height, _width, n_classes: resnet9(channels, n_classes),
    "resnet18": lambda channels, _height, _width, n_classes: resnet18(channels, n_classes),
    "resnet18_imagenet_stem": lambda channels, _height, _width, n_classes: resnet18_imagenet_stem(channels, n_classes),
    "resnet50": lambda channels, _height, _width, n_classes: resnet50(channels, n_classes),
    "vgg16_bn": lambda channels, _height, _width, n_classes: vgg16_bn(channels, n_classes),
}
NAMES = tuple(_NETWORKS)
SMALLEST = {"vgg16_bn": 32, "patch_convnet": 16}  # pixels; five max-pools, or two after patches of 4


class Inputs(Protocol):
    """What a network must know of its data; a `Data` is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width) of an image."""

    @property
    def n_classes(self) -> int:
        """C."""


def build(name: str, data: Inputs, *, seed: int = 0) -> nn.Module:
    """A network for the images and classes of `data`, on the CPU.

    Its convolutions are laid out channels-last, which is the faster layout on CPUs and GPUs alike.

    Args:
        name: one of `NAMES`.
        data: gives the shape of an image and the number of classes.
        seed: of the initial parameters; torch's own random state is left alone.

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
    with torch.device("meta"):  # no parameters yet: they are drawn once, by `reinitialize`
        model = _NETWORKS[name](channels, height, width, data.n_classes)
    model.to_empty(device="cpu").to(memory_format=torch.channels_last)
    return reinitialize(model, seed)


def reinitialize(model: nn.Module, seed: int) -> nn.Module:
    """Give `model` fresh parameters and buffers in place, as if it had just been built with `seed`.

    Any network works whose parameters belong to modules with `reset_parameters`, as those of PyTorch's layers do. As in
    a constructor, a module draws after its children, so that it may overrule them.

    Raises:
        TypeError: a module holds parameters of its own but cannot reset them; nothing is changed.
    """
    draws = [draw for name, module in model.named_modules() for draw in _draws(module, name)]
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for draw in reversed(draws):  # `named_modules` has every module before its children
            draw()
    return model


def _draws(module: nn.Module, name: str) -> list[Callable[[], object]]:
    """The method of `module` that redraws its own parameters, if it needs one."""
    for method in ("reset_parameters", "_reset_parameters"):  # the second is that of PyTorch's attention
        if hasattr(module, method):
            return [getattr(module, method)]
    if next(module.parameters(recurse=False), None) is None:
        return []
    where = f"model.{name}" if name else "model"
    raise TypeError(
        f"{where}: {type(module).__name__} holds parameters but has no reset_parameters method; give it one"
    )
