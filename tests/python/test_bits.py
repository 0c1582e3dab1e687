"""Bit matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unmemorize import BitMatrix
from unmemorize.errors import StoreError

MATRICES = hnp.arrays(np.bool_, st.tuples(st.integers(0, 70), st.integers(0, 200)))


@settings(max_examples=60, deadline=None)
@given(values=MATRICES, n_threads=st.integers(1, 8))
def test_pack_is_numpy_packbits(values, n_threads):
    packed = BitMatrix.pack(values, n_threads=n_threads)
    assert packed.shape == values.shape
    np.testing.assert_array_equal(packed.unpack(n_threads=n_threads), values)
    np.testing.assert_array_equal(packed.counts(n_threads=n_threads), values.sum(1))
    np.testing.assert_array_equal(packed.packed(), np.packbits(values, axis=1, bitorder="little"))
    assert BitMatrix.from_packed(packed.packed(), values.shape[1]) == packed


@settings(max_examples=20, deadline=None)
@given(values=MATRICES)
def test_any_layout_packs_the_same(values):
    wanted = BitMatrix.pack(values)
    read_only = values.copy()
    read_only.flags.writeable = False
    for twisted in (np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2], read_only, torch.tensor(values)):
        assert BitMatrix.pack(twisted) == wanted
    assert BitMatrix.pack(wanted) is wanted


def test_save_and_load(tmp_path):
    packed = BitMatrix.pack(np.random.default_rng(0).random((7, 333)) < 0.3)
    path = tmp_path / "bits.safetensors"
    packed.save(path)
    assert BitMatrix.load(path) == packed
    whole = path.read_bytes()
    for damaged in (b"", whole[:-9], whole[:-1] + b"\xff"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=str(path)):
            BitMatrix.load(path)
    with pytest.raises(FileNotFoundError, match="missing"):
        BitMatrix.load(tmp_path / "missing")


def test_equality_needs_the_same_shape_and_bits():
    values = np.eye(3, dtype=bool)
    assert BitMatrix.pack(values) == BitMatrix.pack(values)
    assert BitMatrix.pack(values) != BitMatrix.pack(~values)
    assert BitMatrix.pack(values) != BitMatrix.pack(values[:2])
    assert BitMatrix.pack(values) != "values"
    with pytest.raises(TypeError, match="unhashable"):
        hash(BitMatrix.pack(values))
    assert repr(BitMatrix.pack(values)) == "BitMatrix(shape=(3, 3))"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BitMatrix.pack(np.zeros(3, bool)), ValueError, r"values: expected shape \(T, n\), got \(3,\)"),
        (lambda: BitMatrix.pack(np.zeros((2, 2), int)), TypeError, "values: expected bool, got int64; compare first"),
        (lambda: BitMatrix.from_packed(np.zeros((1, 2), np.uint8), 17), ValueError, "packed: expected 3 values"),
        (
            lambda: BitMatrix.from_packed(np.full((1, 1), 8, np.uint8), 3),
            ValueError,
            "bits beyond the last of 3 columns",
        ),
        (lambda: BitMatrix.from_packed(np.zeros((1, 1)), 3), ValueError, "packed: expected uint8"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
