import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from unmemorize import partition, strata

finite = st.floats(allow_nan=False, width=32)
ties = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1e-320, 0.5, np.inf])
scores = st.lists(finite | ties, min_size=1, max_size=60)


def by_position(x):
    return np.argsort(np.asarray(x) + 0.0, kind="stable")


@given(scores, st.data())
def test_strata_are_those_of_a_stable_sort(x, data):
    k = data.draw(st.integers(1, len(x)))
    found = strata(x, k)
    assert found.dtype == np.int64
    assert np.array_equal(found, reference.strata(x, k))
    assert np.ptp(np.bincount(found, minlength=k)) <= 1


@given(scores)
def test_argsort_is_stable(x):
    assert np.array_equal(partition.argsort(x), by_position(x))


@given(scores, st.data())
def test_lowest_and_highest_are_the_ends_of_the_order(x, data):
    size = data.draw(st.integers(0, len(x)))
    order = by_position(x)
    assert np.array_equal(partition.lowest(x, size), np.sort(order[:size]))
    assert np.array_equal(partition.highest(x, size), np.sort(order[len(x) - size :]))


@given(scores, finite | ties, st.data())
def test_nearest_is_the_lowest_distance(x, value, data):
    size = data.draw(st.integers(0, len(x)))
    with np.errstate(invalid="ignore"):
        distance = np.where(np.array(x) == value, 0.0, np.abs(np.array(x) - value))
    assert np.array_equal(partition.nearest(x, value, size), np.sort(by_position(distance)[:size]))


@given(st.lists(st.tuples(finite | ties, st.sampled_from("abc")), min_size=1, max_size=60), st.integers(1, 4))
def test_strata_within_groups_are_strata_of_each_group(pairs, k):
    x, by = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    groups = [by == g for g in np.unique(by)]
    if min(g.sum() for g in groups) < k:
        with pytest.raises(ValueError, match=r"k: expected 1 to \d, the number of examples, got"):
            strata(x, k, by=by)
    else:
        found = strata(x, k, by=by)
        assert all(np.array_equal(found[g], reference.strata(x[g], k)) for g in groups)


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(0).random(200_001),
        np.random.default_rng(0).random(200_001) ** 40 * 1e-200,
        np.repeat([1.0, 0.0, -1.0], 70_000),
        np.zeros(150_000),
        np.arange(150_000, 0, -1.0),
    ],
    ids=["uniform", "tiny", "three values", "all equal", "reversed"],
)
def test_large_arrays_are_cut_alike_for_any_number_of_threads(x):
    expected = reference.strata(x, 7)
    order = by_position(x)
    for n_threads in range(1, 9):
        assert np.array_equal(strata(x, 7, n_threads=n_threads), expected)
    assert np.array_equal(partition.argsort(x, n_threads=3), order)
    assert np.array_equal(partition.highest(x, 777, n_threads=3), np.sort(order[-777:]))


def test_strata_within_groups_do_not_depend_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    x, by = rng.random(100_000).round(3), rng.integers(0, 10, 100_000)
    one = strata(x, 5, by=by, n_threads=1)
    assert all(np.array_equal(one, strata(x, 5, by=by, n_threads=t)) for t in range(2, 9))
    assert np.array_equal(one[by == 4], reference.strata(x[by == 4], 5))


def test_any_layout_and_precision_gives_the_same_strata():
    x = np.random.default_rng(0).integers(-50, 50, 100)
    expected = reference.strata(x, 4)
    read_only = x.astype(np.float64)
    read_only.flags.writeable = False
    strided = np.stack([x, x], axis=1).astype(np.float32)[:, 0]
    layouts = [
        x,
        x.astype(">f8"),
        x.astype(np.float16),
        x.astype(np.int8),
        x[::-1][::-1],
        strided,
        read_only,
        x.tolist(),
    ]
    assert all(np.array_equal(strata(layout, 4), expected) for layout in layouts)


def test_tensors_are_scores():
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.bfloat16, requires_grad=True)
    assert strata(x, 2).tolist() == [1, 0, 1, 0]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no peak of memory that can be set back")
