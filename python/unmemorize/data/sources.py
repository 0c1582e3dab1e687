"""Where data sets come from: a name, a folder of class folders, or an .npz file."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unmemorize.data.examples import Data
from unmemorize.data.splits import SPLIT_SEED, VAL_SHARE, assemble, from_arrays, stratified

DIGITS_TEST_SHARE = 0.2
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def load(
    name: str | Path,
    *,
    val_share: float = VAL_SHARE,
    normalize: bool = True,
    noise: float = 0.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    root: str | Path = "data",
) -> Data:
    """Load, split and normalise a data set.

    A training set that comes without a validation split gives `val_share` of each class for one, by a fixed seed;
    digits, which come without a test split, first give 20% of each class for that. For a model that was trained
    elsewhere on the whole training set and on images in [0, 1], give `val_share=0` and `normalize=False`.

    Args:
        name: one of `NAMES`; or a folder `train/CLASS/*.png` with `test/` and optionally `val/` beside `train/`; or an
            .npz file with `x_train`, `y_train`, `x_test`, `y_test` and optionally `x_val`, `y_val`.
        val_share: share of each class, in [0, 1).
        normalize: centre and scale each channel by its mean and standard deviation over the training split.
        noise: share of the training labels to flip, in [0, 1].
        seed: which labels are flipped, and to what. The split does not depend on it.
        device: where the tensors are to live.
        root: where torchvision keeps the data sets that it downloads.

    Raises:
        ValueError: no data set has this name, or its content does not fit together.
        FileNotFoundError: no such folder or file.
        OSError: torchvision can neither read nor download its files.
        ImportError: the data set needs a package that is not installed.

    Example:
        >>> digits = load("digits", noise=0.05)
        >>> len(digits.train), len(digits.val), len(digits.test), int(digits.flipped.sum())
        (1295, 143, 359, 65)
    """
    options: dict[str, Any] = {"val_share": val_share, "normalize": normalize, "noise": noise, "seed": seed}
    options["device"] = device
    if not 0.0 <= noise <= 1.0:
        raise ValueError(f"noise: expected a share in [0, 1], got {noise}")
    text = str(name)
    if text == "digits":
        return _digits(**options)
    if text in _TORCHVISION:
        return _torchvision(text, Path(root), **options)
    path = Path(name)
    if path.suffix == ".npz":
        return _npz(path, **options)
    if path.is_dir():
        return _folder(path, **options)
    if len(path.parts) > 1:
        raise FileNotFoundError(f"{path}: no such folder")
    raise ValueError(f"data: no data set {text!r}; known are {', '.join(NAMES)}, a folder, or an .npz file")


def _digits(*, val_share: float, **options: Any) -> Data:
    """scikit-learn's handwritten digits: 1,797 images of 8 x 8 in 17 levels of grey."""
    digits = _needs("sklearn.datasets", "scikit-learn").load_digits()
    images, labels = (digits.images[:, None] / 16).astype(np.float32), digits.target.astype(np.int64)
    generator = np.random.default_rng(SPLIT_SEED)
    test = stratified(labels, DIGITS_TEST_SHARE, generator)
    rest = np.flatnonzero(~test)
    val = rest[stratified(labels[rest], val_share, generator)]
    places = {"train": np.setdiff1d(rest, val), "val": val, "test": np.flatnonzero(test)}
    return assemble("digits", {part: (images[at], labels[at], at) for part, at in places.items()}, **options)


# name -> (class in torchvision.datasets, arguments of the training and of the test set)
_TORCHVISION: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "cifar10": ("CIFAR10", {"train": True}, {"train": False}),
    "cifar100": ("CIFAR100", {"train": True}, {"train": False}),
    "fashion_mnist": ("FashionMNIST", {"train": True}, {"train": False}),
    "svhn": ("SVHN", {"split": "train"}, {"split": "test"}),
}

NAMES = ("digits", *_TORCHVISION)


def _torchvision(name: str, root: Path, **options: Any) -> Data:
    kind, *which = _TORCHVISION[name]
    source: Callable[..., Any] = getattr(_needs("torchvision.datasets", "torchvision"), kind)
    arrays = []
    for arguments in which:
        try:
            part = source(str(root), download=True, **arguments)
        except ImportError:
            raise
        except Exception as error:  # no network, no space, a damaged file: torchvision has a kind for each
            raise OSError(f"{name}: cannot be read from {root.resolve()} or downloaded to it: {error}") from error
        images, labels = np.asarray(part.data), np.asarray(part.targets if hasattr(part, "targets") else part.labels)
        arrays += [images, labels.astype(np.int64)]
    return from_arrays(*arrays, name=name, **options)


def _npz(path: Path, **options: Any) -> Data:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    needed, optional = ("x_train", "y_train", "x_test", "y_test"), ("x_val", "y_val")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [key for key in needed if key not in archive]
            if missing:
                raise KeyError(f"no array {missing[0]!r}; it holds {', '.join(archive) or 'nothing'}")
            arrays = {key: archive[key] for key in (*needed, *optional) if key in archive}
    except KeyError as error:
        raise ValueError(f"{path}: {error.args[0]}") from None
    except Exception as error:  # zipfile, zlib and NumPy each have their own for a damaged file
        raise ValueError(f"{path}: damaged or not an .npz file: {error}") from error
    return from_arrays(**arrays, name=path.stem, **options)


def _folder(path: Path, **options: Any) -> Data:
    """`train/CLASS/image`, classes in alphabetical order; the source id is the image's place in the sorted list."""
    for part in ("train", "test"):
        if not (path / part).is_dir():
            raise FileNotFoundError(f"{path / part}: no such folder; a data folder holds train/CLASS/ and test/CLASS/")
    classes = sorted(entry.name for entry in (path / "train").iterdir() if entry.is_dir())
    arrays: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        if (path / part).is_dir():
            arrays[f"x_{part}"], arrays[f"y_{part}"] = _class_folders(path / part, classes)
    return from_arrays(**arrays, name=path.name, **options)


def _class_folders(path: Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    image = _needs("PIL.Image", "pillow")
    unknown = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and entry.name not in classes)
    if unknown:
        raise ValueError(f"{path}: class {unknown[0]!r} is not among the {len(classes)} classes of train/")
    pixels: list[np.ndarray] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        for file in sorted(f for f in (path / name).glob("*") if f.suffix.lower() in IMAGE_SUFFIXES):
            try:
                with image.open(file) as opened:
                    mode = opened.mode
                    pixels.append(np.asarray(opened.convert("L" if mode in ("1", "L") else "RGB")))
            except Exception as error:  # Pillow raises many kinds for a damaged file
                raise ValueError(f"{file}: damaged or not an image: {error}") from error
            if mode.startswith(("I", "F")):
                raise ValueError(f"{file}: expected 8 bits a channel, got mode {mode!r}, which would be clipped")
            if pixels[-1].shape != pixels[0].shape:
                raise ValueError(
                    f"{file}: expected an image of shape {pixels[0].shape} like the first, got {pixels[-1].shape}"
                )
            labels.append(label)
    if not pixels:
        raise ValueError(f"{path}: no image in any class folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return np.stack(pixels), np.array(labels, dtype=np.int64)


def _needs(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f'{package} is missing: pip install "unmemorize[cli]"') from error
