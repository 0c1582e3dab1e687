"""Attacks on 50,000 examples: likelihood ratios, comparisons with a population, histograms, ROC curves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import unmemorize as um
from scipy import stats
from sklearn.metrics import roc_auc_score
from unmemorize import _core

from .work import Peer, Work, stateless

SLICE = 20  # loops over examples or resamples get one in so many


# LiRA, online, a Gaussian of its own for each example


@dataclass(frozen=True)
class Shadows:
    phi: np.ndarray  # f32 (T, n)
    member: np.ndarray  # bool (T, n)
    target: np.ndarray  # f32 (n,)


def shadows(random: np.random.Generator, models: int, n: int) -> Shadows:
    member = random.random((models, n), dtype=np.float32) < 0.5
    center = random.standard_normal(n, dtype=np.float32) * 2 + 2
    phi = random.standard_normal((models + 1, n), dtype=np.float32) + center
    phi[:models] += np.float32(1.5) * member
    return Shadows(phi[:models], member, phi[models])


def loop_lira(inputs: Shadows) -> np.ndarray:
    """As published: example after example, a list of scores on each side."""
    found = []
    for i in range(-(-len(inputs.target) // SLICE)):
        phi, member, x = inputs.phi[:, i].astype(np.float64), inputs.member[:, i], inputs.target[i]
        inside, outside = phi[member], phi[~member]
        ratio = stats.norm.logpdf(x, inside.mean(), inside.std(ddof=1))
        found.append(ratio - stats.norm.logpdf(x, outside.mean(), outside.std(ddof=1)))
    return np.array(found)


def gaussian(x: Any, total: Any, squares: Any, n: Any, log: Any) -> Any:
    """ln N(x) but for its constant, from a sum, a sum of squares and a number."""
    mean = total / n
    variance = (squares - total * mean) / (n - 1)
    return -0.5 * (log(variance) + (x - mean) ** 2 / variance)


def numpy_lira(inputs: Shadows) -> np.ndarray:
    """Sums over all models and over the members; the others are the difference."""
    phi, inside = inputs.phi.astype(np.float64), inputs.member
    square, n_in = phi * phi, inside.sum(0)
    total, squares = phi.sum(0), square.sum(0)
    total_in, squares_in = (np.einsum("tn,tn->n", x, inside) for x in (phi, square))
    x = inputs.target.astype(np.float64)
    return gaussian(x, total_in, squares_in, n_in, np.log) - gaussian(
        x, total - total_in, squares - squares_in, len(phi) - n_in, np.log
    )


def torch_lira(inputs: Shadows) -> np.ndarray:
    phi, inside = torch.from_numpy(inputs.phi).double(), torch.from_numpy(inputs.member)
    n_in, total, squares = inside.sum(0), phi.sum(0), (phi * phi).sum(0)
    kept = phi * inside
    total_in, squares_in = kept.sum(0), (kept * phi).sum(0)
    x = torch.from_numpy(inputs.target).double()
    return (
        gaussian(x, total_in, squares_in, n_in, torch.log)
        - gaussian(x, total - total_in, squares - squares_in, len(phi) - n_in, torch.log)
    ).numpy()


# RMIA


@dataclass(frozen=True)
class Ratios:
    target: np.ndarray  # f64 (n,): probabilities of the model under attack
    reference: np.ndarray
    population: np.ndarray  # f64 (N,)
    population_reference: np.ndarray


def ratios(random: np.random.Generator, n: int, population: int) -> Ratios:
    sizes = (n, n, population, population)
    return Ratios(*(np.maximum(random.beta(4, 2, size=size), 1e-6) for size in sizes))


def matrix_rmia(inputs: Ratios) -> np.ndarray:
    """As published: the matrix of all pairs, here of one in SLICE examples."""
    x, z = inputs.target / inputs.reference, inputs.population / inputs.population_reference
    return (x[: -(-len(x) // SLICE), None] / z >= 2.0).mean(1)


def sorted_rmia(inputs: Ratios) -> np.ndarray:
    x, z = inputs.target / inputs.reference, inputs.population / inputs.population_reference
    return np.searchsorted(np.sort(2.0 * z), x, side="right") / len(z)


def torch_rmia(inputs: Ratios) -> np.ndarray:
    p, q, z, w = map(
        torch.from_numpy, (inputs.target, inputs.reference, inputs.population, inputs.population_reference)
    )
    return torch.searchsorted((2.0 * (z / w)).sort().values, p / q, right=True).numpy() / len(z)


# KLoM


def both_sides(random: np.random.Generator, models: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """φ of unlearned and of retrained models, f32 (models, n) each."""
    center = random.standard_normal(n, dtype=np.float32) * 2
    phi = random.standard_normal((2, models, n), dtype=np.float32) + center
    phi[0] += np.float32(0.3)
    return phi[0], phi[1]


def divergence(counts: np.ndarray) -> np.ndarray:
    """KL of the rows of two stacks of histograms."""
    p, q = (shares / shares.sum(-1, keepdims=True) for shares in counts / counts.sum(-1, keepdims=True) + 1e-5)
    return (p * np.log(p / q)).sum(-1)


def loop_klom(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As published: two calls of np.histogram for each example, here for one in SLICE."""
    found = []
    for i in range(-(-inputs[0].shape[1] // SLICE)):
        sides = [side[:, i].astype(np.float64) for side in inputs]
        span = min(side.min() for side in sides), max(side.max() for side in sides)
        found.append(divergence(np.array([np.histogram(side, 20, span)[0] for side in sides])))
    return np.array(found)


def numpy_klom(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """All histograms of a block of examples by one bincount; a φ within rounding of an edge may fall beside it."""
    found = []
    for start in range(0, inputs[0].shape[1], 2048):
        u, o = (side[:, start : start + 2048].astype(np.float64) for side in inputs)
        low, high = np.minimum(u.min(0), o.min(0)), np.maximum(u.max(0), o.max(0))
        first = 20 * np.arange(len(low))
        scale = 20 / (high - low)
        counts = [
            np.bincount(
                (np.minimum((side - low) * scale, 19).astype(np.int64) + first).ravel(), minlength=20 * len(low)
            )
            for side in (u, o)
        ]
        found.append(divergence(np.array(counts, np.float64).reshape(2, -1, 20)))
    return np.concatenate(found)


# U-LiRA and ε


def numpy_u_lira(inputs: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Each model by the Gaussians of all the others: sums without it."""
    sides = [side.astype(np.float64) for side in inputs]
    sums = [(side.sum(0), (side * side).sum(0), len(side)) for side in sides]
    scores = []
    for own, other, sign in ((0, 1, 1), (1, 0, -1)):
        (total, squares, n), x = sums[own], sides[own]
        left = gaussian(x, total - x, squares - x * x, n - 1, np.log)
        scores.append(sign * (left - gaussian(x, *sums[other], np.log)))
    return tuple(scores)


def ours_u_lira(inputs: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    found = um.audit.u_lira(*inputs, variance="example")
    return found.unlearned, found.oracle


def numpy_epsilon(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Without ties: the rates after each of the sorted φ, for a block of examples at once."""
    found, models = [], [len(side) for side in inputs]
    for start in range(0, inputs[0].shape[1], 1024):
        u, o = (side[:, start : start + 1024] for side in inputs)
        is_u = np.argsort(np.concatenate([u, o]), axis=0) < models[0]
        missed, below = is_u.cumsum(0) / models[0], (~is_u).cumsum(0) / models[1]
        best = np.zeros(u.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            for fnr, fpr in ((missed, 1 - below), (1 - missed, below)):
                fnr, fpr = fnr.round(12), fpr.round(12)
                proofs = np.log(np.maximum((1 - 1e-5 - fpr) / fnr, (1 - 1e-5 - fnr) / fpr))
                proofs[(fnr == 0) ^ (fpr == 0)] = 0
                proofs[(fnr == 0) & (fpr == 0)] = np.inf
                best = np.fmax(best, np.fmax.reduce(proofs))
        found.append(best)
    return np.concatenate(found)


# ROC


@dataclass(frozen=True)
class Attack:
    scores: np.ndarray
    members: np.ndarray
    draws: list[np.ndarray]  # how often each example is drawn, for the first resamples
    resamples: int


def attack(random: np.random.Generator, n: int, resamples: int) -> Attack:
    """Scores that tell members a little. The resamples are given, which saves the peers from drawing them."""
    members = np.arange(n) % 2 == 0
    scores = random.standard_normal(n) + 0.4 * members
    draws = [_core.resample_counts(n, 0, b) for b in range(max(2, resamples // SLICE))]
    return Attack(scores, members, draws, resamples)


def ours_roc(inputs: Attack) -> Any:
    """The interval from all resamples is what is timed; the one from the first few is what the peers have too."""
    curve = um.audit.roc(inputs.scores, inputs.members)
    curve.auc_interval(resamples=inputs.resamples)
    few = len(inputs.draws)
    return lambda: {"auc": curve.auc, "interval": ends(curve.auc_interval(resamples=few))}


def ends(interval: um.stats.Estimate) -> tuple[float, float]:
    return interval.low, interval.high


def percentiles(auc: float, resampled: list[float]) -> dict[str, Any]:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"auc": auc, "interval": (low, high)}


def sklearn_roc(inputs: Attack) -> dict[str, Any]:
    """roc_auc_score of each resample."""
    every = np.arange(len(inputs.scores))
    rows = [np.repeat(every, drawn) for drawn in inputs.draws]
    resampled = [roc_auc_score(inputs.members[r], inputs.scores[r]) for r in rows]
    return percentiles(roc_auc_score(inputs.members, inputs.scores), resampled)


def sorted_roc(inputs: Attack) -> dict[str, Any]:
    """One sort for all resamples, which are counts; scores without ties."""
    order = np.argsort(inputs.scores)
    member = inputs.members[order]

    def area(drawn: np.ndarray) -> float:
        others = np.cumsum(np.where(member, 0, drawn), dtype=np.int64)
        inside = np.where(member, drawn, 0).astype(np.int64)
        return float(inside @ others / (inside.sum() * others[-1]))

    return percentiles(area(np.ones_like(member, np.int64)), [area(drawn[order]) for drawn in inputs.draws])


def scipy_sweep(inputs: Attack) -> tuple[np.ndarray, ...]:
    """Exact ends of both rates at each score, as quantiles of beta distributions."""
    member = inputs.members[np.argsort(-inputs.scores)]
    found = []
    for who in (member, ~member):
        k, n = np.cumsum(who), who.sum()
        with np.errstate(invalid="ignore"):
            found += [np.nan_to_num(stats.beta.ppf(0.025, k, n - k + 1), nan=0.0)]
            found += [np.nan_to_num(stats.beta.ppf(0.975, k + 1, n - k), nan=1.0)]
    return tuple(found)


def ours_sweep(inputs: Attack) -> Any:
    curve = um.audit.roc(inputs.scores, inputs.members)

    def ends_of_both() -> tuple[np.ndarray, ...]:
        found = curve.sweep()
        return found.tpr_low, found.tpr_high, found.fpr_low, found.fpr_high

    return ends_of_both


# ToW


@dataclass(frozen=True)
class Verdicts:
    unlearned: dict[str, np.ndarray]  # bool, who is right, of each group of examples
    oracle: dict[str, np.ndarray]
    draws: list[np.ndarray]
    resamples: int


def verdicts(random: np.random.Generator, n: int, resamples: int) -> Verdicts:
    sizes = {"forget": n // 10, "retain": n // 2, "test": n - n // 10 - n // 2}
    unlearned, oracle = ({name: random.random(size) < 0.8 for name, size in sizes.items()} for _ in range(2))
    draws = [_core.resample_counts(n, 0, b) for b in range(max(2, resamples // SLICE))]
    return Verdicts(unlearned, oracle, draws, resamples)


def ours_tow(inputs: Verdicts) -> Any:
    um.audit.tow_interval(inputs.unlearned, inputs.oracle, resamples=inputs.resamples)
    return lambda: ends(um.audit.tow_interval(inputs.unlearned, inputs.oracle, resamples=len(inputs.draws)))


def numpy_tow(inputs: Verdicts) -> tuple[float, float]:
    """Differences of the two models, weighted by how often each example is drawn."""
    u, o = (np.concatenate(list(side.values())) for side in (inputs.unlearned, inputs.oracle))
    starts = np.cumsum([0, *map(len, inputs.oracle.values())])[:-1]
    difference = u.astype(np.int64) - o
    sums = [(np.add.reduceat(difference * drawn, starts), np.add.reduceat(drawn, starts)) for drawn in inputs.draws]
    low, high = np.quantile([np.prod(1 - np.abs(total / count)) for total, count in sums], [0.025, 0.975])
    return low, high


WORKS = (
    Work(
        "LiRA, 256 x 50,000",
        shadows,
        {"models": 256, "n": 50_000},
        {"models": 32, "n": 100},
        stateless(lambda i: um.audit.lira(i.phi, i.member, i.target, variance="example")),
        {
            "published loop": Peer(stateless(loop_lira), share=1 / SLICE, least=20),
            "NumPy": Peer(stateless(numpy_lira)),
            "torch": Peer(stateless(torch_lira)),
        },
        lambda models, n: 5 * models * n + 12 * n,
        tolerance=1e-6,
    ),
    Work(
        "RMIA, 50,000 x 10,000",
        ratios,
        {"n": 50_000, "population": 10_000},
        {"n": 200, "population": 100},
        stateless(lambda i: um.audit.rmia(i.target, i.reference, i.population, i.population_reference)),
        {
            "published matrix": Peer(stateless(matrix_rmia), share=1 / SLICE, least=1000),
            "NumPy, sort and search": Peer(stateless(sorted_rmia)),
            "torch, sort and search": Peer(stateless(torch_rmia)),
        },
        lambda n, population: 24 * n + 16 * population,
        tolerance=1e-12,
    ),
    Work(
        "KLoM, 100 + 100 x 60,000",
        both_sides,
        {"models": 100, "n": 60_000},
        {"models": 64, "n": 100},
        stateless(lambda sides: um.audit.klom(*sides)),
        {
            "published loop": Peer(stateless(loop_klom), share=1 / SLICE, least=500),
            "NumPy, one bincount": Peer(stateless(numpy_klom)),
        },
        lambda models, n: 8 * models * n + 8 * n,
        tolerance=1e-9,
    ),
    Work(
        "U-LiRA, 100 + 100 x 50,000",
        both_sides,
        {"models": 100, "n": 50_000},
        {"models": 64, "n": 100},
        stateless(ours_u_lira),
        {"NumPy": Peer(stateless(numpy_u_lira))},
        lambda models, n: 2 * models * n * 12,
        tolerance=1e-6,
    ),
    Work(
        "ε, 100 + 100 x 10,000",
        both_sides,
        {"models": 100, "n": 10_000},
        {"models": 64, "n": 100},
        stateless(lambda sides: um.audit.epsilon(*sides)),
        {"NumPy, sorted": Peer(stateless(numpy_epsilon))},
        lambda models, n: 8 * models * n + 8 * n,
        tolerance=1e-9,
    ),
    Work(
        "ROC, 50,000, AUC of 1,000 resamples",
        attack,
        {"n": 50_000, "resamples": 1000},
        {"n": 200, "resamples": 40},
        stateless(ours_roc),
        {
            "scikit-learn": Peer(stateless(sklearn_roc), share=1 / SLICE, least=20),
            "NumPy, sorted once": Peer(stateless(sorted_roc), share=1 / SLICE),
        },
        lambda n, resamples: 9 * n,
        tolerance=1e-9,
    ),
    Work(
        "ROC, exact intervals at 50,000 thresholds",
        attack,
        {"n": 50_000, "resamples": 2},
        {"n": 200, "resamples": 2},
        ours_sweep,
        {"scipy.stats.beta.ppf": Peer(stateless(scipy_sweep))},
        lambda n, resamples: 65 * n,
        tolerance=1e-9,
    ),
    Work(
        "ToW, 1,000 resamples of 50,000",
        verdicts,
        {"n": 50_000, "resamples": 1000},
        {"n": 200, "resamples": 40},
        stateless(ours_tow),
        {"NumPy": Peer(stateless(numpy_tow), share=1 / SLICE)},
        lambda n, resamples: 2 * n,
        tolerance=1e-9,
    ),
)
