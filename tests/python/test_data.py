"""Data sets: splits, flips, ids, and every place that they are loaded from."""

import gzip
import pickle
import struct
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from unmemorize import data
from unmemorize.data import Examples, augment, from_arrays, load


@pytest.fixture(scope="module")
def digits():
    return load("digits", noise=0.05, seed=3)


def arrays(n=60, classes=3, shape=(8, 8), seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n) % classes


# --- digits


def test_digits_are_all_there_once_and_no_split_shares_an_image(digits):
    sources = np.concatenate([part.source_ids for part in digits.parts.values()])
    assert sorted(sources) == list(range(1797))
    assert digits.n_classes == 10
    assert digits.shape == (1, 8, 8)


def test_ids_of_the_training_set_are_its_rows(digits):
    assert torch.equal(digits.train.ids, torch.arange(len(digits.train)))


def test_splits_take_the_same_share_of_each_class(digits):
    counts = {
        part: np.bincount(y, minlength=10)
        for part, y in [
            ("train", digits.true_labels),
            ("val", digits.val.labels.numpy()),
            ("test", digits.test.labels.numpy()),
        ]
    }
    whole = sum(counts.values())
    assert np.abs(counts["test"] - 0.2 * whole).max() <= 0.5
    assert np.abs(counts["val"] - 0.1 * (whole - counts["test"])).max() <= 0.5


def test_images_are_those_of_scikit_learn_normalised(digits):
    from sklearn.datasets import load_digits

    raw = torch.tensor(load_digits().images[digits.train.source_ids], dtype=torch.float32)
    flat = digits.train.images
    assert torch.corrcoef(torch.stack([raw.flatten(), flat.flatten()]).double())[0, 1] > 1 - 1e-6
    assert abs(float(flat.mean())) < 1e-4
    assert float(flat.std()) == pytest.approx(1, abs=1e-3)


def test_exactly_the_asked_share_is_flipped_each_to_another_class(digits):
    labels = digits.train.labels.numpy()
    assert digits.flipped.sum() == round(0.05 * len(labels)) == 65
    assert (labels[digits.flipped] != digits.true_labels[digits.flipped]).all()
    assert (labels[~digits.flipped] == digits.true_labels[~digits.flipped]).all()


def test_seed_draws_the_flips_and_nothing_else(digits):
    again, other = load("digits", noise=0.05, seed=3), load("digits", noise=0.05, seed=4)
    assert again.hash == digits.hash != other.hash
    assert torch.equal(other.train.images, digits.train.images)
    assert (other.flipped != digits.flipped).any()


@given(st.integers(2, 200), st.floats(0, 1), st.integers(2, 7), st.integers(0, 2**31))
def test_flip_changes_round_of_noise_times_n(n, noise, classes, seed):
    from unmemorize.data.splits import flip

    labels = np.arange(n) % classes
    flipped = flip(labels, noise, classes, np.random.default_rng(seed))
    assert (flipped != labels).sum() == round(noise * n)
    assert set(flipped) <= set(range(classes))


# --- Examples


def test_subset_keeps_ids_and_order(digits):
    part = digits.train.subset([7, 3, 900])
    assert part.ids.tolist() == [7, 3, 900]
    assert torch.equal(part.images[1], digits.train.images[3])
    assert part.source_ids.tolist() == digits.train.source_ids[[7, 3, 900]].tolist()
    assert part.subset([900]).labels.item() == digits.train.labels[900].item()


@given(st.sets(st.integers(0, 19)))
def test_without_is_the_complement_of_subset(chosen):
    x, y = arrays(30)
    train = from_arrays(x, y, x, y, x_val=x, y_val=y).train.take(range(20))
    ids = sorted(chosen)
    rest = train.without(ids)
    assert sorted([*rest.ids.tolist(), *train.subset(ids).ids.tolist()]) == list(range(20))
    assert sorted(rest.join(train.subset(ids)).source_ids) == list(range(20))


@pytest.mark.parametrize("method", ["subset", "without"])
def test_an_id_that_is_not_there_is_an_index_error(digits, method):
    part = digits.train.without([5])
    for bad in ([1, 5], [60000], [-1]):
        with pytest.raises(IndexError, match=rf"ids: 1 of {len(bad)} are not among these 1294 examples"):
            getattr(part, method)(bad)
    with pytest.raises(TypeError, match=r"ids: expected whole numbers, got torch.float"):
        getattr(part, method)([0.5])


def test_lengths_must_match():
    with pytest.raises(ValueError, match="labels: expected 2 values to match images, got 3"):
        Examples(torch.zeros(2, 1, 8, 8), torch.zeros(3, dtype=torch.int64), torch.arange(2), np.arange(2))


# --- arrays


