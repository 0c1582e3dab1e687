"""A residual network of nine layers for images of about 32 x 32, after those that train on CIFAR-10 in a minute."""

from torch import nn

from unmemorize.models.resnet import basic, conv

WIDTHS = (64, 128, 256)


def resnet9(channels: int, n_classes: int) -> nn.Module:
    """Two convolutions, a residual block, two convolutions, a residual block, one linear layer; three max-pools."""
    first, second, third = WIDTHS
    return nn.Sequential(
        *conv(channels, first, 3), nn.ReLU(),
        *_pooled(first, second), basic(second, second, 1),
        *_pooled(second, third), *_pooled(third, third), basic(third, third, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(third, n_classes),
    )  # fmt: skip


def _pooled(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution, then half the height and width; pooling first leaves the normalisation a quarter of the work."""
    convolution, norm = conv(inputs, outputs, 3)
    return [convolution, nn.MaxPool2d(2), norm, nn.ReLU()]
