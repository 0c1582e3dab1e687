"""Training several networks at once, each on its own subset."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from unmemorize.data import Examples
from unmemorize.models import Stacked
from unmemorize.train.context import Context
from unmemorize.train.fit import descend
from unmemorize.train.recipes import Recipe, resolve
from unmemorize.train.recorder import Recorder


def fit_stacked(
    networks: Sequence[nn.Module],
    examples: Examples,
    subsets: Sequence[Tensor],
    recipe: str | Recipe,
    ctx: Context,
    *,
    seeds: Sequence[int],
    events: Sequence[Recorder] | None = None,
) -> Stacked:
    """Train each of `networks` on its subset of `examples`, all in the same steps.

    A network sees the batches that its own seed draws, whatever networks it is stacked with; augmentation draws from
    `ctx` for all. An epoch has as many examples as the smallest subset: of a larger one some sit out, others each time.

    Args:
        networks: of one architecture.
        examples: the whole training set.
        subsets: positions in `examples`, int64, one tensor for each network.
        recipe: a name from `RECIPES`, or a `Recipe`.
        ctx: device, precision, seed of the augmentation, progress.
        seeds: of the order of batches, one for each network.
        events: one `LearningEvents` for each network, of mode "train".

    Returns:
        All of them as one, in eval mode.

    Raises:
        ValueError: no examples to train on, or events of mode "eval".
        DivergedError: a loss is not finite.
        TypeError: the networks cannot be stacked.
    """
    recipe = resolve(recipe)
    examples = examples.to(ctx.device)
    size = min(len(subset) for subset in subsets)
    if not size:
        raise ValueError("subsets: expected at least 1 example in each, got 0")
    if any(record.mode != "train" for record in events or ()):
        raise ValueError("events: a stack records the forward pass of its steps; give it events of mode 'train'")
    stacked = Stacked(networks).to(ctx.device).train()
    optimizer = recipe.optimizer_for(stacked)
    draws = [Generator().manual_seed(seed) for seed in seeds]
    steps = -(-size // recipe.batch_size)
    for epoch in ctx.epochs(recipe.epochs, "training"):
        orders = [
            subset[torch.randperm(len(subset), generator=draw)[:size]]
            for subset, draw in zip(subsets, draws, strict=True)
        ]
        for step, positions in enumerate(torch.stack(orders).tensor_split(steps, dim=1)):
            batch = examples.take(positions.flatten())
            t = (epoch + (step + 0.5) / steps) / recipe.epochs
            logits = descend(stacked, batch, recipe, ctx, optimizer, t, networks=len(networks))
            for k, record in enumerate(events or ()):
                own = slice(k * positions.shape[1], (k + 1) * positions.shape[1])
                record.update(batch.ids[own], logits[own], batch.labels[own], epoch=epoch)
    return stacked.eval()
