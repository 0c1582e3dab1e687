"""Bit matrices."""

import re
from pathlib import Path

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
    assert packed.transpose(n_threads=n_threads) == BitMatrix.pack(values.T)
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


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (1, 63), (1, 64), (1, 65), (3, 128)])
@pytest.mark.parametrize("fill", [False, True])
def test_edges(tmp_path, shape, fill):
    values = np.full(shape, fill)
    packed = BitMatrix.pack(values)
    assert packed.shape == packed.unpack().shape == shape
    assert packed.counts().tolist() == values.sum(1).tolist()
    np.testing.assert_array_equal(packed.transpose().unpack(), values.T)
    packed.save(tmp_path / "bits")
    assert BitMatrix.load(tmp_path / "bits") == packed


def test_shapes_that_no_memory_holds_are_errors():
    with pytest.raises(ValueError, match=rf"bits: shape \({2**40}, 0\) has more elements than memory can hold"):
        BitMatrix.pack(np.zeros((2**40, 0), bool))
    with pytest.raises(ValueError, match=rf"packed: expected {3 * 2**60} values"):
        BitMatrix.from_packed(np.zeros((3, 0), np.uint8), 2**63 - 1)


def test_the_same_bits_for_any_number_of_threads():
    values = np.random.default_rng(0).random((70, 40_000)) < 0.3
    wanted = BitMatrix.pack(values, n_threads=1)
    for n_threads in range(2, 9):
        packed = BitMatrix.pack(values, n_threads=n_threads)
        assert packed == wanted
        np.testing.assert_array_equal(packed.unpack(n_threads=n_threads), values)
        np.testing.assert_array_equal(packed.counts(n_threads=n_threads), values.sum(1))
    assert packed.transpose(n_threads=n_threads) == BitMatrix.pack(values.T)


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


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 200])
def test_either_of_two_matrices(n):
    one, two = (np.random.default_rng(seed).random((3, n)) < 0.5 for seed in (0, 1))
    assert BitMatrix.pack(one) | BitMatrix.pack(two) == BitMatrix.pack(one | two)


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
        (
            lambda: BitMatrix.pack(np.ones((1, 2), bool)) | BitMatrix.pack(np.ones((2, 1), bool)),
            ValueError,
            r"other: expected shape \(1, 2\), got \(2, 1\)",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def told_to_the_system(array):
    """The flags of the mapping that holds the middle of an array, as in proc_pid_smaps(5)."""
    address = array.ctypes.data + array.nbytes // 2
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.M)[1:]:
        first, last = (int(x, 16) for x in mapping.split(maxsplit=1)[0].split("-"))
        if first <= address < last:
            return re.search("VmFlags: (.*)", mapping)[1].split()
    raise AssertionError(f"no mapping holds {address:#x}")


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a system without large pages")
def test_a_large_result_asks_for_large_pages():
    unpacked = BitMatrix.pack(np.ones((20_000, 1000), np.bool_)).unpack()
    assert "hg" in told_to_the_system(unpacked)
