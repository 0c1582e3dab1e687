"""KLoM: how far the outputs of unlearned models are from those of retrained ones, example by example."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core


def klom(
    unlearned_phi: ArrayLike,
    oracle_phi: ArrayLike,
    *,
    bins: int = 20,
    smoothing: float = 1e-5,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """KL(unlearned || oracle), in nats, between histograms of φ over the models, for each example.

    The bins have equal width over the range of both sides together. A bin holds its lower edge, the last one its upper
    edge too, so that no φ is dropped. ``smoothing`` is added to every share of a histogram, which is then scaled to sum
    to 1.

    Args:
        unlearned_phi: (U, n) float16, bfloat16, float32 or float64: φ = ln p[y] - ln(sum of the other p) of U >= 64
            models after unlearning.
        oracle_phi: (O, n): φ of O >= 64 models that were trained without the forget set.
        bins: number of bins, at least 1.
        smoothing: above 0.
        n_threads: None: all that the process may use.

    Returns:
        float64 (n,), at least 0; 0 where all φ of an example are equal. With few models even genuine retrains differ:
        report KLoM of one half of the oracles against the other beside it. O(n) memory beside the inputs.

    Raises:
        ValueError: fewer than 64 models on a side (not available: the histogram would be noise); shapes that do not
            match; a φ that is not finite; an argument out of range.
        TypeError: a type that is not named above.

    Source: Georgiev et al. 2024, arXiv 2410.23232 (KLoM).

    Example:
        >>> phi = np.linspace(-1.0, 1.0, 64)[:, None]
        >>> klom(phi, phi).tolist()
        [0.0]
        >>> klom(phi + 4.0, phi).round(1).tolist()
        [9.6]
    """
    smoothing = _arrays.number(smoothing, "smoothing")
    if not 0 < smoothing < np.inf:
        raise ValueError(f"smoothing: expected a number above 0, got {smoothing}")
    sides = _arrays.logits(unlearned_phi, "unlearned_phi", "(U, n)"), _arrays.logits(oracle_phi, "oracle_phi", "(O, n)")
    return _core.klom(*sides, _arrays.count(bins, "bins"), smoothing, _arrays.threads(n_threads))
