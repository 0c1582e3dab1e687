"""Augmentation of a whole batch where it lives."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

PADDING = 4  # pixels on each side of a 32 x 32 image, in proportion for others


def crop(images: Tensor, generator: Generator) -> Tensor:
    """Shift each image of (b, c, h, w) by up to an eighth of its size, zeros coming in from the border."""
    b, _, h, w = images.shape
    pad = max(1, PADDING * h // 32)
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    top, left = torch.randint(0, 2 * pad + 1, (2, b), generator=generator).to(images.device)
    rows = top[:, None] + torch.arange(h, device=images.device)
    columns = left[:, None] + torch.arange(w, device=images.device)
    batch = torch.arange(b, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def mirror(images: Tensor, generator: Generator) -> Tensor:
    """Mirror half of the images of (b, c, h, w) from left to right."""
    chosen = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {"crop": crop, "flip": mirror}


def augment(images: Tensor, names: tuple[str, ...], generator: Generator) -> Tensor:
    """Apply the named augmentations in order; the random numbers come from the CPU, the same for all devices."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(f"augment: no augmentation {name!r}; known are {', '.join(AUGMENTATIONS)}")
        images = AUGMENTATIONS[name](images, generator)
    return images