@pytest.mark.parametrize(
    ("shape", "expected"), [((8, 9), (1, 8, 9)), ((8, 9, 3), (3, 8, 9)), ((3, 8, 9), (3, 8, 9)), ((8, 9, 1), (1, 8, 9))]
)
def test_image_layouts(shape, expected):
    x, y = arrays(shape=shape)
    assert from_arrays(x, y, x, y).shape == expected


def test_the_users_own_validation_split_is_kept():
    x, y = arrays()
    of = from_arrays(x, y, x[:6], y[:6], x_val=x[6:12], y_val=y[6:12])
    assert {name: len(part) for name, part in of.parts.items()} == {"train": 60, "val": 6, "test": 6}


def test_normalisation_uses_the_training_split_only():
    x, y = arrays()
    dark, bright = from_arrays(x, y, x // 2, y), from_arrays(x, y, x, y)
    assert torch.equal(dark.train.images, bright.train.images)
    assert dark.test.images.mean() < bright.test.images.mean()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"y_train": np.zeros(59, int)},
            ValueError,
            r"y_train: expected 60 values to match its images, got shape \(59,\)",
        ),
        ({"y_train": np.zeros(60)}, TypeError, "y_train: expected whole numbers"),
        ({"y_train": np.full(60, -1)}, ValueError, "y_train: expected class indices from 0, got -1"),
        ({"x_train": np.zeros((60, 64))}, ValueError, r"x_train: expected images .* got shape \(60, 64\)"),
        (
            {"x_train": np.zeros((60, 8, 8), np.int64)},
            TypeError,
            "x_train: expected uint8 or floating images, got int64",
        ),
        ({"x_train": np.full((60, 8, 8), np.nan)}, ValueError, "x_train: 60 of 60 images hold NaN"),
        ({"x_test": np.zeros((60, 9, 8))}, ValueError, "images of different shapes"),
        ({"y_train": np.zeros(60, int), "y_test": np.zeros(60, int)}, ValueError, "at least 2 classes"),
        ({"noise": 1.5}, ValueError, r"noise: expected a share in \[0, 1\], got 1.5"),
        ({"noise": float("nan")}, ValueError, "noise: expected a share"),
        ({"x_val": np.zeros((2, 8, 8))}, ValueError, "give both or neither"),
        ({"x_train": np.zeros((0, 8, 8)), "y_train": np.zeros(0, int)}, ValueError, "the training split is empty"),
    ],
)
def test_what_does_not_fit_is_named(change, error, message):
    x, y = arrays()
    with pytest.raises(error, match=message):
        from_arrays(**{"x_train": x, "y_train": y, "x_test": x, "y_test": y} | change)


# --- files


def test_npz(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "my.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    of, same = load(tmp_path / "my.npz", noise=0.1), from_arrays(x, y, x, y, noise=0.1)
    assert (of.name, of.hash) == ("my", same.hash)


def test_npz_that_is_missing_damaged_or_incomplete_is_named(tmp_path):
    path = tmp_path / "my.npz"
    with pytest.raises(FileNotFoundError, match=r"my.npz: no such file"):
        load(path)
    np.savez(path, x_train=np.zeros(1), other=np.zeros(1))
    with pytest.raises(ValueError, match=r"my.npz: no array 'y_train'; it holds x_train, other"):
        load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"my.npz: damaged"):
        load(path)


def test_npz_with_pickled_objects_is_refused(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "my.npz", x_train=np.array([{}], dtype=object), y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match=r"my.npz: damaged"):
        load(tmp_path / "my.npz")


def folder(path, parts=("train", "test"), classes=("cat", "dog"), each=10):
    for part in parts:
        for k, name in enumerate(classes):
            (path / part / name).mkdir(parents=True)
            for i in range(each):
                Image.fromarray(np.full((8, 8, 3), 100 * k + i, np.uint8)).save(path / part / name / f"{i:02}.png")
    return path


def test_folder(tmp_path):
    of = load(folder(tmp_path / "pets", parts=("train", "val", "test")))
    assert (of.name, of.shape, of.n_classes) == ("pets", (3, 8, 8), 2)
    assert of.train.labels.tolist() == [0] * 10 + [1] * 10
    assert of.train.images[:, 0, 0, 0].argsort().tolist() == list(range(20))  # sorted by class, then file name
    assert len(load(folder(tmp_path / "cut")).val) == 2


def test_folder_with_something_wrong_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"test: no such folder"):
        load(folder(tmp_path / "a", parts=("train",)))
    path = folder(tmp_path / "b")
    (path / "test" / "fish").mkdir()
    with pytest.raises(ValueError, match="class 'fish' is not among the 2 classes"):
        load(path)
    path = folder(tmp_path / "c")
    (path / "train" / "cat" / "03.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"03.png: damaged"):
        load(path)
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(path / "train" / "cat" / "03.png")
    with pytest.raises(ValueError, match=r"03.png: expected an image of shape \(8, 8, 3\)"):
        load(path)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path / "train" / "cat" / "03.png")
    with pytest.raises(ValueError, match=r"03.png: expected 8 bits a channel"):
        load(path)
    with pytest.raises(ValueError, match="no image in any class folder"):
        load(folder(tmp_path / "d", each=0))


