"""The forgetting score ε: how surely one threshold tells unlearned models from retrained ones, example by example."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.stats import bootstrap_options


def epsilon(
    unlearned_phi: ArrayLike, oracle_phi: ArrayLike, *, delta: float = 1e-5, n_threads: int | None = None
) -> NDArray[np.float64]:
    """The empirical ε of each example: ``max ln((1 - δ - FPR) / FNR), ln((1 - δ - FNR) / FPR)`` over all attacks.

    An attack calls a model "unlearned" if its φ is above a threshold, or if it is not. FNR is the share of unlearned
    models that it misses, FPR the share of retrained ones that it takes for unlearned. One that makes no error proves
    infinity. One that makes errors of one kind only is left out: no error in so few models does not prove a rate of 0.

    Args:
        unlearned_phi: (U, n) float16, bfloat16, float32 or float64: any output of U models after unlearning, usually
            φ = ln p[y] - ln(sum of the other p).
        oracle_phi: (O, n): the same of O models that were trained without the forget set.
        delta: δ, in [0, 1).
        n_threads: None: all that the process may use.

    Returns:
        float64 (n,), at least 0: 0 where no attack proves anything, inf where a threshold separates the sides; at most
        ln(max(U, O)) otherwise. The best of many thresholds is above 0 by chance too: report the ε of one half of the
        oracles against the other beside it. O(U + O) memory for each of 256 examples a thread.

    Raises:
        ValueError: no models on a side; shapes that do not match; a φ that is not finite; δ out of range.
        TypeError: a type that is not named above.

    Source: Triantafillou et al. 2024, arXiv 2406.09073.

    Example:
        >>> epsilon([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]], [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]).round(3).tolist()
        [0.0, inf]
    """
    sides, delta = _phi(unlearned_phi, oracle_phi), _arrays.share(delta, "delta", "[)")
    return _core.epsilon(*sides, delta, _arrays.threads(n_threads))


@dataclass(frozen=True, eq=False)
class EpsilonInterval:
    """The ε of each example with its interval.

    Attributes:
        value: float64 (n,).
        low: lower ends.
        high: upper ends; often inf with few models, some of whose resamples a threshold separates.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def epsilon_interval(
    unlearned_phi: ArrayLike,
    oracle_phi: ArrayLike,
    *,
    delta: float = 1e-5,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    n_threads: int | None = None,
) -> EpsilonInterval:
    """`epsilon` of each example with its bootstrap percentile interval over the models.

    Models of both sides are drawn together, the same for every example; a resample without a model of one side is left
    out. Of the ε over examples `stats.bootstrap_interval` gives intervals, for instance of their median.

    Args:
        unlearned_phi: as of `epsilon`.
        oracle_phi: as of `epsilon`.
        delta: δ, in [0, 1).
        level: of the intervals, in (0, 1).
        resamples: of the bootstrap; 0: no intervals.
        seed: of the resamples; the same seed gives the same bits for any number of threads.
        n_threads: None: all that the process may use.

    Raises:
        ValueError, TypeError: as `epsilon`; an argument out of range.

    O(U + O) time an example and resample, after one sort.

    Example:
        >>> found = epsilon_interval([[1.0], [2.0], [3.0], [4.0]], [[0.0], [1.5], [2.5], [3.5]], delta=0.0)
        >>> found.value.round(3).tolist(), found.high.tolist()
        ([0.693], [inf])
    """
    sides, delta = _phi(unlearned_phi, oracle_phi), _arrays.share(delta, "delta", "[)")
    options = bootstrap_options(level, resamples, seed, n_threads)
    return EpsilonInterval(*_core.epsilon_intervals(*sides, delta, options))


def _phi(unlearned_phi: ArrayLike, oracle_phi: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    return _arrays.logits(unlearned_phi, "unlearned_phi", "(U, n)"), _arrays.logits(oracle_phi, "oracle_phi", "(O, n)")
