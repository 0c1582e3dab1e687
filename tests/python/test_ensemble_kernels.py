"""Estimators of an ensemble against their NumPy twins."""

import numpy as np
import pytest
import reference
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unmemorize import BitMatrix
from unmemorize.ensemble import (
    Ensemble,
    c_score,
    influence,
    influence_std_error,
    influence_topk,
    memorization,
    reliability,
    soft_memorization,
)
from unmemorize.ensemble.estimators import out_of_sample


@st.composite
def ensembles(draw):
    """member (T, n), correct (T, n), test_correct (T, m)."""
    models, n, m = draw(st.integers(0, 140)), draw(st.integers(1, 90)), draw(st.integers(0, 30))
    bits = [draw(hnp.arrays(np.bool_, (models, columns))) for columns in (n, n, m)]
    if draw(st.booleans()):
        bits[0][:, 0], bits[0][:, -1] = True, False  # no estimate for these
    return bits


@settings(max_examples=60, deadline=None)
@given(bits=ensembles(), n_threads=st.integers(1, 8), packed=st.booleans())
def test_memorization_is_its_formula(bits, n_threads, packed):
    member, correct, _ = bits
    score, error = reference.memorization(member, correct)
    inputs = [BitMatrix.pack(x) if packed else x for x in (member, correct)]
    found = memorization(*inputs, n_threads=n_threads)
    np.testing.assert_array_equal(found.score, score)
    np.testing.assert_allclose(found.std_error, error, rtol=1e-14)
    np.testing.assert_array_equal(found.n_in, member.sum(0))
    np.testing.assert_array_equal(found.n_out, (~member).sum(0))
    np.testing.assert_array_equal(c_score(*inputs, n_threads=n_threads), reference.c_score(member, correct))
    assert len(found) == member.shape[1]


def test_no_estimate_is_nan_and_legacy_counts_it_as_zero():
    member = np.array([[True, False, True], [True, False, False]])
    correct = np.ones((2, 3), bool)
    found, legacy = memorization(member, correct), memorization(member, correct, legacy=True)
    np.testing.assert_array_equal(found.score, [np.nan, np.nan, 0])
    np.testing.assert_array_equal(legacy.score, [1, -1, 0])
    for scores in (found, legacy):
        np.testing.assert_array_equal(np.isnan(scores.std_error), [True, True, False])
        assert scores.std_error[2] > 0  # all models right: still no claim of certainty


def test_the_standard_error_covers_the_truth():
    rng = np.random.default_rng(0)
    models, n, p_in, p_out = 100, 4000, 0.95, 0.4
    member = rng.random((models, n)) < 0.7
    correct = rng.random((models, n)) < np.where(member, p_in, p_out)
    found = memorization(member, correct)
    covered = np.abs(found.score - (p_in - p_out)) < 1.96 * found.std_error
    assert abs(covered.mean() - 0.95) < 0.02


@settings(max_examples=60, deadline=None)
@given(bits=ensembles(), n_threads=st.integers(1, 8), k=st.integers(1, 90), by=st.sampled_from(["value", "magnitude"]))
def test_influence_and_its_largest_are_their_formulas(bits, n_threads, k, by):
    member, _, test = bits
    dense = influence(member, test, n_threads=n_threads)
    assert dense.dtype == np.float32
    np.testing.assert_allclose(dense, reference.influence(member, test), atol=1e-7)
    k = min(k, member.shape[1])
    ids, values = influence_topk(member, test, k, by=by, n_threads=n_threads)
    wanted_ids, wanted = reference.influence_topk(member, test, k, by)
    assert ids.shape == values.shape == (test.shape[1], k)
    np.testing.assert_allclose(values, wanted, atol=1e-7)
    np.testing.assert_array_equal(ids, wanted_ids)


