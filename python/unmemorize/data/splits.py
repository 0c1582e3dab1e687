"""How a data set is split, flipped and normalised; everything follows from fixed seeds."""

import numpy as np
import torch

from unmemorize.data.examples import Data, Examples

SPLIT_SEED = 20241016  # one split for everybody: scores of different runs are of the same examples
VAL_SHARE = 0.1  # of each class of the training set


def from_arrays(
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    x_val: np.ndarray | None = None,
    y_val: np.ndarray | None = None,
    name: str = "arrays",
    val_share: float = VAL_SHARE,
    normalize: bool = True,
    noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Data:
    """A data set from arrays of images and labels.

    Images are scaled to [0, 1] if they are uint8. For a model that was trained elsewhere on the whole training set and
    on images of its own scale, give `val_share=0` and `normalize=False`.

    Args:
        x_train: (n, h, w), (n, h, w, c) with c <= 4, or (n, c, h, w); uint8 or floating, finite.
        y_train: (n,) whole numbers in 0..C-1.
        x_test: as `x_train`.
        y_test: as `y_train`.
        x_val: as `x_train`, optional.
        y_val: as `y_train`, optional.
        name: for people.
        val_share: without a validation set, this share of each class of the training set becomes one, by a fixed seed;
            in [0, 1).
        normalize: centre and scale each channel by its mean and standard deviation over the training split.
        noise: share of the training labels to flip to another class, in [0, 1].
        seed: which labels are flipped, and to what.
        device: where the tensors are to live.

    Raises:
        ValueError: shapes or values that do not fit each other.
        TypeError: labels that are not whole numbers.

    Example:
        >>> import numpy as np
        >>> x, y = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 2
        >>> data = from_arrays(x, y, x[:10], y[:10])
        >>> len(data.train), len(data.val), data.shape
        (36, 4, (1, 8, 8))
    """
    if not 0.0 <= noise <= 1.0:
        raise ValueError(f"noise: expected a share in [0, 1], got {noise}")
    if not 0.0 <= val_share < 1.0:
        raise ValueError(f"val_share: expected a share in [0, 1), got {val_share}")
    if (x_val is None) != (y_val is None):
        raise ValueError("x_val, y_val: give both or neither")
    images, test_images = _images(x_train, "x_train"), _images(x_test, "x_test")
    labels, test_labels = _labels(y_train, images, "y_train"), _labels(y_test, test_images, "y_test")
    positions = np.arange(len(images))
    if x_val is None or y_val is None:
        val = stratified(labels, val_share, np.random.default_rng(SPLIT_SEED))
        parts = {
            "train": (images[~val], labels[~val], positions[~val]),
            "val": (images[val], labels[val], positions[val]),
        }
    else:
        val_images = _images(x_val, "x_val")
        parts = {
            "train": (images, labels, positions),
            "val": (val_images, _labels(y_val, val_images, "y_val"), np.arange(len(val_images))),
        }
    parts["test"] = (test_images, test_labels, np.arange(len(test_images)))
    return assemble(name, parts, normalize=normalize, noise=noise, seed=seed, device=device)


def assemble(
    name: str,
    parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    normalize: bool = True,
    noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Data:
    """A `Data` from (images f32 (n, c, h, w) in [0, 1], labels i64, source ids i64) of train, val and test."""
    images, true_labels, _ = parts["train"]
    if not len(images):
        raise ValueError(f"{name}: the training split is empty")
    shapes = {part: arrays[0].shape[1:] for part, arrays in parts.items() if len(arrays[0])}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{name}: the splits have images of different shapes: {shapes}")
    n_classes = int(max(labels.max(initial=0) for _, labels, _ in parts.values())) + 1
    if n_classes < 2:
        raise ValueError(f"{name}: expected at least 2 classes, every label is 0")
    mean, scale = channel_statistics(images) if normalize else (np.float32(0), np.float32(1))
    taught = {"train": flip(true_labels, noise, n_classes, np.random.default_rng(seed))}

    def examples(part: str) -> Examples:
        pixels, labels, source = parts[part]
        return Examples(
            torch.from_numpy((pixels - mean) / scale).to(device),
            torch.from_numpy(taught.get(part, labels)).to(device),
            torch.arange(len(labels), device=device),
            source,
        )

    return Data(name, examples("train"), examples("val"), examples("test"), n_classes, true_labels)


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, float32 (c, 1, 1) each; 1 for one that is the same everywhere."""
    mean = images.mean(axis=(0, 2, 3), dtype=np.float64, keepdims=True)[0].astype(np.float32)
    scale = images.std(axis=(0, 2, 3), dtype=np.float64, keepdims=True)[0].astype(np.float32)
    scale[scale == 0] = 1.0
    return mean, scale


def stratified(labels: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Bool (n,): `share` of each class, drawn at random; of a class with any examples some always stay out."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(share * len(members))]] = True
    return chosen


def flip(labels: np.ndarray, noise: float, n_classes: int, generator: np.random.Generator) -> np.ndarray:
    """The labels with exactly round(noise * n) of them changed, each to another class at random."""
    flipped = labels.copy()
    chosen = generator.choice(len(labels), round(noise * len(labels)), replace=False)
    flipped[chosen] = (labels[chosen] + generator.integers(1, n_classes, len(chosen))) % n_classes
    return flipped


def _images(x: np.ndarray, name: str) -> np.ndarray:
    """float32 (n, c, h, w); uint8 becomes [0, 1]."""
    x = np.asarray(x)
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] <= 4 < x.shape[1]:
        x = x.transpose(0, 3, 1, 2)
    elif x.ndim != 4:
        raise ValueError(f"{name}: expected images (n, h, w), (n, h, w, c) or (n, c, h, w), got shape {x.shape}")
    if x.dtype == np.uint8:
        return x.astype(np.float32) / 255
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(f"{name}: expected uint8 or floating images, got {x.dtype}")
    if not np.isfinite(x).all():
        bad = ~np.isfinite(x).all(axis=(1, 2, 3))
        raise ValueError(
            f"{name}: {int(bad.sum())} of {len(x)} images hold NaN or infinity, the first is {int(bad.argmax())}"
        )
    return x.astype(np.float32)


def _labels(y: np.ndarray, images: np.ndarray, name: str) -> np.ndarray:
    y = np.asarray(y)
    if y.shape != (len(images),):
        raise ValueError(f"{name}: expected {len(images)} values to match its images, got shape {y.shape}")
    if not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"{name}: expected whole numbers (class indices), got {y.dtype}")
    if y.size and y.min() < 0:
        raise ValueError(f"{name}: expected class indices from 0, got {int(y.min())}")
    return y.astype(np.int64)
