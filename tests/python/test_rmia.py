import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from unmemorize.audit import rmia, roc

coarse = st.integers(0, 8).map(lambda k: k / 8)
probability = coarse | st.floats(0, 1)
positive = st.integers(1, 8).map(lambda k: k / 8) | st.floats(1e-6, 1)
sample = st.lists(st.tuples(probability, positive), min_size=1, max_size=40)
A = st.none() | st.sampled_from([0.0, 0.3, 1.0]) | st.floats(0, 1)


def split(pairs):
    return (np.array(column) for column in zip(*pairs, strict=True))


@settings(max_examples=60, deadline=None)
@given(sample, sample, st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.01, 10), A)
def test_scores_are_bit_for_bit_those_of_all_pairs(examples, population, gamma, a):
    (x, p_x), (z, p_z) = split(examples), split(population)
    assert np.array_equal(rmia(x, p_x, z, p_z, gamma=gamma, a=a), reference.rmia(x, p_x, z, p_z, gamma, a))


def test_scores_are_those_of_all_pairs_at_size():
    x, p_x, z, p_z = np.random.default_rng(0).uniform(0.01, 1, (4, 2000))
    for a in (None, 0.3):
        assert np.array_equal(rmia(x, p_x, z, p_z, a=a), reference.rmia(x, p_x, z, p_z, 2.0, a))


def test_the_attack_finds_members():
    rng = np.random.default_rng(0)
    out = rng.uniform(0.1, 0.9, 3000)
    members = rng.random(3000) < 0.5
    confidence = np.clip(out + 0.3 * members + rng.normal(0, 0.1, 3000), 0.01, 1)
    score = rmia(confidence, out, np.clip(out + rng.normal(0, 0.1, 3000), 0.01, 1), out, gamma=1.0, a=0.3)
    assert roc(score, members).auc > 0.85


def test_the_bits_do_not_depend_on_the_number_of_threads():
    x, p_x, z, p_z = np.random.default_rng(0).uniform(0.01, 1, (4, 5000))
    one = rmia(x, p_x, z, p_z, n_threads=1)
    assert all(np.array_equal(rmia(x, p_x, z, p_z, n_threads=t), one) for t in range(2, 9))


def test_edges():
    assert rmia([], [], [0.5], [0.5]).shape == (0,)
    assert rmia([0.5], [0.5], [0.5], [0.5], gamma=1.0).tolist() == [1.0]  # a tie is a success
    assert rmia([0.0, 0.5], [0.5, 0.5], [0.0, 0.5], [0.5, 0.5], gamma=1.0).tolist() == [0.0, 1.0]
    assert rmia([1.0], [1e-300], [1.0], [1.0]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5], [0.5], [], []), "population_target: expected at least 1 value, got 0"),
        (([0.5], [0.5, 0.5], [0.5], [0.5]), "reference: expected 1 values to match target, got 2"),
        (([0.5], [0.5], [0.5], []), "population_reference: expected 1 values to match population_target, got 0"),
        (([0.5, 1.5], [0.5, 0.5], [0.5], [0.5]), r"target: expected probabilities in \[0, 1\], got 1.5 at position 1"),
        (([0.5], [0.0], [0.5], [0.5]), r"reference: expected probabilities in \[2.2e-308, 1\], got 0.0 at position 0"),
        (([0.5], [5e-324], [0.5], [0.5]), r"reference: expected probabilities in \[2.2e-308, 1\], got 5e-324 at"),
        (
            ([0.5], [0.5], [np.nan], [0.5]),
            r"population_target: expected probabilities in \[0, 1\], got NaN at position 0",
        ),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        rmia(*arguments)


@pytest.mark.parametrize(
    ("name", "bad"), [("gamma", 0.0), ("gamma", 5e-324), ("gamma", np.nan), ("a", 1.5), ("a", np.nan)]
)
def test_a_setting_out_of_range_is_named(name, bad):
    with pytest.raises(ValueError, match=f"{name}: expected .* got {bad}"):
        rmia([0.5], [0.5], [0.5], [0.5], **{name: bad})