@settings(max_examples=40, deadline=None)
@given(bits=ensembles(), n_threads=st.integers(1, 8), data=st.data())
def test_influence_has_the_standard_error_of_memorization(bits, n_threads, data):
    member, _, test = bits
    wanted = reference.influence_std_error(member, test).reshape(test.shape[1], member.shape[1])
    np.testing.assert_allclose(influence_std_error(member, test, n_threads=n_threads), wanted, rtol=1e-14)
    ids = data.draw(hnp.arrays(np.int64, (test.shape[1], 3), elements=st.integers(-1, member.shape[1] - 1)))
    some = np.where(ids < 0, np.nan, np.take_along_axis(wanted, np.maximum(ids, 0), 1))
    np.testing.assert_allclose(influence_std_error(member, test, ids, n_threads=n_threads), some, rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(bits=ensembles(), tests=st.slices(30))
def test_influence_of_a_slice_of_the_tests_is_a_slice_of_the_influence(bits, tests):
    member, _, test = bits
    if tests.step not in (None, 1):
        with pytest.raises(ValueError, match="tests: expected consecutive test examples, got a step of"):
            influence(member, test, tests=tests)
    else:
        np.testing.assert_array_equal(influence(member, test, tests=tests), influence(member, test)[tests])


@pytest.mark.parametrize("models", [255, 256, 4096, 5792, 5793, 8192, 9001])  # in float32 up to 5792
def test_influence_is_the_nearest_float32_whatever_the_number_of_models(models):
    rng = np.random.default_rng(0)
    member, test = (rng.random((models, columns)) < np.linspace(0, 1, columns) for columns in (600, 7))
    k, both, right = member.sum(0), test.T.astype(int) @ member, test.sum(0)[:, None]
    with np.errstate(invalid="ignore"):  # none or all of the models: 0 / 0
        exact = (both * models - right * k).astype(np.longdouble) / (k * (models - k))
    np.testing.assert_array_equal(influence(member, test), exact.astype(np.float32))


def test_the_largest_of_many_are_found():
    rng = np.random.default_rng(0)
    member, test = rng.random((60, 5000)) < 0.7, rng.random((60, 37)) < 0.8
    dense = influence(member, test)
    ids, values = influence_topk(member, test, 50)
    order = np.lexsort((np.broadcast_to(np.arange(5000), dense.shape), -dense), axis=1)[:, :50]
    np.testing.assert_array_equal(ids, order)
    np.testing.assert_array_equal(values, np.take_along_axis(dense, order, 1))


@settings(max_examples=40, deadline=None)
@given(bits=ensembles(), n_threads=st.integers(1, 8), dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_out_of_sample_is_the_mean_over_the_others(bits, n_threads, dtype):
    member = bits[0]
    if not len(member):
        return
    probs = np.random.default_rng(0).dirichlet(np.ones(4), member.shape).astype(dtype)
    wanted = reference.out_of_sample(member, probs)
    np.testing.assert_allclose(out_of_sample(member, probs, n_threads=n_threads), wanted, atol=1e-12)
    streamed = out_of_sample(BitMatrix.pack(member), (torch.tensor(p) for p in probs), n_threads=n_threads)
    np.testing.assert_allclose(streamed, wanted, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    bits=ensembles(),
    n_threads=st.integers(1, 8),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    whole=st.booleans(),
)
def test_soft_memorization_is_its_formula(bits, n_threads, dtype, whole):
    member = bits[0]
    p = np.random.default_rng(0).random(member.shape).astype(dtype)
    wanted = reference.soft_memorization(member, p)
    confidence = p if whole else (torch.tensor(row) for row in p)
    found = soft_memorization(BitMatrix.pack(member), confidence, n_threads=n_threads)
    np.testing.assert_allclose([found.score, found.std_error], wanted, atol=1e-12)
    np.testing.assert_array_equal([found.n_in, found.n_out], [member.sum(0), (~member).sum(0)])


def test_soft_memorization_of_certain_models_is_memorization():
    member, correct = np.random.default_rng(0).random((2, 50, 30)) < 0.6
    soft, hard = soft_memorization(member, correct.astype(np.float16)), memorization(member, correct)
    np.testing.assert_allclose(soft.score, hard.score, atol=1e-15)


def _planted(models=300, n=400, seed=0):
    """Models that learn example i by heart with probability i / n."""
    rng = np.random.default_rng(seed)
    member = rng.random((models, n)) < 0.7
    return member, (rng.random((models, n)) < 0.3) | (member & (rng.random((models, n)) < np.arange(n) / n))


def test_reliability_predicts_the_agreement_with_another_ensemble():
    member, correct = _planted()
    found = reliability(member, correct, splits=30)
    again = memorization(*_planted(seed=1)).score
    agreement = reference.spearman(memorization(member, correct).score, again)
    assert abs(found.value - agreement) < 0.02
    assert found.low < found.value < found.high
    assert found.n == 400
    assert reliability(member, correct, splits=30) == found
    assert reliability(member, correct, splits=30, seed=1) != found


def test_reliability_of_the_c_score_predicts_its_agreement_with_another_ensemble():
    (member, correct), (other, right) = _planted(), _planted(seed=1)
    found = reliability(~member, correct, of="c_score", splits=30)  # now those that are left out differ by example
    agreement = reference.spearman(c_score(~member, correct), c_score(~other, right))
    assert found.value > 0.95
    assert abs(found.value - agreement) < 0.02
    flat = reliability(member, correct | ~member, of="c_score")
    assert np.isnan(flat.value), "every score is 1"


def test_reliability_leaves_out_what_has_no_estimate():
    member, correct = _planted()
    member[:, :50] = True
    assert reliability(member, correct).n == 350
    nothing = reliability(np.ones((8, 5), bool), np.ones((8, 5), bool))
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert nothing.n == 0


def test_the_same_bits_for_any_number_of_threads():
    member, correct = _planted(130, 3000)
    found = set()
    for n_threads in range(1, 9):
        scores = memorization(member, correct, n_threads=n_threads)
        dense = influence(member, correct[:, :70], n_threads=n_threads)
        agreement = reliability(member, correct, splits=3, n_threads=n_threads)
        found.add((scores.score.tobytes(), scores.std_error.tobytes(), dense.tobytes(), agreement))
    assert len(found) == 1


FOUR = np.zeros((4, 3), bool)
PROBS = np.full((4, 3, 2), 0.5)


def test_results_that_no_memory_holds_are_errors():
    none = BitMatrix.pack(np.zeros((0, 2**27), bool))
    with pytest.raises(ValueError, match=rf"k: shape \({2**27}, {2**27}\) has more elements than memory can hold"):
        influence_topk(none, none, 2**27)
    with pytest.raises(ValueError, match=rf"ids: shape \({2**27}, {2**27}\) has more elements than memory can hold"):
        influence_std_error(none, none)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: memorization(FOUR, FOUR[:, :2]),
            ValueError,
            r"correct: expected shape \(4, 3\) to match member, got \(4, 2\)",
        ),
        (lambda: memorization(FOUR[0], FOUR), ValueError, r"member: expected shape \(T, n\), got \(3,\)"),
        (
            lambda: memorization(FOUR, FOUR.astype(float)),
            TypeError,
            "correct: expected bool, got float64; compare first",
        ),
        (
            lambda: influence(FOUR, FOUR[:3]),
            ValueError,
            r"test_correct: expected 4 models \(rows\) to match member, got 3",
        ),
        (
            lambda: influence_topk(FOUR, FOUR, 4),
            ValueError,
            "k: expected 1 to 3, the number of training examples, got 4",
        ),
        (
            lambda: influence_topk(FOUR, FOUR, 1, by="size"),
            ValueError,
            "by: expected 'value' or 'magnitude', got 'size'",
        ),
        (
            lambda: influence_std_error(FOUR, FOUR, [[3], [0], [0]]),
            IndexError,
            "ids: 3 is out of range for an ensemble",
        ),
        (lambda: influence_std_error(FOUR, FOUR, [[0]]), ValueError, "ids: expected 3 rows to match the test examples"),
        (lambda: influence_topk(FOUR, FOUR, 0), ValueError, "k: expected at least 1, got 0"),
        (lambda: influence_topk(FOUR, FOUR, 1.5), TypeError, "integer"),
        (lambda: reliability(FOUR[:3], FOUR[:3]), ValueError, "needs at least 4 models, got 3"),
        (
            lambda: reliability(FOUR, FOUR, of="loss"),
            ValueError,
            "of: expected 'memorization' or 'c_score', got 'loss'",
        ),
        (lambda: reliability(FOUR, FOUR[:, :1], of="c_score"), ValueError, r"expected shape \(4, .*, got \(4, 1\)"),
        (lambda: reliability(FOUR, FOUR, splits=0), ValueError, "splits: expected at least 1, got 0"),
        (lambda: reliability(FOUR, FOUR, splits=2**62), ValueError, "splits: expected 1 to 100000, got"),
        (lambda: reliability(FOUR, FOUR, seed=-1), ValueError, "seed: expected 0 to"),
        (lambda: memorization(FOUR, FOUR, n_threads=0), ValueError, "n_threads: expected 1 to 1024, got 0"),
        (
            lambda: out_of_sample(FOUR, PROBS[:3]),
            ValueError,
            r"probs: expected 4 models \(at least 1\) to match member, got 3",
        ),
        (
            lambda: out_of_sample(FOUR, iter([*PROBS, PROBS[0]])),
            ValueError,
            "probs: expected 4 models to match member, got more",
        ),
        (lambda: out_of_sample(FOUR, PROBS[:, :2]), ValueError, "probs: expected 3 examples to match member, got 2"),
        (lambda: out_of_sample(FOUR, [PROBS[0], PROBS[0][:, :1]]), ValueError, r"probs: expected shape \(3, 2\)"),
        (
            lambda: out_of_sample(FOUR, PROBS * 3),
            ValueError,
            r"expected probabilities in \[0, 1\], got 1.5 for example 0",
        ),
        (
            lambda: out_of_sample(FOUR, PROBS * np.nan),
            ValueError,
            r"expected probabilities in \[0, 1\], got NaN for example 0",
        ),
        (
            lambda: soft_memorization(FOUR, PROBS[:3, :, 0]),
            ValueError,
            "confidence: expected 4 models to match member, got 3",
        ),
        (
            lambda: soft_memorization(FOUR, PROBS[:, :2, 0]),
            ValueError,
            "confidence: expected 4 models of 3 examples to match member, got 4 of 2",
        ),
        (lambda: soft_memorization(FOUR[:3], PROBS[:, :, 0]), ValueError, "expected 3 models of 3 .* got 4 of 3"),
        (lambda: soft_memorization(FOUR, PROBS[:, :, 0] * 3), ValueError, "got 1.5 for example 0 in model 0"),
        (lambda: soft_memorization(FOUR, PROBS[:, :, 0] * np.nan), ValueError, "got NaN for example 0 in model 0"),
        (lambda: out_of_sample(FOUR, PROBS.astype(int)), TypeError, "probs: expected float16"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_store_knows_soft_memorization_from_its_log_odds(tmp_path):
    rng = np.random.default_rng(0)
    member, phi = rng.random((6, 9)) < 0.5, rng.normal(scale=5, size=(6, 9)).astype(np.float16)
    phi[0, 0] = -60_000
    store = Ensemble.create(tmp_path / "store", 9, 1)
    with pytest.raises(ValueError, match="no reference model holds log-odds"):
        store.memorization(soft=True)
    for row, odds in zip(member, phi, strict=True):
        store.append(row, odds > 0, [True], phi=odds)
    found = store.memorization(soft=True)
    wanted = reference.soft_memorization(member, scipy.special.expit(phi.astype(float)))
    np.testing.assert_allclose([found.score, found.std_error], wanted, atol=1e-12)
    with pytest.raises(ValueError, match="legacy: there is no published code of the soft variant"):
        store.memorization(soft=True, legacy=True)
