"""Memorization and influence from the bits of an ensemble."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import unmemorize as um
from unmemorize.ensemble import estimators

from .work import Peer, Work, stateless

SLICE = 20  # the published formula gets one in so many test examples: on all of them it needs 8 GB


@dataclass(frozen=True)
class Ensemble:
    """bool (T, n) and (T, m or n), and the same packed."""

    member: np.ndarray
    correct: np.ndarray
    packed: tuple[um.BitMatrix, um.BitMatrix]
    k: int


def ensemble(random: np.random.Generator, models: int, n: int, m: int = 0, k: int = 0) -> Ensemble:
    """Subsets of 70%; an example is right with its own probability, a training example more often if it is a member."""
    member = random.random((models, n), dtype=np.float32) < 0.7
    easy = random.beta(4, 1, size=m or n).astype(np.float32)
    gain = 0.0 if m else np.float32(0.3) * member
    correct = random.random((models, m or n), dtype=np.float32) < easy + gain
    return Ensemble(member, correct, (um.BitMatrix.pack(member), um.BitMatrix.pack(correct)), k)


# memorization with standard errors


def from_counts(both: np.ndarray, n_in: np.ndarray, right: np.ndarray, models: int) -> dict[str, np.ndarray]:
    """Score and Jeffreys standard error of each example."""
    n_out, right_out = models - n_in, right - both
    with np.errstate(invalid="ignore", divide="ignore"):
        score = both / n_in - right_out / n_out
        q_in, q_out = (both + 0.5) / (n_in + 1), (right_out + 0.5) / (n_out + 1)
        error = np.sqrt(q_in * (1 - q_in) / n_in + q_out * (1 - q_out) / n_out)
    return {"score": score, "std_error": np.where(np.isnan(score), np.nan, error)}


def ours_memorization(member: Any, correct: Any) -> dict[str, np.ndarray]:
    found = um.memorization(member, correct)
    return {"score": found.score, "std_error": found.std_error}


def numpy_memorization(inputs: Ensemble) -> dict[str, np.ndarray]:
    """Sums of 255 rows at a time in uint8, which fill the vectors: several times as fast as `sum(0)`."""
    member, correct = inputs.member.view(np.uint8), inputs.correct.view(np.uint8)
    counts = np.zeros((3, member.shape[1]), np.int64)
    for start in range(0, len(member), 255):
        a, b = member[start : start + 255], correct[start : start + 255]
        for total, rows in zip(counts, (a & b, a, b), strict=True):
            total += rows.sum(0, dtype=np.uint8)
    return from_counts(*counts, len(member))


def numpy_sum(inputs: Ensemble) -> dict[str, np.ndarray]:
    """As most would write it."""
    member, correct = inputs.member, inputs.correct
    return from_counts((member & correct).sum(0), member.sum(0), correct.sum(0), len(member))


def torch_memorization(inputs: Ensemble) -> dict[str, np.ndarray]:
    member, correct = torch.from_numpy(inputs.member), torch.from_numpy(inputs.correct)
    counts = ((member & correct).sum(0), member.sum(0), correct.sum(0))
    return from_counts(*(c.numpy() for c in counts), len(member))


def ours_c_score(inputs: Ensemble) -> np.ndarray:
    return um.ensemble.c_score(*inputs.packed)


def numpy_c_score(inputs: Ensemble) -> np.ndarray:
    outside = ~inputs.member
    with np.errstate(invalid="ignore"):
        return (outside & inputs.correct).sum(0) / outside.sum(0)


# what the others say


def planes(random: np.random.Generator, models: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """bool (T, n), and f16 (T, n, C) that sum to 1."""
    probs = random.random((models, n, classes), dtype=np.float32)
    return random.random((models, n)) < 0.7, (probs / probs.sum(-1, keepdims=True)).astype(np.float16)


def ours_others(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return estimators.out_of_sample(*inputs)


def numpy_others(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Model by model, so that no plane is held in f64 but one."""
    member, probs = inputs
    total = np.zeros(probs.shape[1:])
    for inside, plane in zip(member, probs, strict=True):
        total += plane * ~inside[:, None]
    with np.errstate(invalid="ignore"):
        return total / (~member).sum(0)[:, None]


