"""How entangled the examples to forget are with the others, in the features of the original model."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays


def entanglement(features_retain: ArrayLike, features_forget: ArrayLike) -> float:
    """The entanglement score ES: the spread within the retain and the forget set over the distance between them.

    ``ES = (mean_R ||f - mean_R||² + mean_S ||f - mean_S||²) / (½ (||mean_R - mean||² + ||mean_S - mean||²))``, with
    the mean of all examples in the last term.

    Args:
        features_retain: (r, d) penultimate features of the original model in eval mode, r >= 1.
        features_forget: (s, d) likewise, s >= 1.

    Returns:
        ES >= 0; the higher, the harder to forget. Infinite where both means are the same, NaN where all features are.

    Raises:
        ValueError: another shape, no examples, features that are not finite.

    O((r + s) d) memory. Source: arXiv 2406.01257, equation 2.

    Example:
        >>> entanglement([[0.0], [2.0]], [[9.0], [11.0]])
        0.09876543209876543
    """
    retain, forget = _features(features_retain, "features_retain"), _features(features_forget, "features_forget")
    if retain.shape[1] != forget.shape[1]:
        raise ValueError(f"features_forget: expected {retain.shape[1]} columns to match features_retain, "
                         f"got {forget.shape[1]}")  # fmt: skip
    within = sum(float(centroid_distance(f) @ centroid_distance(f)) / len(f) for f in (retain, forget))
    mean = np.concatenate([retain, forget]).mean(axis=0)
    between = sum(float(np.sum((f.mean(axis=0) - mean) ** 2)) for f in (retain, forget)) / 2
    if between == 0:
        return float("inf") if within else float("nan")
    return within / between


def centroid_distance(features: ArrayLike) -> NDArray[np.float64]:
    """Euclidean distance (n,) of each row of (n, d) to the mean row."""
    x = _features(features, "features")
    distance: NDArray[np.float64] = np.linalg.norm(x - x.mean(axis=0), axis=1)
    return distance


def _features(x: ArrayLike, name: str) -> NDArray[np.float64]:
    features = _arrays.vector_f64(x, name, "(n, d)")
    if not len(features):
        raise ValueError(f"{name}: expected at least 1 row, got 0")
    if not np.isfinite(features).all():
        bad = int((~np.isfinite(features)).any(axis=1).argmax())
        raise ValueError(f"{name}: row {bad} is not finite (NaN or infinite)")
    return features
