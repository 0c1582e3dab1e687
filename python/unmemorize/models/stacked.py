"""Several networks of one shape as one network, their channels side by side."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

Layers = Sequence[nn.Module]
FEW = 4  # channels; a convolution of fewer takes half as long in float32 as in bfloat16 (docs/ensembles.md)


class Stacked(nn.Module):
    """S networks that compute what each computes alone, each operation started once for all of them.

    A convolution becomes one with S times the groups, or a batched product where its kernel reaches across the image; a
    batch normalisation one over S times the channels (each network keeps its own statistics), a linear layer a
    batched product; what works on each channel or value alone (pooling, activations) stays what it is. So an optimizer
    that works on each number alone (SGD, Adam), on the sum of the networks' losses, trains every network as if it were
    alone, up to rounding. In bfloat16, convolutions of fewer than `FEW` channels stay in float32.

    Args:
        networks: at least 1, of one architecture; their parameters are copied.

    Raises:
        TypeError: a layer with parameters that cannot be stacked, or a parameter that is used twice.

    Example:
        >>> networks = [nn.Sequential(nn.Flatten(), nn.Linear(4, 3)) for _ in range(2)]
        >>> images = torch.ones(2 * 5, 1, 2, 2)  # five of each network
        >>> stacked = Stacked(networks)(images)
        >>> stacked.shape, torch.allclose(stacked[5:], networks[1](images[5:]))
        (torch.Size([10, 3]), True)
    """

    def __init__(self, networks: Layers) -> None:
        super().__init__()
        self.count = len(networks)
        self.network = _stack(networks)
        alone, together = (sum(p.numel() for p in model.parameters()) for model in (networks[0], self.network))
        if together != alone * self.count:
            raise TypeError(f"model: {type(networks[0]).__name__} uses a parameter twice; it cannot be stacked")

    def forward(self, images: Tensor) -> Tensor:
        """(S * b, c, h, w), those of each network together -> logits (S * b, C)."""
        own = images.view(self.count, -1, *images.shape[1:])
        wide = _channels_last(own.transpose(0, 1).flatten(1, 2))
        logits: Tensor = self.network(wide)
        return logits.view(len(wide), self.count, -1).transpose(0, 1).flatten(0, 1)


class Panel(nn.Module):
    """What all networks of a stack say of the same images: (b, c, h, w) -> logits (b, S, C)."""

    def __init__(self, stacked: Stacked) -> None:
        super().__init__()
        self.stacked = stacked

    def forward(self, images: Tensor) -> Tensor:
        """Ask all of them at once."""
        logits: Tensor = self.stacked(images.repeat(self.stacked.count, 1, 1, 1))
        return logits.view(self.stacked.count, len(images), -1).transpose(0, 1)


def can_stack(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether stacks of `network` compute what it computes, on images of `shape` (c, h, w).

    Layers are known by their type; what a network does between its layers is not, so it is tried on random images.
    """
    images = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            alone = torch.cat([network.eval()(own) for own in images])
            together = Stacked([network, network]).eval()(images.flatten(0, 1))
    except (TypeError, RuntimeError):
        return False
    finally:
        for module, mode in modes:
            module.training = mode
    return alone.shape == together.shape and torch.allclose(alone, together, rtol=1e-3, atol=1e-4)


