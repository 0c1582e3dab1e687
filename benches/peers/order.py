"""Orders and bits: strata, rank correlations, packing."""

from dataclasses import dataclass

import numpy as np
import torch
import unmemorize as um
from scipy import stats
from unmemorize import partition

from .work import Peer, Work, stateless

STRATA = 3
SHUFFLED = 10  # scipy gets one in so many permutations


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


# other cuts of an order


def rounded(random: np.random.Generator, n: int) -> np.ndarray:
    """As memorization scores are published: three decimals, so most are equal to others."""
    return memorization_scores(random, n).round(3)


def nearest_to_half(score: np.ndarray) -> np.ndarray:
    """Without ties the set is enough; ascending."""
    return np.sort(np.argpartition(np.abs(score - 0.5), len(score) // 100)[: len(score) // 100])


# Kendall


def pairs(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    x, noise = random.standard_normal((2, n))
    return np.round(x * 100), np.round((x + noise) * 100)


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


# permutations


@dataclass(frozen=True)
class Shuffles:
    """Pairs that are hardly correlated, rounded, and how often y is shuffled."""

    x: np.ndarray
    y: np.ndarray
    permutations: int


def shuffles(random: np.random.Generator, n: int, permutations: int) -> Shuffles:
    x, noise = random.standard_normal((2, n))
    return Shuffles(np.round(x * 100), np.round((x + 200 * noise) * 10), permutations)


def ours_shuffles(inputs: Shuffles) -> float:
    return um.stats.permutation_p(inputs.x, inputs.y, permutations=inputs.permutations)


def numpy_shuffles(inputs: Shuffles) -> float:
    """The ranks once, then a product with each permutation of them."""
    x, y = (ranks - ranks.mean() for ranks in map(stats.rankdata, (inputs.x, inputs.y)))
    random, strength = np.random.default_rng(0), abs(x @ y) * (1 - 1e-12)
    strong = sum(abs(x @ random.permutation(y)) >= strength for _ in range(inputs.permutations))
    return (1 + strong) / (1 + inputs.permutations)


def torch_shuffles(inputs: Shuffles) -> float:
    x, y = (torch.from_numpy(stats.rankdata(v) - (len(v) + 1) / 2) for v in (inputs.x, inputs.y))
    random, strength = torch.Generator().manual_seed(0), abs(x @ y) * (1 - 1e-12)
    orders = (torch.randperm(len(y), generator=random) for _ in range(inputs.permutations))
    return (1 + sum(abs(x @ y[order]) >= strength for order in orders)) / (1 + inputs.permutations)


def scipy_shuffles(inputs: Shuffles) -> float:
    """Pearson's of the ranks, one permutation at a time: the fastest that fits into the cache."""
    method = stats.PermutationMethod(-(-inputs.permutations // SHUFFLED), batch=1, rng=0)
    ranks = map(stats.rankdata, (inputs.x, inputs.y))
    return stats.pearsonr(*ranks, method=method).pvalue


# bits


def bools(random: np.random.Generator, models: int, n: int) -> tuple[np.ndarray, um.BitMatrix, np.ndarray]:
    """bool (T, n), packed by each."""
    values = random.random((models, n), dtype=np.float32) < 0.7
    return values, um.BitMatrix.pack(values), np.packbits(values, axis=1, bitorder="little")


def numpy_unpack(values: np.ndarray, packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed, axis=1, count=values.shape[1], bitorder="little").view(bool)


def numpy_transpose(packed: np.ndarray, columns: int) -> np.ndarray:
    bits = np.unpackbits(packed, axis=1, count=columns, bitorder="little")
    return np.packbits(bits.T, axis=1, bitorder="little")


def words(packed: np.ndarray) -> np.ndarray:
    """The widest words that rows of bytes are whole numbers of."""
    width = next(width for width in (8, 4, 2, 1) if packed.shape[1] % width == 0)
    return packed.view(f"u{width}")


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
        "argsort of 10,000,000 rounded scores",
        rounded,
        {"n": 10_000_000},
        {"n": 1001},
        stateless(partition.argsort),
        {
            "np.argsort, stable": Peer(stateless(lambda score: np.argsort(score, kind="stable"))),
            "torch.sort, stable": Peer(stateless(lambda score: torch.from_numpy(score).sort(stable=True).indices)),
        },
        lambda n: 16 * n,
    ),
    Work(
        "100,000 of 10,000,000 scores, nearest to 0.5",
        memorization_scores,
        {"n": 10_000_000},
        {"n": 1001},
        stateless(lambda score: partition.nearest(score, 0.5, len(score) // 100)),
        {"np.argpartition": Peer(stateless(nearest_to_half))},
        lambda n: 8 * n + 8 * n // 100,
    ),
    Work(
        "Kendall, 200,000 pairs with ties",
        pairs,
        {"n": 200_000},
        {"n": 1000},
        stateless(lambda xy: um.stats.kendall(*xy, resamples=0).value),
        {"scipy.stats.kendalltau": Peer(stateless(lambda xy: stats.kendalltau(*xy).statistic))},
        lambda n: 16 * n,
        tolerance=1e-9,
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
        "permutation p, 50,000 pairs with ties, 1,000 times",
        shuffles,
        {"n": 50_000, "permutations": 1000},
        {"n": 1000, "permutations": 1000},
        stateless(ours_shuffles),
        {
            "NumPy": Peer(stateless(numpy_shuffles)),
            "torch": Peer(stateless(torch_shuffles)),
            "scipy.stats.pearsonr of ranks": Peer(stateless(scipy_shuffles), share=1 / SHUFFLED),
        },
        lambda n, permutations: 16 * n,
        tolerance=0.25,  # each draws permutations of its own
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
        "bits, counts of 50,000 rows of 4,000",
        bools,
        {"models": 50_000, "n": 4000},
        {"models": 20, "n": 100},
        stateless(lambda i: i[1].counts()),
        {"np.bitwise_count": Peer(stateless(lambda i: np.bitwise_count(words(i[2])).sum(1, dtype=np.int64)))},
        lambda models, n: models * (n / 8 + 8),
        lambda models, n: models * -(-n // 64),
    ),
    Work(
        "bits, transpose 4,000 x 50,000",
        bools,
        {"models": 4000, "n": 50_000},
        {"models": 20, "n": 100},
        stateless(lambda i: i[1].transpose().packed),
        {"NumPy": Peer(stateless(lambda i: numpy_transpose(i[2], i[0].shape[1])))},
        lambda models, n: models * n / 4,
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
