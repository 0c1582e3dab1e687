"""VGG-16 with batch normalisation (Simonyan & Zisserman 2015) for images of 32 x 32 or more."""

from torch import nn

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions; each ends with a max-pool


def vgg16_bn(channels: int, n_classes: int) -> nn.Module:
    """13 convolutions, global average, one linear layer."""
    layers: list[nn.Module] = []
    here = channels
    for outputs, convolutions in STAGES:
        for _ in range(convolutions):
            layers += [nn.Conv2d(here, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            here = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(here, n_classes))
