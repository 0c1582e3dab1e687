"""A convolutional network cheap enough to train a hundred of on a CPU."""

from torch import nn

PATCH = 4  # pixels on each side
WIDTHS = (32, 64, 128)  # channels of the patches and of the two convolutions


def patch_convnet(channels: int, height: int, width: int, n_classes: int) -> nn.Module:
    """A convolution that sees each patch of 4 x 4 pixels by itself, two of 3 x 3 on the patches, and one linear layer.

    On 32 x 32 images it takes a sixteenth of the multiplications of `convnet`.
    """
    first, second, third = WIDTHS
    return nn.Sequential(
        nn.Conv2d(channels, first, PATCH, stride=PATCH, bias=False), nn.BatchNorm2d(first), nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(second), nn.ReLU(),
        nn.Conv2d(second, third, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(third), nn.ReLU(),
        nn.Flatten(), nn.Linear(third * (height // PATCH // 4) * (width // PATCH // 4), n_classes),
    )  # fmt: skip
