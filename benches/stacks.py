"""What a step of one model costs on one core, by network and by models in a stack: `python benches/stacks.py`.

Forward, backward and SGD as `train.fit_stacked` takes them, on random images; median milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from unmemorize import Context, models
from unmemorize.data import Examples
from unmemorize.train import RECIPES
from unmemorize.train.fit import descend

STACKS = (1, 2, 5, 10)
SECONDS, STEPS, MOST = 1.0, 5, 1.5e9  # of a cell: at least so long and so many steps; FLOP forward of a whole stack


@dataclass(frozen=True)
class Images:
    """Shape of the images, batch of one model."""

    shape: tuple[int, int, int]
    batch: int
    n_classes: int = 10


def mlp(images: Images) -> nn.Module:
    """Two hidden layers of 256."""
    inputs = images.shape[1] * images.shape[2]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def named(name: str) -> Callable[[Images], nn.Module]:
    return lambda images: models.build(name, images)


def step(network: Callable[[Images], nn.Module], images: Images, count: int) -> float:
    """Median ms of a step, divided by the models."""
    ctx, recipe = Context(device="cpu", dtype="float32", progress=False), RECIPES["digits"]
    networks = [network(images) for _ in range(count)]
    model = (models.Stacked(networks) if count > 1 else networks[0]).train()
    optimizer = recipe.optimizer_for(model)
    n = count * images.batch
    batch = Examples(torch.randn(n, *images.shape), torch.randint(10, (n,)), torch.arange(n), torch.arange(n).numpy())
    taken: list[float] = []
    begin = perf_counter()
    while len(taken) < STEPS + 2 or perf_counter() - begin < SECONDS:
        start = perf_counter()
        descend(model, batch, recipe, ctx, optimizer, 0.5, networks=count)
        taken.append(perf_counter() - start)
    return 1000 * median(taken[2:]) / count


def main() -> None:
    """Print a table in Markdown."""
    torch.set_num_threads(1)
    print(f"| network, images, batch | MFLOP forward | {' | '.join(map(str, STACKS))} |\n" + "|---" * 6 + "|")
    small = Images((1, 8, 8), 48)
    for label, network, images in (
        ("MLP", mlp, small), ("convnet", named("convnet"), small), ("resnet9", named("resnet9"), small),
        ("MLP", mlp, Images((1, 28, 28), 64)), ("convnet", named("convnet"), Images((1, 8, 8), 256)),
        ("patch_convnet", named("patch_convnet"), Images((3, 32, 32), 64)),
        ("ResNet-18", named("resnet18"), small), ("convnet", named("convnet"), Images((1, 28, 28), 64)),
    ):  # fmt: skip
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(images)(torch.randn(images.batch, *images.shape))
        forward = counter.get_total_flops()
        cells = [f"{step(network, images, k):.2f}" if k * forward < MOST or k < 3 else "–" for k in STACKS]
        shape = " × ".join(map(str, images.shape[1:]))
        print(f"| {label}, {shape}, {images.batch} | {forward / 1e6:,.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
