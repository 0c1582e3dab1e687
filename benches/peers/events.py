"""Learning events: ten statistics of every row of logits, added to the running sums of its example."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import aum
import numpy as np
import torch
import traintools
import unmemorize as um

from .work import Peer, Work

LOGITS = 1 << 19  # that NumPy and torch in blocks work on at a time, so that temporaries stay in the cache
MEANS = ("confidence", "max_confidence", "entropy", "accuracy", "loss", "margin", "el2n")


@dataclass(frozen=True)
class Epochs:
    """The batches (ids, logits, labels) of two epochs, as tensors that share their memory with arrays."""

    n: int
    batches: list[tuple[torch.Tensor, ...]]


def epochs(random: np.random.Generator, n: int, classes: int, batch: int) -> Epochs:
    """Logits of a half-trained network: the label's is raised by about two standard deviations of the others."""
    labels = random.integers(classes, size=n)
    found = []
    for _ in range(2):
        ids = random.permutation(n)
        logits = random.standard_normal((n, classes), dtype=np.float32) * 2
        own = (np.arange(n), labels[ids])
        logits[own] += random.standard_normal(n, dtype=np.float32) * 3 + 3
        tied = (logits == logits[own][:, None]).sum(1) > 1  # where argmax and the sign of the margin may differ
        logits[own] -= tied
        parts = [slice(i, i + batch) for i in range(0, n, batch)]
        found += [tuple(torch.from_numpy(x[p]) for x in (ids, logits, labels[ids])) for p in parts]
    return Epochs(n, found)


def ours(inputs: Epochs) -> Any:
    events = um.LearningEvents(inputs.n)

    def two_epochs() -> Any:
        for ids, logits, labels in inputs.batches:
            events.update(ids, logits, labels)
        return events.scores

    return two_epochs