def test_unknown_names():
    with pytest.raises(ValueError, match=r"no data set 'cifar11'; known are digits, cifar10, cifar100, .*, a folder"):
        load("cifar11")
    with pytest.raises(FileNotFoundError, match=r"no/such: no such folder"):
        load("no/such")


# --- torchvision: its own readers, on tiny files in the official layout


def test_cifar10_files_are_read(tmp_path, monkeypatch):
    """Only the checksums of the official files are taken out."""
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *_: True)
    home = tmp_path / "cifar-10-batches-py"
    home.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (home / name).write_bytes(pickle.dumps({"data": images, "labels": [i % 10 for i in range(20)]}))
    (home / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    of = load("cifar10", root=tmp_path)
    assert (of.shape, of.n_classes, len(of.train) + len(of.val), len(of.test)) == ((3, 32, 32), 10, 100, 20)
    red = torch.tensor(images.reshape(20, 3, 32, 32)[:, 0], dtype=torch.float32)
    assert torch.corrcoef(torch.stack([red.flatten(), of.test.images[:, 0].flatten()]))[0, 1] > 1 - 1e-6


def test_fashion_mnist_files_are_read(tmp_path):
    pytest.importorskip("torchvision")
    home = tmp_path / "FashionMNIST" / "raw"
    home.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        content = {
            "images-idx3-ubyte": struct.pack(">iiii", 2051, 20, 28, 28) + images.tobytes(),
            "labels-idx1-ubyte": struct.pack(">ii", 2049, 20) + bytes(i % 10 for i in range(20)),
        }
        for name, blob in content.items():
            (home / f"{part}-{name}").write_bytes(blob)
            (home / f"{part}-{name}.gz").write_bytes(gzip.compress(blob))
    of = load("fashion_mnist", root=tmp_path)
    assert (of.shape, of.n_classes, len(of.train) + len(of.val)) == ((1, 28, 28), 10, 20)


@pytest.mark.parametrize(("name", "kind", "targets"), [("svhn", "SVHN", "labels"), ("cifar100", "CIFAR100", "targets")])
def test_other_sets_are_asked_for_both_splits(name, kind, targets, tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    asked = []

    class Fake:
        def __init__(self, root, download, **which):
            asked.append((root, download, which))
            self.data = arrays(30, 10, (3, 32, 32))[0]
            setattr(self, targets, [i % 10 for i in range(30)])

    monkeypatch.setattr(datasets, kind, Fake)
    of = load(name, root=tmp_path)
    assert of.shape == (3, 32, 32)
    assert [(root, download) for root, download, _ in asked] == [(str(tmp_path), True)] * 2
    assert asked[0][2] != asked[1][2]


def test_a_set_that_cannot_be_downloaded_is_named(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")

    def offline(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets, "SVHN", offline)
    with pytest.raises(OSError, match=r"svhn: cannot be read from .* or downloaded to it: no route to host"):
        load("svhn", root=tmp_path)


@pytest.mark.parametrize(("module", "name"), [("sklearn.datasets", "digits"), ("torchvision.datasets", "cifar10")])
def test_a_missing_package_is_an_import_error_with_the_command(module, name, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "unmemorize\[cli\]"'):
        load(name)


# --- augmentation


def naive_crop(image, top, left, pad):
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    return padded[:, top : top + image.shape[1], left : left + image.shape[2]]


def test_crop_is_a_window_of_the_padded_image():
    images = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    cropped = augment(images, ("crop",), torch.Generator().manual_seed(1))
    shifts = set()
    for before, after in zip(images.numpy(), cropped.numpy(), strict=True):
        found = [(t, left) for t in range(5) for left in range(5) if (naive_crop(before, t, left, 2) == after).all()]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) > 10


def test_flip_mirrors_about_half_of_the_images():
    images = torch.randn(400, 1, 8, 8)
    after = augment(images, ("flip",), torch.Generator().manual_seed(0))
    mirrored = (after == images.flip(3)).flatten(1).all(1)
    assert ((after == images).flatten(1).all(1) ^ mirrored).all()
    assert 150 < int(mirrored.sum()) < 250


def test_augmentation_follows_its_generator_only():
    images = torch.randn(16, 3, 32, 32)
    first, second, third = (augment(images, ("crop", "flip"), torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_unknown_augmentation():
    with pytest.raises(ValueError, match="no augmentation 'rotate'; known are crop, flip"):
        augment(torch.zeros(1, 1, 8, 8), ("rotate",), torch.Generator())


def test_names_of_the_sets():
    assert set(data.NAMES) >= {"digits", "cifar10", "cifar100", "svhn", "fashion_mnist"}
