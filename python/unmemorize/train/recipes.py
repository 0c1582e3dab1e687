"""Training recipes as data: those of the papers and this project's own."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from torch import nn, optim

from unmemorize.data import AUGMENTATIONS
from unmemorize.models import NAMES

SCHEDULES = ("constant", "cosine", "linear", "multistep", "one_cycle")
OPTIMIZERS = ("sgd", "adamw")
PEAK = 0.2  # share of a one-cycle training at which its learning rate is highest


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Raises:
        ValueError: a value that is unknown or makes no sense.

    Example:
        >>> recipe = Recipe(epochs=10, schedule="multistep", milestones=(6,), lr=0.1)
        >>> recipe.lr_at(0.5), round(recipe.lr_at(0.6), 4)
        (0.1, 0.01)
    """

    model: str = "resnet18"
    epochs: int = 30
    lr: float = 0.1
    schedule: str = "cosine"
    milestones: tuple[int, ...] = ()  # epochs after which "multistep" multiplies the learning rate by gamma
    gamma: float = 0.1
    warmup_epochs: float = 0.0  # the learning rate rises linearly over these
    batch_size: int = 256
    optimizer: str = "sgd"
    momentum: float = 0.9  # of "sgd"
    weight_decay: float = 5e-4
    nesterov: bool = False
    augment: tuple[str, ...] = ()
    label_smoothing: float = 0.0  # changes what is memorized

    def __post_init__(self) -> None:
        known = {"model": NAMES, "schedule": SCHEDULES, "optimizer": OPTIMIZERS}
        for name, names in known.items():
            if getattr(self, name) not in names:
                raise ValueError(f"{name}: no {name} {getattr(self, name)!r}; known are {', '.join(names)}")
        for name in self.augment:
            if name not in AUGMENTATIONS:
                raise ValueError(f"augment: no augmentation {name!r}; known are {', '.join(AUGMENTATIONS)}")
        if self.epochs < 1 or self.batch_size < 1 or not 0 < self.lr < math.inf:
            raise ValueError(f"epochs, batch_size, lr: expected at least 1, at least 1, above 0, got "
                             f"{self.epochs}, {self.batch_size}, {self.lr}")  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `asdict`, also of what JSON made of it."""
        own: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in values.items()}
        return cls(**own)

    @property
    def hash(self) -> str:
        """SHA-256 over every value."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def lr_at(self, t: float) -> float:
        """The learning rate at the share `t` in [0, 1) of the training, whatever the number of steps."""
        factor = {
            "constant": lambda: 1.0,
            "cosine": lambda: 0.5 * (1 + math.cos(math.pi * t)),
            "linear": lambda: 1 - t,
            "multistep": lambda: self.gamma ** sum(t * self.epochs >= m for m in self.milestones),
            "one_cycle": lambda: t / PEAK if t < PEAK else 0.5 * (1 + math.cos(math.pi * (t - PEAK) / (1 - PEAK))),
        }[self.schedule]()
        warm = t * self.epochs / self.warmup_epochs if self.warmup_epochs else 1.0
        return self.lr * factor * min(warm, 1.0)

    def optimizer_for(self, model: nn.Module) -> optim.Optimizer:
        """The optimizer over the parameters that train."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        if self.optimizer == "adamw":
            return optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, fused=True)
        return optim.SGD(
            parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov,
            fused=True,
        )  # fmt: skip


CROP_FLIP = ("crop", "flip")

RECIPES: dict[str, Recipe] = {
    # This project's embedded data. With 5% of the labels flipped, 12 of 12 seeds fit at least 99.7% of all examples,
    # or of a 70% subset, in 0.8 s or 0.6 s of one core; test accuracy 97%.
    "digits": Recipe("convnet", epochs=11, lr=0.03, schedule="one_cycle", batch_size=48),
    # A subset of CIFAR-10 on a CPU, for studies that need a hundred models.
    "cifar10_subset": Recipe("patch_convnet", epochs=12, lr=0.05, schedule="one_cycle", batch_size=64),
    # Zhao et al. 2024 (arXiv 2406.01257): the models that are unlearned.
    "cifar10": Recipe("resnet18", epochs=30),
    "cifar100": Recipe(
        "resnet50", epochs=150, schedule="multistep", milestones=(60, 120), gamma=0.2, augment=CROP_FLIP
    ),
    "tiny_imagenet": Recipe("resnet18", epochs=80, augment=CROP_FLIP),
    "tiny_imagenet_vgg": Recipe("vgg16_bn", epochs=100, augment=CROP_FLIP),
    # Their exact memorization of CIFAR-10, after Feldman & Zhang 2020: another network than the one that is unlearned.
    "paper": Recipe(
        "resnet18_imagenet_stem", epochs=30, lr=0.01, schedule="multistep", milestones=(16, 21, 26), batch_size=512
    ),
    # For ensembles of images of CIFAR's size, where "paper" is too slow: after Page (2018), "How to train your ResNet".
    "fast": Recipe(
        "resnet9", epochs=12, lr=0.2, schedule="one_cycle", batch_size=256, nesterov=True, augment=CROP_FLIP
    ),
    # The published correlations of the proxies on CIFAR-10. "lr in steps" is all that is known of its schedule; these
    # are the steps of "paper".
    "data-metrics": Recipe(
        "resnet18_imagenet_stem", epochs=30, lr=0.01, schedule="multistep", milestones=(16, 21, 26), batch_size=128
    ),
}


def resolve(recipe: str | Recipe) -> Recipe:
    """A recipe by its name, or the recipe itself.

    Raises:
        ValueError: no recipe has this name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise ValueError(f"recipe: no recipe {recipe!r}; known are {', '.join(RECIPES)}")
    return RECIPES[recipe]