def numpy_outcomes(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(b, 7), in f32 as the logits are. Classes in front where they are few, so that vectors are full."""
    rows = np.arange(len(labels))
    target = z[rows, labels]
    axis = 0 if z.shape[1] <= 128 else 1
    z, at = (np.array(z.T, order="C"), (labels, rows)) if axis == 0 else (z.copy(), (rows, labels))
    z[at] = -np.inf
    other = z.max(axis)
    top = np.maximum(target, other)
    z -= top if axis == 0 else top[:, None]
    z[at] = 0
    e = np.exp(z)
    e[at] = 0
    own, e_own = target - top, np.exp(target - top)
    dot = "cb,cb->b" if axis == 0 else "bc,bc->b"
    rest = e.sum(axis)
    total = rest + e_own
    log_total, p = np.log(total), e_own / total
    entropy = log_total - (np.einsum(dot, e, z) + e_own * own) / total
    el2n = np.sqrt(np.einsum(dot, e, e) + rest * rest) / total
    return np.stack([p, np.exp(-log_total), entropy, target > other, log_total - own, target - other, el2n], axis=1)


def torch_outcomes(z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same in torch."""
    at = labels[:, None]
    target = z.gather(1, at)[:, 0]
    z = z.scatter(1, at, -torch.inf)
    other = z.amax(1)
    top = torch.maximum(target, other)
    z.sub_(top[:, None]).scatter_(1, at, 0.0)
    e = z.exp().scatter_(1, at, 0.0)
    own, e_own = target - top, (target - top).exp()
    rest = e.sum(1)
    total = rest + e_own
    log_total, p = total.log(), e_own / total
    entropy = log_total - (z.mul_(e).sum(1) + e_own * own) / total
    el2n = (e.square_().sum(1) + rest * rest).sqrt() / total
    right = (target > other).float()
    return torch.stack([p, (-log_total).exp(), entropy, right, log_total - own, target - other, el2n], dim=1)


def blocks(batch: tuple[torch.Tensor, ...], logits: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """The batch in parts of so many logits."""
    rows = max(1, logits // batch[1].shape[1])
    return zip(*(x.split(rows) for x in batch), strict=True)


def plain_numpy(inputs: Epochs, logits: int = sys.maxsize) -> Any:
    sums, seen, flips = np.zeros((inputs.n, 8)), np.zeros(inputs.n, np.int64), np.zeros(inputs.n)
    last, first = np.zeros(inputs.n, bool), np.full(inputs.n, np.inf)

    def two_epochs() -> Any:
        for batch in inputs.batches:
            for part in blocks(batch, logits):
                ids, z, labels = (x.numpy() for x in part)
                outcome = numpy_outcomes(z, labels)
                right = outcome[:, 3] > 0
                sums[ids] += np.column_stack([outcome, outcome[:, 0].astype(np.float64) ** 2])
                flips[ids] += last[ids] & ~right
                first[ids] = np.minimum(first[ids], np.where(right, seen[ids], np.inf))
                last[ids] = right
                seen[ids] += 1
        return lambda: scores(sums, seen, flips, first)

    return two_epochs


def plain_torch(inputs: Epochs, logits: int = sys.maxsize) -> Any:
    n = inputs.n
    sums, seen, flips = torch.zeros(n, 8, dtype=torch.float64), torch.zeros(n, dtype=torch.int64), torch.zeros(n)
    last, first = torch.zeros(n, dtype=torch.bool), torch.full((n,), torch.inf)

    def two_epochs() -> Any:
        for batch in inputs.batches:
            for ids, z, labels in blocks(batch, logits):
                outcome = torch_outcomes(z, labels)
                right = outcome[:, 3] > 0
                sums.index_add_(0, ids, torch.cat([outcome.double(), outcome[:, :1].double().square()], dim=1))
                flips[ids] += last[ids] & ~right
                first[ids] = torch.minimum(first[ids], torch.where(right, seen[ids], torch.inf))
                last[ids] = right
                seen[ids] += 1
        return lambda: scores(*(x.numpy() for x in (sums, seen, flips, first)))

    return two_epochs


def scores(sums: np.ndarray, seen: np.ndarray, flips: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
    """What `LearningEvents.scores` gives, of the sums."""
    mean = sums / seen[:, None]
    found = dict(zip(MEANS, mean.T, strict=False))
    found["variability"] = np.sqrt(np.maximum(mean[:, 7] - mean[:, 0] ** 2, 0))
    found["forgetting_events"] = np.where(np.isinf(first), np.inf, flips)
    found["first_learned"] = first
    return found


def aum_package(inputs: Epochs) -> Any:
    """Margins only; its results are Python numbers in a dictionary."""
    calculator = aum.AUMCalculator(".")

    def two_epochs() -> Any:
        for ids, logits, labels in inputs.batches:
            calculator.update(logits, labels, ids.tolist())
        sums, counts = calculator.sums, calculator.counts
        return lambda: {"margin": np.array([sums[i] / counts[i] for i in range(inputs.n)])}

    return two_epochs


def traintools_package(inputs: Epochs) -> Any:
    """Confidence, accuracy and forgetting; its results are Python objects in a dictionary."""
    tracker = traintools.ExampleDynamicsTracker()

    def two_epochs() -> Any:
        for ids, logits, labels in inputs.batches:
            tracker.update(ids, logits, labels)
        examples = tracker.examples
        return lambda: {"confidence": np.array([examples[i].mean_confidence for i in range(inputs.n)])}

    return two_epochs


def moved(n: int, classes: int, batch: int) -> float:
    """Of an update: logits, id and label in; 80 bytes of state in and out."""
    return batch * (4 * classes + 16 + 160)


def epoch_of(n: int, classes: int, least: float) -> Work:
    peers = {"NumPy": Peer(plain_numpy, least=least), "torch": Peer(plain_torch, least=least)}
    if n * classes > LOGITS:
        for name, plain in (("NumPy", plain_numpy), ("torch", plain_torch)):
            peers[f"{name}, in blocks"] = Peer(partial(plain, logits=LOGITS), least=least)
    else:
        peers |= {"aum": Peer(aum_package), "traintools": Peer(traintools_package)}
    quick = {"n": 300, "classes": classes, "batch": 300}
    size = {"n": n, "classes": classes, "batch": n}
    name = f"events, {n:,} x {classes:,}"
    return Work(name, epochs, size, quick, ours, peers, moved, per_call=lambda **size: 2, best_of=True, tolerance=2e-5)


WORKS = (
    epoch_of(50_000, 10, 10),
    epoch_of(50_000, 100, 10),
    epoch_of(20_000, 1000, 8),
    Work(
        "events, update of 128 x 10",
        epochs,
        {"n": 50_000, "classes": 10, "batch": 128},
        {"n": 300, "classes": 10, "batch": 128},
        ours,
        {"NumPy": Peer(plain_numpy, least=5), "torch": Peer(plain_torch, least=5), "aum": Peer(aum_package)},
        moved,
        per_call=lambda n, classes, batch: 2 * -(-n // batch),
        best_of=True,
        tolerance=2e-5,
    ),
)
