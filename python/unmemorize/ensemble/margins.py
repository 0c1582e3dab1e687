"""The margin model: the chance that a model is right about an example, from a few models and what else is known of it.

Each model's log-odds count, not only their sign. Log-odds of example i are Gaussian, x ~ N(mu_i, s_i²), with
mu_i ~ N(f_i, a t²(f_i)) and s_i² = b s²(f_i): f is a regression on features, t² and s² are how far means scatter around
it and models around a mean, smoothed along f, and the factors a, b are each example's own, from a grid whose shares are
those that explain all examples best. An example is then known by its models as far as they agree, and by its
features as far as those tell on others.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.random import PCG64
from numpy.typing import NDArray

Vector = NDArray[np.float64]

FOLDS = 10  # of the cross-fitting
WINDOW = 0.1  # share of the examples over which a variance is smoothed
LEAST = 51  # examples in such a window
RIDGE = 1.0  # observations that the prior of each coefficient is worth
PSEUDO = 10.0  # models that the smoothed variance is worth, when examples are weighted for the regression
FLOOR = 0.2  # of t², in s²: less cannot be told from nothing by few models
STEPS = 100  # of expectation maximisation
LEARNERS = 4096  # examples that it learns from
BLOCK = 4096  # examples at a time, so that their grids stay in the cache
_SCALES = np.array([(a, b) for a in 4.0 ** np.arange(-2, 3) for b in 2.0 ** np.arange(-3, 4)]).T  # of t², of s²
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_GRID = np.linspace(-8, 8, 4097)
_NORMAL = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in _GRID])  # linear in between: off by 5e-7 at most
_TINY = 1e-9  # variance of log-odds that never differ


@dataclass(frozen=True)
class Observed:
    """What the models of one side, those in or those out, say of each example: count, mean and sum of squares."""

    models: NDArray[np.int64]
    mean: Vector
    squares: Vector

    @classmethod
    def of(cls, phi: NDArray[np.floating], side: NDArray[np.bool_]) -> Self:
        """From log-odds (T, n) and which of them count; one model at a time."""
        models = side.sum(axis=0)
        mean, squares = np.zeros(phi.shape[1]), np.zeros(phi.shape[1])
        for row, counts in zip(phi, side, strict=True):
            mean += np.where(counts, row, 0.0)
        mean /= np.maximum(models, 1)
        for row, counts in zip(phi, side, strict=True):
            squares += np.where(counts, (row - mean) ** 2, 0.0)
        return cls(models, mean, squares)

    @property
    def freedom(self) -> NDArray[np.int64]:
        """Degrees of freedom of ``squares``."""
        return np.maximum(self.models - 1, 0)

    @property
    def some(self) -> NDArray[np.bool_]:
        """Which examples have a model."""
        return self.models > 0

    def take(self, rows: NDArray[np.int64] | slice) -> "Observed":
        """Those of some examples."""
        return Observed(self.models[rows], self.mean[rows], self.squares[rows])


@dataclass(frozen=True)
class Prior:
    """What is expected of each example before its own models are heard.

    Attributes:
        mean: (n,), f: the regression on the features of the other folds.
        scatter: (n,), t²: of true means around it.
        spread: (n,), s²: of models around a mean.
        shares: (35,), of the pairs of factors of both.
    """

    mean: Vector
    scatter: Vector
    spread: Vector
    shares: Vector

    def take(self, rows: NDArray[np.int64] | slice) -> "Prior":
        """That of some examples."""
        return Prior(self.mean[rows], self.scatter[rows], self.spread[rows], self.shares)


@dataclass(frozen=True)
class Chance:
    """A chance of each example, with its standard error (both (n,)), from so many models."""

    value: Vector
    std_error: Vector
    models: NDArray[np.int64]


def fit(seen: Observed, features: list[Vector]) -> Prior:
    """The prior from all examples.

    Args:
        seen: One side.
        features: (n,) each, in [-1, 1].
    """
    columns = _columns(features, len(seen.mean))
    models = np.maximum(seen.models, 1)
    heard = seen.some.astype(np.float64)
    known = seen.freedom.any()
    spread = np.full(len(models), max(seen.squares.sum() / max(seen.freedom.sum(), 1), _TINY))
    around = float(np.average(seen.mean, weights=heard))
    scatter = np.full(len(models), max(float(np.average((seen.mean - around) ** 2, weights=heard)) / 4, _TINY))
    if not known:
        spread = scatter.copy()
    own = spread
    for _ in range(2):  # the weights of the regression follow from the variances, which follow from it
        weights = heard / (scatter + own / models)
        weights /= weights.mean()
        mean = _cross_fit(columns, seen.mean, weights)
        order = np.argsort(mean, kind="stable")
        if known:
            spread = np.maximum(_smooth(order, seen.squares, seen.freedom), _TINY)
            off = (seen.mean - mean) ** 2 - spread / models
            scatter = np.maximum(_smooth(order, weights * off, weights), FLOOR * spread)
        else:  # one model each: half of what it is off is laid to the model, half to the example
            spread = scatter = np.maximum(_smooth(order, weights * (seen.mean - mean) ** 2, weights) / 2, _TINY)
        own = (PSEUDO * spread + seen.squares) / (PSEUDO + seen.freedom)
    return _learn(Prior(mean, scatter, spread, np.full(_SCALES.shape[1], 1 / _SCALES.shape[1])), seen)


def right(seen: Observed, prior: Prior) -> Chance:
    """The chance that the log-odds of another model are above 0."""
    value, error = np.empty(len(seen.mean)), np.empty(len(seen.mean))
    for block in _blocks(len(value)):
        density, mean, variance, spread = _posterior(seen.take(block), prior.take(block))
        first = (density * _normal(mean / np.sqrt(variance + spread))).sum(axis=0)
        second = sum(
            weight * (density * _normal((mean + node * np.sqrt(variance)) / np.sqrt(spread)) ** 2).sum(axis=0)
            for node, weight in zip(_NODES, _WEIGHTS, strict=True)
        )
        value[block], error[block] = first, np.sqrt(np.clip(second - first**2, 0.0, first * (1 - first)))
    return Chance(value, error, seen.models)


def confident(seen: Observed, prior: Prior, link: "Scale") -> Vector:
    """The softmax probability of the true label that another model is expected to give, (n,)."""
    value = np.empty(len(seen.mean))
    for block in _blocks(len(value)):
        density, mean, variance, spread = _posterior(seen.take(block), prior.take(block))
        nodes = (mean + node * np.sqrt(variance + spread) for node in _NODES)
        value[block] = sum(
            weight * (density * link.probability(x)).sum(axis=0) for x, weight in zip(nodes, _WEIGHTS, strict=True)
        )
    return value


@dataclass(frozen=True)
class Scale:
    """Log-odds as the model takes them: asinh((phi - cut) / unit), so that infinite confidence is a finite number.

    ``cut`` is the log-odds above which as many lie as are right: a model may be right with a probability below 1/2.
    """

    cut: float
    unit: float

    @classmethod
    def of(cls, phi: NDArray[np.floating], correct: NDArray[np.bool_], side: NDArray[np.bool_]) -> Self:
        """From log-odds and correctness (T, n) of the models of a side."""
        values, correct = phi[side].astype(np.float64), correct[side]
        wrong = int((~correct).sum())
        if wrong in (0, len(values)):
            cut = 0.0
        else:
            below, above = np.partition(values, (wrong - 1, wrong))[wrong - 1 : wrong + 1]
            cut = float((below + above) / 2)
        return cls(cut, float(np.median(np.abs(values - cut))) or 1.0)

    def __call__(self, phi: NDArray[np.floating]) -> Vector:
        """Scaled log-odds."""
        return np.arcsinh((phi.astype(np.float64) - self.cut) / self.unit)

    def probability(self, x: Vector) -> Vector:
        """Softmax probability of scaled log-odds."""
        return 0.5 + 0.5 * np.tanh(0.5 * (self.cut + self.unit * np.sinh(np.clip(x, -20, 20))))


def _normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phi(x)."""
    share: NDArray[np.float64] = np.interp(x, _GRID, _NORMAL)
    return share


