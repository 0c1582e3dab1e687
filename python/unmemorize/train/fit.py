"""The one training loop."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from unmemorize.data import Examples, augment
from unmemorize.train.context import Context
from unmemorize.train.recipes import Recipe, resolve
from unmemorize.train.recorder import Recorder
from unmemorize.train.resume import Resume, identity


def fit(
    model: nn.Module, examples: Examples, recipe: str | Recipe, ctx: Context, *, events: Recorder | None = None
) -> nn.Module:
    """Train `model` in place on `examples`.

    With `ctx.run_dir` the state is kept there every `ctx.save_every` seconds; called again after it was killed, it goes
    on from there and ends with the bits of an undisturbed run (on a CPU).

    Args:
        model: any classifier; it is moved to the device of `ctx`.
        examples: what to train on.
        recipe: a name from `RECIPES`, or a `Recipe`.
        ctx: device, precision, seed, progress.
        events: `LearningEvents`, or another `Recorder` of what the model says of each example: in mode "train" from the
            forward pass of the training step itself, in mode "eval" from one pass over the examples, not augmented,
            after each epoch.

    Returns:
        The same model, in eval mode.

    Raises:
        ValueError: no examples, a label that the network has no output for, or label smoothing beside a criterion.
        DivergedError: the loss is not finite; the last state in `ctx.run_dir` is kept.

    Example:
        >>> from unmemorize.data import load
        >>> from unmemorize.models import build
        >>> digits, ctx = load("digits"), Context(device="cpu", progress=False)
        >>> recipe = Recipe("convnet", epochs=2, lr=0.03, batch_size=48)
        >>> model = fit(build("convnet", digits), digits.train, recipe, ctx)
        >>> ctx.accuracy(model, digits.test) > 0.9
        True
    """
    recipe = resolve(recipe)
    model.to(ctx.device)
    examples = examples.to(ctx.device)
    _check(model, examples, ctx)
    optimizer = recipe.optimizer_for(model)
    saved = None
    if ctx.run_dir is not None:
        saved = Resume(ctx, model, optimizer, events, identity(model, examples, recipe, ctx, events))
    for epoch in ctx.epochs(recipe.epochs, "training", start=saved.load() if saved else 0):
        _epoch(model, examples, recipe, ctx, optimizer, events, epoch)
        if events is not None and events.mode == "eval":
            events.update(examples.ids, ctx.logits(model, examples), examples.labels, epoch=epoch)
        if saved:
            ctx.check()  # what did not stay finite must not be gone on from
            saved.save(epoch + 1, last=epoch + 1 == recipe.epochs)
    return model.eval()


def _epoch(
    model: nn.Module,
    examples: Examples,
    recipe: Recipe,
    ctx: Context,
    optimizer: Optimizer,
    events: Recorder | None,
    epoch: int,
) -> None:
    model.train()
    steps = -(-len(examples) // recipe.batch_size)
    for step, batch in enumerate(ctx.batches(examples, batch_size=recipe.batch_size)):
        logits = descend(model, batch, recipe, ctx, optimizer, (epoch + (step + 0.5) / steps) / recipe.epochs)
        if events is not None and events.mode == "train":
            events.update(batch.ids, logits, batch.labels, epoch=epoch)


def descend(
    model: nn.Module,
    batch: Examples,
    recipe: Recipe,
    ctx: Context,
    optimizer: Optimizer,
    t: float,
    *,
    networks: int = 1,
) -> Tensor:
    """One step at the share `t` of a training of one network, or of several as one; its logits."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr_at(t)
    logits = ctx.forward(model, augment(batch.images, recipe.augment, ctx.generator))
    ctx.step(optimizer, networks * criterion_of(recipe, ctx)(logits, batch.labels))
    return logits.detach()


def criterion_of(recipe: Recipe, ctx: Context) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy with the recipe's label smoothing, or the user's own loss.

    Raises:
        ValueError: the recipe smooths labels, which the user's own loss would not.
    """
    if ctx.criterion is cross_entropy:
        return partial(cross_entropy, label_smoothing=recipe.label_smoothing)
    if recipe.label_smoothing:
        raise ValueError(f"label_smoothing: expected 0 beside a criterion of your own, got {recipe.label_smoothing}")
    return ctx.criterion


def _check(model: nn.Module, examples: Examples, ctx: Context) -> None:
    if not len(examples):
        raise ValueError("examples: expected at least 1 to train on, got 0")
    outputs = ctx.logits(model, examples.take([0])).shape[1]
    for label in torch.stack([examples.labels.min(), examples.labels.max()]).tolist():
        if not 0 <= label < outputs:
            raise ValueError(f"labels: {label} is out of range for a network of {outputs} outputs")