def torch_others(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    member, probs = map(torch.from_numpy, inputs)
    total = torch.zeros(probs.shape[1:], dtype=torch.float64)
    for inside, plane in zip(member, probs, strict=True):
        total += plane * ~inside[:, None]
    return (total / (~member).sum(0)[:, None]).numpy()


# influence


def shares(both: Any, n_in: Any, right: Any, models: int) -> Any:
    """Influence (m, n) from in-counts, in place."""
    inverse_in, inverse_out = 1 / n_in, 1 / (models - n_in)
    both *= inverse_in + inverse_out
    both -= right[:, None] * inverse_out
    return both


def numpy_influence(inputs: Ensemble) -> np.ndarray:
    """One product in f32 by BLAS: P[j | in] - P[j | out] = both (1 / n_in + 1 / n_out) - right / n_out."""
    member, test = inputs.member.astype(np.float32), inputs.correct.astype(np.float32)
    return shares(test.T @ member, member.sum(0), test.sum(0), len(member))


def torch_influence_int8(inputs: Ensemble) -> torch.Tensor:
    """One product of int8 with int32 sums."""
    member, test = (torch.from_numpy(x.view(np.int8)) for x in (inputs.member, inputs.correct))
    both = torch._int_mm(test.T.contiguous(), member).float()
    return shares(both, member.sum(0).float(), test.sum(0).float(), len(member))


def torch_influence_f32(inputs: Ensemble) -> torch.Tensor:
    member, test = (torch.from_numpy(x).float() for x in (inputs.member, inputs.correct))
    return shares(test.T @ member, member.sum(0), test.sum(0), len(member))


def published_influence(member: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Feldman & Zhang's: a masked mean over the members minus one over the others, two products."""

    def mean_over(mask: np.ndarray) -> np.ndarray:
        total = np.matmul(test.T.astype(np.float32), mask)
        return (total / np.maximum(mask.sum(0, keepdims=True), 1e-10)).astype(np.float32)

    return mean_over(member) - mean_over(~member)


def part(inputs: Ensemble) -> np.ndarray:
    """One in SLICE of the test examples, (T, m / SLICE)."""
    return inputs.correct[:, : -(-inputs.correct.shape[1] // SLICE)]


def published_topk(inputs: Ensemble) -> np.ndarray:
    """The values, largest first; ids of ties are open."""
    dense = published_influence(inputs.member, part(inputs))
    ids = np.argpartition(-dense, inputs.k - 1, axis=1)[:, : inputs.k]
    return -np.sort(-np.take_along_axis(dense, ids, axis=1), axis=1)


def torch_topk(inputs: Ensemble) -> np.ndarray:
    """One product in f32, then topk: in blocks of this size it would also do all test examples in bounded memory."""
    member, test = (torch.from_numpy(x).float() for x in (inputs.member, part(inputs)))
    dense = shares(test.T @ member, member.sum(0), test.sum(0), len(member))
    return dense.topk(inputs.k).values.numpy()


def words(models: int, n: int, m: int = 0, k: int = 0) -> float:
    """Words of 64 models, for each pair."""
    return n * (m or 1) * -(-models // 64)


def bits(models: int, n: int, m: int = 0, k: int = 0) -> float:
    """Bytes of both matrices, packed."""
    return models * (n + (m or n)) / 8


WORKS = (
    Work(
        "memorization with errors, 4,000 x 50,000, packed",
        ensemble,
        {"models": 4000, "n": 50_000},
        {"models": 64, "n": 100},
        stateless(lambda inputs: ours_memorization(*inputs.packed)),
        {
            "NumPy on bool, sum(0)": Peer(stateless(numpy_sum), least=20),
            "NumPy on bool, uint8 sums": Peer(stateless(numpy_memorization), least=20),
            "torch on bool": Peer(stateless(torch_memorization)),
        },
        lambda models, n: bits(models, n) + 32 * n,
        lambda models, n: 3 * words(models, n),
        tolerance=1e-12,
    ),
    Work(
        "memorization with errors, 4,000 x 50,000, from bool",
        ensemble,
        {"models": 4000, "n": 50_000},
        {"models": 64, "n": 100},
        stateless(lambda inputs: ours_memorization(inputs.member, inputs.correct)),
        {"NumPy on bool, uint8 sums": Peer(stateless(numpy_memorization))},
        lambda models, n: 8 * bits(models, n) + 32 * n,
        lambda models, n: 3 * words(models, n),
        tolerance=1e-12,
    ),
    Work(
        "C-score, 4,000 x 50,000, packed",
        ensemble,
        {"models": 4000, "n": 50_000},
        {"models": 64, "n": 100},
        stateless(ours_c_score),
        {"NumPy on bool": Peer(stateless(numpy_c_score))},
        lambda models, n: bits(models, n) + 8 * n,
        lambda models, n: 3 * words(models, n),
        tolerance=1e-12,
    ),
    Work(
        "out of sample, 10 x 50,000 x 10, f16",
        planes,
        {"models": 10, "n": 50_000, "classes": 10},
        {"models": 4, "n": 100, "classes": 3},
        stateless(ours_others),
        {"NumPy": Peer(stateless(numpy_others)), "torch": Peer(stateless(torch_others))},
        lambda models, n, classes: models * n * (2 * classes + 1) + 8 * n * classes,
        tolerance=1e-9,
    ),
    Work(
        "influence, T = 2,000, 10,000 x 5,000, dense",
        ensemble,
        {"models": 2000, "n": 10_000, "m": 5000},
        {"models": 64, "n": 100, "m": 40},
        stateless(lambda inputs: um.influence(inputs.member, inputs.correct)),
        {
            "NumPy, f32 BLAS": Peer(stateless(numpy_influence), least=30),
            "torch, f32": Peer(stateless(torch_influence_f32), least=30),
            "torch, int8": Peer(stateless(torch_influence_int8), least=12),
        },
        lambda models, n, m: 8 * bits(models, n, m) + 4 * n * m,
        words,
        tolerance=1e-5,
    ),
    Work(
        "influence, T = 400, 50,000 x 10,000, top 100",
        ensemble,
        {"models": 400, "n": 50_000, "m": 10_000, "k": 100},
        {"models": 64, "n": 200, "m": 40, "k": 5},
        stateless(lambda inputs: um.influence_topk(inputs.member, inputs.correct, inputs.k)[1]),
        {
            "published NumPy": Peer(stateless(published_topk), share=1 / SLICE, least=20),
            "torch, f32 and topk": Peer(stateless(torch_topk), share=1 / SLICE),
        },
        lambda models, n, m, k: 8 * bits(models, n, m) + 12 * m * k,
        words,
        tolerance=1e-5,
        memory_limit=300,
    ),
)
