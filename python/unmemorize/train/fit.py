"""The one training loop."""

import hashlib

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from unmemorize.data import Examples, augment
from unmemorize.events import LearningEvents
from unmemorize.train.context import Context, DivergedError
from unmemorize.train.recipes import Recipe, resolve
from unmemorize.train.resume import Resume


def fit(
    model: nn.Module, examples: Examples, recipe: str | Recipe, ctx: Context, *, events: LearningEvents | None = None
) -> nn.Module:
    """Train `model` in place on `examples`.

    With `ctx.run_dir` the state is kept there every `ctx.save_every` seconds; called again after it was killed, it goes
    on from there and ends with the bits of an undisturbed run (on a CPU).

    Args:
        model: any classifier; it is moved to the device of `ctx`.
        examples: what to train on.
        recipe: a name from `RECIPES`, or a `Recipe`.
        ctx: device, precision, seed, progress.
        events: records what the model says of each example: in mode "train" from the forward pass of the training step
            itself, in mode "eval" from one pass over the examples after each epoch.

    Returns:
        The same model.

    Raises:
        ValueError: no examples, or a label that the network has no output for.
        DivergedError: the loss is not finite; the last state in `ctx.run_dir` is kept.
    """
    plan = resolve(recipe)
    model.to(ctx.device)
    examples = examples.to(ctx.device)
    _check(model, examples, ctx)
    optimizer = plan.optimizer_for(model)
    with torch.random.fork_rng(devices=[ctx.device] if torch.device(ctx.device).type == "cuda" else []):
        torch.manual_seed(ctx.seed)
        resume = Resume(
            ctx, model, optimizer, events, {"recipe": plan.hash, "examples": _hash(examples), "seed": ctx.seed}
        )
        for epoch in ctx.epochs(plan.epochs, "training", start=resume.epoch):
            model.train()
            try:
                _epoch(model, examples, plan, ctx, optimizer, events, epoch)
            except DivergedError as error:
                raise DivergedError(f"epoch {epoch}, {error}") from None
            if events is not None and events.mode == "eval":
                events.update(examples.ids, ctx.logits(model, examples), examples.labels, epoch=epoch)
            resume.after(epoch, last=epoch + 1 == plan.epochs)
    return model.eval()


def _epoch(
    model: nn.Module,
    examples: Examples,
    plan: Recipe,
    ctx: Context,
    optimizer: torch.optim.Optimizer,
    events: LearningEvents | None,
    epoch: int,
) -> None:
    steps = -(-len(examples) // plan.batch_size)
    for step, batch in enumerate(ctx.batches(examples, batch_size=plan.batch_size)):
        lr = plan.lr_at((epoch + (step + 0.5) / steps) / plan.epochs)
        for group in optimizer.param_groups:
            group["lr"] = lr
        logits = ctx.forward(model, augment(batch.images, plan.augment, ctx.generator))
        ctx.step(optimizer, cross_entropy(logits, batch.labels, label_smoothing=plan.label_smoothing))
        if events is not None and events.mode == "train":
            events.update(batch.ids, logits.detach(), batch.labels, epoch=epoch)


def _check(model: nn.Module, examples: Examples, ctx: Context) -> None:
    if not len(examples):
        raise ValueError("examples: expected at least 1 to train on, got 0")
    n_outputs = ctx.logits(model, examples.take(torch.zeros(1, dtype=torch.int64))).shape[1]
    highest = int(examples.labels.max())
    if highest >= n_outputs:
        raise ValueError(f"labels: {highest} is out of range for a network of {n_outputs} outputs")


def _hash(examples: Examples) -> str:
    digest = hashlib.sha256(examples.ids.cpu().numpy().tobytes())
    digest.update(examples.labels.cpu().numpy().tobytes())
    return digest.hexdigest()
