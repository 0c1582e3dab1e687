"""Orders and bits: strata, rank correlations, packing."""

import numpy as np
import torch
import unmemorize as um
from scipy import stats

from .work import Peer, Work, stateless

STRATA = 3


# strata


def memorization_scores(random: np.random.Generator, n: int) -> np.ndarray:
    """Many near 0, some near 1, no ties: then a sort that is not stable gives the same strata."""
    return random.beta(0.3, 1, size=n)


def first_positions(n: int) -> list[int]:
    """Where in the order each stratum but the lowest begins; what does not divide goes to the highest."""
    return [n // STRATA * s + max(0, n % STRATA - STRATA + s) for s in range(1, STRATA)]


def numpy_argsort(score: np.ndarray) -> np.ndarray:
    found, order = np.zeros(len(score), np.int64), np.argsort(score)
    for stratum, first in enumerate(first_positions(len(score)), 1):
        found[order[first:]] = stratum
    return found


def torch_sort(score: np.ndarray) -> np.ndarray:
    found, order = torch.zeros(len(score), dtype=torch.int64), torch.from_numpy(score).sort().indices
    for stratum, first in enumerate(first_positions(len(score)), 1):
        found[order[first:]] = stratum
    return found.numpy()


def numpy_partition(score: np.ndarray) -> np.ndarray:
    """Without ties the cuts are enough."""
    first = first_positions(len(score))
    return np.searchsorted(np.partition(score, first)[first], score, side="right")


# Spearman


def columns(random: np.random.Generator, n: int, k: int) -> np.ndarray:
    """f64 (n, k + 1): a target and k proxies of it, rounded so that a thousand values are shared by all."""
    target = random.beta(0.5, 1, size=n)
    noisy = target[:, None] + random.standard_normal((n, k)) * np.linspace(0.1, 2, k)
    return np.round(np.column_stack([target, noisy]) * 250)


def ours_spearman(x: np.ndarray) -> np.ndarray:
    return np.array([found.value for found in um.stats.spearman_columns(x[:, 1:], x[:, 0])])


def scipy_spearman(x: np.ndarray) -> np.ndarray:
    """All pairs of columns, which is how it takes many; only those with the target are used."""
    return stats.spearmanr(x).statistic[0, 1:]


def numpy_spearman(x: np.ndarray) -> np.ndarray:
    """Ranks of each column once, and products with the target's only."""
    ranks = stats.rankdata(x, axis=0)
    ranks -= ranks.mean(0)
    return (ranks[:, 0] @ ranks[:, 1:]) / np.sqrt(
        (ranks[:, 0] @ ranks[:, 0]) * np.einsum("nk,nk->k", *[ranks[:, 1:]] * 2)
    )


# bits


def bools(random: np.random.Generator, models: int, n: int) -> tuple[np.ndarray, um.BitMatrix, np.ndarray]:
    """bool (T, n), packed by each."""
    values = random.random((models, n), dtype=np.float32) < 0.7
    return values, um.BitMatrix.pack(values), np.packbits(values, axis=1, bitorder="little")


def numpy_unpack(values: np.ndarray, packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed, axis=1, count=values.shape[1], bitorder="little").view(bool)


def both_ways(models: int, n: int) -> float:
    return models * n * 9 / 8


WORKS = (
    Work(
        "strata of 10,000,000 scores",
        memorization_scores,
        {"n": 10_000_000},
        {"n": 1001},
        stateless(lambda score: um.strata(score, STRATA)),
        {
            "np.argsort": Peer(stateless(numpy_argsort), least=5),
            "torch.sort": Peer(stateless(torch_sort), least=5),
            "np.partition": Peer(stateless(numpy_partition)),
        },
        lambda n: 16 * n,
    ),
    Work(
        "Spearman, 16 columns of 1,000,000 with ties",
        columns,
        {"n": 1_000_000, "k": 16},
        {"n": 1000, "k": 3},
        stateless(ours_spearman),
        {
            "scipy.stats.spearmanr": Peer(stateless(scipy_spearman), least=5),
            "scipy.stats.rankdata": Peer(stateless(numpy_spearman)),
        },
        lambda n, k: 8 * n * (k + 1),
        tolerance=1e-9,
    ),
    Work(
        "bits, pack 4,000 x 50,000",
        bools,
        {"models": 4000, "n": 50_000},
        {"models": 20, "n": 100},
        stateless(lambda i: um.BitMatrix.pack(i[0]).packed),
        {"np.packbits": Peer(stateless(lambda i: np.packbits(i[0], axis=1, bitorder="little")))},
        both_ways,
    ),
    Work(
        "bits, unpack 4,000 x 50,000",
        bools,
        {"models": 4000, "n": 50_000},
        {"models": 20, "n": 100},
        stateless(lambda i: i[1].unpack()),
        {"np.unpackbits": Peer(stateless(lambda i: numpy_unpack(i[0], i[2])))},
        both_ways,
    ),
)
