"""How much a model changes its mind on an example when it goes on training without it."""

import copy
import math
import warnings
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from unmemorize.data import Data, Examples
from unmemorize.proxies.cost import spend
from unmemorize.proxies.inputs import ready, still
from unmemorize.proxies.passes import Pass
from unmemorize.train import Context
from unmemorize.train.resume import Resume

Holdout = Literal["val", "test"]
PATIENCE = 4  # epochs without improvement after which training stops


def holdout_retraining(
    model: nn.Module, data: Data, ctx: Context, *, lr: float = 0.1, epochs: int = 30, holdout: Holdout = "val"
) -> NDArray[np.float64]:
    """Symmetric KL divergence between the model and a copy that was fine-tuned on examples it had not seen.

    ``1/2 [KL(p || q) + KL(q || p)]``, p and q the eval-mode softmax of the model and of the copy. The copy descends on
    the cross-entropy of the held-out examples (momentum 0.9, weight decay 5e-4, constant rate) until their mean loss of
    an epoch has not been below its best for 4 epochs, or for `epochs`. Cost: of each held-out example one forward and
    one backward pass an epoch, and 2 n forward passes. Memory: O(n C) and two copies of the model.

    Args:
        model: a classifier trained on `data.train`; it is not changed.
        data: the data set.
        ctx: device, precision, batch size, seed of the order of the held-out examples; with `run_dir` what was killed
            goes on.
        lr: published are 0.1 with at most 30 epochs, or 0.001 with at most 500.
        epochs: the most passes over the held-out examples.
        holdout: "val", or "test", which spends the test set: what is measured on it afterwards is no longer held out.

    Returns:
        float64 (n,) in nats, at least 0; higher = more memorized.

    Raises:
        TypeError: labels that are not class indices.
        ValueError: unknown holdout, lr or epochs out of range, no examples, or a label that the network has no output
            for.
        FileExistsError: `ctx.run_dir` holds this proxy of another model, data set, argument or seed.
        DivergedError: the loss is not finite.

    Warns:
        UserWarning: the test set is used.

    Source: Carlini et al. 2019, arXiv 1910.13427; learning rates as in arXiv 2410.16516, which held out the test set.

    Example:
        >>> from unmemorize import data, models
        >>> digits, ctx = data.load("digits"), Context(device="cpu", progress=False)
        >>> score = holdout_retraining(models.build("convnet", digits), digits, ctx, epochs=1)
        >>> bool((score > 0).all())
        True
    """
    if holdout not in get_args(Holdout):
        raise ValueError(f"holdout: expected val or test, got {holdout!r}")
    if not 0 < lr < math.inf or epochs < 1:
        raise ValueError(f"lr, epochs: expected above 0, at least 1, got {lr}, {epochs}")
    if not len(data.parts[holdout]):
        raise ValueError(f"data.{holdout}: expected at least 1 example to fine-tune on, got 0")
    if holdout == "test":
        warnings.warn("the test set is used to score examples; do not evaluate on it afterwards", stacklevel=2)
    ctx = ctx.seeded(ctx.seed)  # random numbers that start from the seed
    before = still(model, ctx)
    data = ready(data, before, ctx)
    held_out, after = data.parts[holdout], copy.deepcopy(before).requires_grad_()
    through = Pass("holdout_retraining", before, data.train, ctx, held_out=held_out, lr=lr, epochs=epochs)
    _fine_tune(after, held_out, lr, epochs, ctx, through.identity)

    def divergence(batch: Examples) -> Tensor:
        spend(forwards=2 * len(batch))
        return symmetric_kl(ctx.logits(before, batch), ctx.logits(after, batch))

    return through.scores(divergence)


def symmetric_kl(logits: Tensor, other: Tensor) -> Tensor:
    """``1/2 [KL(p || q) + KL(q || p)] = 1/2 sum (p - q)(ln p - ln q)`` of each row, float64, in nats."""
    log_p, log_q = log_softmax(logits.double(), 1), log_softmax(other.double(), 1)
    return 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1)


def _fine_tune(model: nn.Module, held_out: Examples, lr: float, epochs: int, ctx: Context, identity: str) -> None:
    optimizer = ctx.sgd(model, lr=lr)
    saved = Resume(ctx, model, optimizer, None, identity) if ctx.run_dir is not None else None
    start = saved.load() if saved else 0
    best, since = saved.notes if saved and start else (math.inf, 0)
    for epoch in ctx.epochs(epochs, "holdout retraining", start=start):
        if since == PATIENCE:
            break
        total = 0.0
        for batch in ctx.batches(held_out):
            if not model.training:
                model.train()
            loss = cross_entropy(ctx.forward(model, batch.images), batch.labels)  # whatever the criterion of `ctx` is
            ctx.step(optimizer, loss)
            total += float(loss.detach()) * len(batch)
        spend(forwards=len(held_out), backwards=len(held_out))
        best, since = (total, 0) if total < best else (best, since + 1)
        if saved:
            ctx.check()  # what did not stay finite must not be gone on from
            saved.notes = best, since
            saved.save(epoch + 1, last=since == PATIENCE or epoch + 1 == epochs)
