"""Memorization and influence from the bits of an ensemble."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import unmemorize as um
from scipy import stats
from unmemorize.ensemble import estimators

from .work import Peer, Work, stateless

SPLITS = 20  # halvings
SLICE = 20  # the published formula gets one in so many test examples: on all of them it needs 8 GB


@dataclass(frozen=True)
class Ensemble:
    """bool (T, n) and (T, m or n), and the same packed."""

    member: np.ndarray
    correct: np.ndarray
    packed: tuple[um.BitMatrix, um.BitMatrix]
    k: int = 0


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
        error = jeffreys(both, n_in, right, models)
    return {"score": score, "std_error": np.where(np.isnan(score), np.nan, error)}


def jeffreys(both: Any, n_in: Any, right: Any, models: int) -> Any:
    """The standard error alone, of arrays or tensors."""
    n_out = models - n_in
    q_in, q_out = (both + 0.5) / (n_in + 1), (right - both + 0.5) / (n_out + 1)
    return (q_in * (1 - q_in) / n_in + q_out * (1 - q_out) / n_out) ** 0.5


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


# split-half reliability


def halves(inputs: Ensemble) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which models are in the first half, and which are not; SPLITS times."""
    random = np.random.default_rng(0)
    for _ in range(SPLITS):
        first = random.permutation(len(inputs.member)) < len(inputs.member) // 2
        yield first, ~first


def numpy_reliability(inputs: Ensemble) -> float:
    """Scores of each half, from the rows that are its own; Spearman's correlation of them, stepped up."""
    found = []
    for pair in halves(inputs):
        own = (Ensemble(inputs.member[half], inputs.correct[half], inputs.packed) for half in pair)
        scores = [numpy_memorization(rows)["score"] for rows in own]
        known = ~np.isnan(scores).any(0)
        found.append(np.corrcoef(*(stats.rankdata(score[known]) for score in scores))[0, 1])
    r = np.array(found)
    return (2 * r / (1 + r)).mean()


def torch_ranks(x: torch.Tensor) -> torch.Tensor:
    """Average ranks."""
    _, place, count = torch.unique(x, return_inverse=True, return_counts=True)
    return (count.cumsum(0) - (count - 1) / 2).double()[place]


def torch_reliability(inputs: Ensemble) -> float:
    """Counts of all halves by three products in f32, which are exact."""
    member, correct = (torch.from_numpy(x).float() for x in (inputs.member, inputs.correct))
    first = torch.tensor(np.stack([first for first, _ in halves(inputs)])).float()
    counts = [(first @ x, x.sum(0)) for x in (member * correct, member, correct)]
    found = []
    for split in range(SPLITS):
        scores = []
        for sums in ([half[split] for half, _ in counts], [whole - half[split] for half, whole in counts]):
            both, n_in, right = (x.double() for x in sums)
            scores.append(both / n_in - (right - both) / (len(member) // 2 - n_in))
        known = torch.stack(scores).isfinite().all(0)
        r = torch.corrcoef(torch.stack([torch_ranks(score[known]) for score in scores]))[0, 1]
        found.append(2 * r / (1 + r))
    return float(sum(found) / SPLITS)


# memorization by how sure the models are


def confidences(random: np.random.Generator, models: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """bool (T, n), and f16 (T, n)."""
    return random.random((models, n)) < 0.7, random.beta(4, 1, (models, n)).astype(np.float16)


def ours_soft(inputs: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    found = um.soft_memorization(*inputs)
    return {"score": found.score, "std_error": found.std_error}


def from_moments(sums: Any, squares: Any, counts: Any) -> dict[str, np.ndarray]:
    """Of both sides: the difference of means and its standard error."""
    mean = [total / n for total, n in zip(sums, counts, strict=True)]
    variance = [(s / n - m * m) / (n - 1) for s, n, m in zip(squares, counts, mean, strict=True)]
    return {"score": mean[0] - mean[1], "std_error": (variance[0] + variance[1]) ** 0.5}


def numpy_soft(inputs: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Model by model, so that what is added stays in the cache."""
    member, confidence = inputs
    inside, whole = np.zeros((2, 2, member.shape[1]))
    for seen, model in zip(member, confidence, strict=True):
        p = model.astype(np.float64)
        for k, power in enumerate((p, p * p)):
            whole[k] += power
            inside[k] += power * seen
    n_in = member.sum(0)
    return from_moments(*zip(inside, whole - inside, strict=True), (n_in, len(member) - n_in))


def torch_soft(inputs: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    member, confidence = map(torch.from_numpy, inputs)
    inside, whole = torch.zeros((2, 2, member.shape[1]), dtype=torch.float64)
    for seen, model in zip(member, confidence, strict=True):
        p = model.double()
        for k, power in enumerate((p, p * p)):
            whole[k] += power
            inside[k] += power * seen
    n_in = member.sum(0)
    found = from_moments(*zip(inside, whole - inside, strict=True), (n_in, len(member) - n_in))
    return {name: value.numpy() for name, value in found.items()}


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


def numpy_errors(inputs: Ensemble) -> np.ndarray:
    """The counts by one product in f32, which are exact; then the formula in f64."""
    member, test = inputs.member.astype(np.float32), inputs.correct.astype(np.float32)
    both, n_in, right = (x.astype(np.float64) for x in (test.T @ member, member.sum(0), test.sum(0)))
    return jeffreys(both, n_in, right[:, None], len(member))


def torch_errors(inputs: Ensemble) -> np.ndarray:
    member, test = (torch.from_numpy(x).float() for x in (inputs.member, inputs.correct))
    both, n_in, right = (x.double() for x in (test.T @ member, member.sum(0), test.sum(0)))
    return jeffreys(both, n_in, right[:, None], len(member)).numpy()


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
        "reliability, 400 x 50,000, 20 halvings",
        ensemble,
        {"models": 400, "n": 50_000},
        {"models": 64, "n": 1000},
        stateless(lambda inputs: um.ensemble.reliability(*inputs.packed, splits=SPLITS).value),
        {"NumPy": Peer(stateless(numpy_reliability)), "torch": Peer(stateless(torch_reliability))},
        bits,
        lambda models, n: 3 * words(models, n) * (1 + SPLITS / 2),
        tolerance=0.03,  # each halves in its own way
    ),
    Work(
        "soft memorization, 100 x 50,000, f16",
        confidences,
        {"models": 100, "n": 50_000},
        {"models": 64, "n": 100},
        stateless(ours_soft),
        {"NumPy": Peer(stateless(numpy_soft)), "torch": Peer(stateless(torch_soft))},
        lambda models, n: 3 * models * n + 32 * n,
        tolerance=1e-9,
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
        "errors of influence, T = 400, 10,000 x 1,000",
        ensemble,
        {"models": 400, "n": 10_000, "m": 1000},
        {"models": 64, "n": 100, "m": 40},
        stateless(lambda inputs: um.ensemble.influence_std_error(inputs.member, inputs.correct)),
        {"NumPy, f32 BLAS": Peer(stateless(numpy_errors)), "torch, f32": Peer(stateless(torch_errors))},
        lambda models, n, m: 8 * bits(models, n, m) + 8 * n * m,
        words,
        tolerance=1e-9,
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