@pytest.mark.parametrize(
    ("call", "most"),
    [
        ("strata(x, 3)", 11),
        ("strata(x, 17)", 11),
        ("strata(x, 100)", 24),
        ("strata(x, 3, by=by)", 48),
        ("partition.argsort(x)", 24),
        ("partition.lowest(x, n // 10)", 4),
        ("partition.highest(x, n // 10)", 4),
        ("partition.nearest(x, 0.5, n // 10)", 4),
        ("partition.sample(n, n // 10, 0)", 4),
    ],
)
def test_memory_is_what_the_documentation_says(call, most):
    """At most so many bytes a score, the result included, for 4 million."""
    code = f"""
import re, numpy as np
from unmemorize import partition, strata
n = 4_000_000
x, by = np.random.default_rng(0).random(n, np.float32), np.arange(n) % 10
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
{call.replace("(x", "(x[:999]").replace("by=by", "by=by[:999]").replace("n // 10", "9")}
open("/proc/self/clear_refs", "w").write("5")
before = peak()
{call}
print((peak() - before) / n)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= most


@given(
    st.lists(st.floats(allow_nan=False, width=32) | ties.filter(lambda v: abs(v) != 1e-320), min_size=1, max_size=60)
)
def test_float32_is_cut_as_the_exact_float64(x):
    half, size = np.array(x, np.float32), (len(x) + 1) // 2
    for cut in (partition.lowest, partition.highest, strata, lambda x, size: partition.nearest(x, 0.25, size)):
        assert np.array_equal(cut(half, size), cut(half.astype(np.float64), size))
    assert np.array_equal(partition.argsort(half), by_position(x))


@pytest.mark.parametrize("size", [0, 1, 37, 100])
def test_samples_are_distinct_and_repeatable(size):
    found = partition.sample(100, size, seed=3)
    assert len(np.unique(found)) == size
    assert np.array_equal(found, np.sort(found))
    assert all(np.array_equal(found, partition.sample(100, size, seed=3, n_threads=t)) for t in range(1, 9))
    assert size in (0, 100) or not np.array_equal(found, partition.sample(100, size, seed=4))


@given(st.integers(1, 200), st.integers(0, 200), st.integers(0, 2**64 - 1))
def test_samples_and_random_strata_are_those_of_their_twins(n, size, seed):
    size, k = min(size, n), max(1, min(size, n))
    assert np.array_equal(partition.sample(n, size, seed=seed), reference.sample(n, size, seed))
    assert np.array_equal(partition.random_strata(n, k, seed=seed), reference.random_strata(n, k, seed))


def test_samples_are_the_same_on_every_machine():
    assert partition.sample(1000, 5, seed=0).tolist() == [201, 436, 700, 826, 869]
    assert partition.random_strata(9, 3, seed=2**64 - 1).tolist() == [1, 1, 0, 1, 0, 2, 2, 2, 0]


def test_every_example_is_drawn_equally_often():
    drawn = np.bincount(np.concatenate([partition.sample(50, 10, seed=s) for s in range(4000)]), minlength=50)
    deviation = (drawn - 800) / np.sqrt(4000 * 0.2 * 0.8)
    assert np.abs(deviation).max() < 4.5
    assert 0.6 < deviation.var() < 1.6


def test_random_strata_have_the_sizes_of_strata():
    assert np.bincount(partition.random_strata(11, 4, seed=5)).tolist() == [2, 3, 3, 3]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: strata([], 1), ValueError, "k: expected 1 to 0, the number of examples, got 1"),
        (lambda: strata([1.0], 2), ValueError, "k: expected 1 to 1, the number of examples, got 2"),
        (lambda: strata([1.0], 0), ValueError, "k: expected at least 1, got 0"),
        (lambda: strata([1.0, np.nan, np.nan], 1), ValueError, "score: 2 of 3 values are NaN, the first at position 1"),
        (lambda: strata([1.0, 2.0], 1, by=[0]), ValueError, "by: expected 2 values to match score, got 1"),
        (lambda: strata([[1.0]], 1), ValueError, r"score: expected shape \(n,\), got \(1, 1\)"),
        (lambda: strata(["a"], 1), TypeError, "score: expected real numbers, got str"),
        (lambda: strata([1j], 1), TypeError, "score: expected real numbers, got complex128"),
        (lambda: strata([1.0], 1, n_threads=0), ValueError, "n_threads: expected 1 to 1024, got 0"),
        (lambda: partition.lowest([1.0], 2), ValueError, "size: expected at most 1, the number of examples, got 2"),
        (lambda: partition.highest([1.0], 2), ValueError, "size: expected at most 1, the number of examples, got 2"),
        (lambda: partition.highest([1.0], -1), ValueError, "size: expected at least 0, got -1"),
        (lambda: partition.nearest([1.0], np.nan, 1), ValueError, "value: 1 of 1 values are NaN"),
        (lambda: partition.sample(3, 4, seed=0), ValueError, "size: expected at most 3, the number of examples, got 4"),
        (lambda: partition.sample(2**50, 1, seed=0), ValueError, "n: shape .* has more elements than memory can hold"),
        (lambda: partition.sample(3, 1, seed=-1), ValueError, r"seed: expected 0 to 2\^64 - 1, got -1"),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