def _columns(features: list[Vector], n: int) -> NDArray[np.float64]:
    """Powers up to the third of each feature, products of pairs."""
    columns = [np.ones(n)]
    for i, x in enumerate(features):
        columns += [x, (3 * x**2 - 1) * 0.5, (5 * x**3 - 3 * x) * 0.5]  # Legendre: nearly uncorrelated
        columns += [x * other for other in features[:i]]
    return np.stack(columns, axis=1)


def _cross_fit(columns: NDArray[np.float64], y: Vector, weights: Vector) -> Vector:
    """Ridge regression; each example is predicted without those of its own fold."""
    n, width = columns.shape
    fold = np.argsort(np.argsort(PCG64(0).random_raw(n), kind="stable"), kind="stable") % FOLDS
    parts = [np.flatnonzero(fold == k) for k in range(FOLDS)]
    squares = [(columns[part] * weights[part, None]).T @ columns[part] for part in parts]
    products = [columns[part].T @ (weights[part] * y[part]) for part in parts]
    penalty = RIDGE * np.eye(width)
    penalty[0, 0] = _TINY  # the mean is not shrunk
    predicted = np.empty(n)
    for k, part in enumerate(parts):
        others = sum(squares[:k] + squares[k + 1 :], penalty)
        predicted[part] = columns[part] @ np.linalg.solve(
            others, sum(products[:k] + products[k + 1 :], np.zeros(width))
        )
    return predicted


