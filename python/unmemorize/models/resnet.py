"""ResNet-18 and ResNet-50 (He et al. 2016) for small images: a 3 x 3 stem and no max-pool."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, body: list[nn.Module], inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv(inputs, outputs, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) -> (b, outputs, h / stride, w / stride)."""
        return nn.functional.relu(self.body(x) + self.shortcut(x))


def resnet18(channels: int, n_classes: int) -> nn.Module:
    """Two basic blocks in each of four stages."""
    return _resnet(conv(channels, 64, 3), n_classes, (2, 2, 2, 2), basic, 1)


def resnet18_imagenet_stem(channels: int, n_classes: int) -> nn.Module:
    """`resnet18` that shrinks the image fourfold first: published scores of CIFAR-10 were measured with it."""
    stem = [*conv(channels, 64, 7, 2), nn.MaxPool2d(3, stride=2, padding=1)]
    return _resnet(stem, n_classes, (2, 2, 2, 2), basic, 1)


def resnet50(channels: int, n_classes: int) -> nn.Module:
    """3, 4, 6, 3 bottleneck blocks."""
    return _resnet(conv(channels, 64, 3), n_classes, (3, 4, 6, 3), bottleneck, 4)


def basic(inputs: int, planes: int, stride: int) -> Residual:
    """Two 3 x 3 convolutions."""
    body = [*conv(inputs, planes, 3, stride), nn.ReLU(), *conv(planes, planes, 3)]
    return Residual(body, inputs, planes, stride)


def bottleneck(inputs: int, planes: int, stride: int) -> Residual:
    """1 x 1 down, 3 x 3, 1 x 1 up to four times the planes."""
    body = [
        *conv(inputs, planes, 1),
        nn.ReLU(),
        *conv(planes, planes, 3, stride),
        nn.ReLU(),
        *conv(planes, 4 * planes, 1),
    ]
    return Residual(body, inputs, 4 * planes, stride)


def _resnet(
    stem: Sequence[nn.Module], n_classes: int, depths: Sequence[int], block: Callable[..., Residual], expansion: int
) -> nn.Module:
    layers: list[nn.Module] = [*stem, nn.ReLU()]
    widths = [64, *(64 * 2**stage * expansion for stage in range(len(depths)))]
    for stage, ((inputs, outputs), depth) in enumerate(zip(pairwise(widths), depths, strict=True)):
        planes = 64 * 2**stage
        layers += [block(inputs, planes, 2 if stage else 1), *(block(outputs, planes, 1) for _ in range(1, depth))]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], n_classes))


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size, or divides it by `stride`, and its normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]
