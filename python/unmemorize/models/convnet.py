"""A small convolutional network for images of 8 x 8 to 32 x 32."""

from torch import nn

LARGE = 16  # pixels from which on the wider network is built
WIDTHS, LARGE_WIDTHS = (32, 64, 64), (64, 128, 256)  # channels of the three layers


def convnet(channels: int, height: int, width: int, n_classes: int) -> nn.Module:
    """Three normalised convolutions and one linear layer; 8 x 8 becomes 2 x 2 on the way, 32 x 32 becomes 4 x 4.

    Max-pooling comes before the normalisation, which then has a quarter of the work; the result is that of pooling last
    wherever the normalisation's scale is positive.
    """
    layers: list[nn.Module] = []
    here = channels
    for outputs in WIDTHS if min(height, width) < LARGE else LARGE_WIDTHS:
        layers.append(nn.Conv2d(here, outputs, 3, padding=1, bias=False))
        if min(height, width) >= 4:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        here = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(here * height * width, n_classes))