def _smooth(order: NDArray[np.int64], numerator: Vector, denominator: Vector | NDArray[np.int64]) -> Vector:
    """Ratio of sums over each example's neighbours along ``order``; where they hold nothing, over all."""
    n = len(order)
    reach = max(int(WINDOW * n), LEAST) // 2
    low, high = np.maximum(np.arange(n) - reach, 0), np.minimum(np.arange(n) + reach + 1, n)
    above, below = (np.concatenate([[0.0], np.cumsum(x[order], dtype=np.float64)]) for x in (numerator, denominator))
    top, bottom = above[high] - above[low], below[high] - below[low]
    empty = bottom <= _TINY * below[-1]
    ratio = np.empty(n)
    ratio[order] = np.where(empty, above[-1], top) / np.where(empty, below[-1], bottom)
    return ratio


def _blocks(n: int) -> list[slice]:
    return [slice(first, first + BLOCK) for first in range(0, n, BLOCK)]


def _likelihood(seen: Observed, prior: Prior) -> NDArray[np.float64]:
    """Of each pair of factors (35, n), up to a constant of the example: mean and squares of its models."""
    scatter, spread = _SCALES[0][:, None] * prior.scatter, _SCALES[1][:, None] * prior.spread
    variance = scatter + spread / np.maximum(seen.models, 1)
    log = -0.5 * seen.some * (np.log(variance) + (seen.mean - prior.mean) ** 2 / variance)
    log -= 0.5 * (seen.freedom * np.log(spread) + seen.squares / spread)
    likelihood: NDArray[np.float64] = np.exp(log - log.max(axis=0))
    return likelihood


def _learn(prior: Prior, seen: Observed) -> Prior:
    """The prior with the shares of its factors, by expectation maximisation; one more example each keeps all alive."""
    heard = np.flatnonzero(seen.some)
    heard = heard[:: -(-len(heard) // LEARNERS)]
    likelihood, shares = _likelihood(seen.take(heard), prior.take(heard)), prior.shares
    for _ in range(STEPS):
        shares = shares * (likelihood @ (1 / (shares @ likelihood))) + 1
        shares /= shares.sum()
    return replace(prior, shares=shares)


def _posterior(seen: Observed, prior: Prior) -> tuple[NDArray[np.float64], ...]:
    """Given its models: share of each pair of factors (35, n); mean, variance of mu and the spread s² under each."""
    density = prior.shares[:, None] * _likelihood(seen, prior)
    density /= density.sum(axis=0)
    scatter, spread = _SCALES[0][:, None] * prior.scatter, _SCALES[1][:, None] * prior.spread
    variance = 1 / (1 / scatter + seen.models / spread)
    return density, variance * (prior.mean / scatter + seen.models * seen.mean / spread), variance, spread
