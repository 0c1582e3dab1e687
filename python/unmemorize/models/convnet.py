"""A small convolutional network for images of 8 x 8 to 32 x 32."""

from torch import nn

WIDTH = 16  # channels of the first layer
HIDDEN = 128


def convnet(channels: int, height: int, width: int, n_classes: int) -> nn.Module:
    """Convolutions that halve the image down to 4 x 4 and double the channels, then two linear layers; normalised."""
    layers: list[nn.Module] = _normalised(nn.Conv2d(channels, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH))
    here = WIDTH
    while min(height, width) > 4:
        layers += _normalised(nn.Conv2d(here, 2 * here, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * here))
        here, height, width = 2 * here, (height + 1) // 2, (width + 1) // 2
    hidden = nn.Linear(here * height * width, HIDDEN, bias=False)
    return nn.Sequential(
        *layers, nn.Flatten(), *_normalised(hidden, nn.BatchNorm1d(HIDDEN)), nn.Linear(HIDDEN, n_classes)
    )


def _normalised(layer: nn.Module, norm: nn.Module) -> list[nn.Module]:
    return [layer, norm, nn.ReLU()]