class _Convolution(nn.Module):
    """Convolutions side by side: (b, S * inputs, h, w) -> (b, S * outputs, h', w')."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        first, self.count = layers[0], len(layers)
        if first.padding_mode != "zeros":
            raise TypeError(f"model: a convolution with {first.padding_mode} padding cannot be stacked")
        weight = _joined(layers, "weight").permute(0, 2, 3, 1)  # (S * outputs, rows, columns, inputs), as it lies
        self.weight = nn.Parameter(weight.contiguous(), first.weight.requires_grad)
        self.bias = None if first.bias is None else nn.Parameter(_joined(layers, "bias"), first.bias.requires_grad)
        self.how: Any = (first.stride, first.padding, first.dilation, first.groups * self.count)
        same = first.padding in ("same", tuple(size // 2 for size in first.kernel_size)) and first.groups == 1
        same = same and first.stride == first.dilation == (1, 1)
        self.reach = [(size + 1) // 2 if same and size % 2 else 0 for size in first.kernel_size]

    def forward(self, x: Tensor) -> Tensor:
        if all(size <= reach for size, reach in zip(x.shape[2:], self.reach, strict=True)):
            return self._product(x)
        weight, few = self.weight.permute(0, 3, 1, 2), self.weight.shape[3] < FEW
        with torch.autocast(x.device.type, enabled=False) if few else nullcontext():
            return conv2d(x.to(weight.dtype) if few else x, weight, self.bias, *self.how)

    def _product(self, x: Tensor) -> Tensor:
        """Every output sees every input: of 2 x 2 pixels 16 products, where a convolution by 3 x 3 takes 36."""
        b, _, h, w = x.shape
        taps = _taps(*self.weight.shape[1:3], h, w).to(x.device)
        matrix = (
            self.weight.to(x.dtype)
            .flatten(1, 2)
            .index_select(1, taps)
            .view(self.count, -1, h * w * self.weight.shape[3])
        )
        own = x.permute(0, 2, 3, 1).reshape(b, h * w, self.count, -1).permute(2, 0, 1, 3).flatten(2)
        out = (own @ matrix.mT).view(self.count, b, -1, h, w).permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
        return out if self.bias is None else out + self.bias[:, None, None]


@cache
def _taps(rows: int, columns: int, h: int, w: int) -> Tensor:
    """Which tap of a kernel takes an input to an output: outputs (h, w) by inputs (h, w), flat."""
    down, across = (torch.arange(n) - torch.arange(n)[:, None] + size // 2 for n, size in ((h, rows), (w, columns)))
    return (down[:, None, :, None] * columns + across[:, None]).flatten()


class _Linear(nn.Module):
    """Linear layers side by side: (b, S * inputs) -> (b, S * outputs)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        weights = [layer.weight.detach() for layer in layers]
        biases = [layer.bias.detach()[:, None] for layer in layers if layer.bias is not None]
        self.weight = nn.Parameter(torch.stack(weights))
        self.bias = nn.Parameter(torch.stack(biases)) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), len(self.weight), -1).permute(1, 2, 0)
        out = torch.bmm(self.weight, x) if self.bias is None else torch.baddbmm(self.bias, self.weight, x)
        return out.permute(2, 0, 1).flatten(1)


class _Flatten(nn.Flatten):
    """Its gradient comes channels-last, as all that is before it is laid out."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4 and x.requires_grad:
            x.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        return super().forward(x)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _widened(*sizes: str) -> Callable[[Layers], Any]:
    """A layer with the tensors of all layers joined, and `sizes` times as many."""

    def widen(layers: Layers) -> Any:
        wide = copy(layers[0])
        for size in sizes:
            setattr(wide, size, getattr(wide, size) * len(layers))
        wide._parameters = {
            name: first if first is None else nn.Parameter(_joined(layers, name), first.requires_grad)
            for name, first in wide._parameters.items()
        }
        wide._buffers = {
            name: first if first is None else _joined(layers, name) for name, first in wide._buffers.items()
        }
        return wide

    return widen


def _joined(layers: Layers, name: str) -> Tensor:
    """Tensors of the layers, end to end; of a count, which is the same in all of them, one."""
    tensors = [getattr(layer, name).detach().clone() for layer in layers]
    return torch.cat(tensors) if tensors[0].ndim else tensors[0]


_STACKED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Conv2d: _Convolution,
    nn.BatchNorm1d: _widened("num_features"),
    nn.BatchNorm2d: _widened("num_features"),
    nn.GroupNorm: _widened("num_groups", "num_channels"),
    nn.Linear: _Linear,
    nn.Flatten: lambda layers: _Flatten(layers[0].start_dim, layers[0].end_dim),
}


def _stack(layers: Layers) -> nn.Module:
    first = layers[0]
    if type(first) in _STACKED:
        return _STACKED[type(first)](layers)
    if first._parameters or first._buffers:
        raise TypeError(f"model: a layer {type(first).__name__} cannot be stacked")
    stacked = copy(first)
    stacked._modules = {name: _stack([getattr(layer, name) for layer in layers]) for name in first._modules}
    return stacked
