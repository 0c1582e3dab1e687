import math
import threading
import time

import numpy as np
import pytest
import reference
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from unmemorize import _core, stats
from unmemorize.audit import roc

score = st.integers(-3, 3).map(float) | st.floats(allow_nan=False)
attacks = st.lists(st.tuples(score, st.booleans()), min_size=2, max_size=40).filter(
    lambda data: 0 < sum(m for _, m in data) < len(data)
)


def attack(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    members = rng.random(n) < 0.4
    return (rng.normal(size=n) + members).round(1), members


@settings(max_examples=40, deadline=None)
@given(attacks)
def test_a_curve_is_that_of_its_twin(data):
    scores, members = map(np.array, zip(*data, strict=True))
    found, (fpr, tpr, auc) = roc(scores, members), reference.roc(scores, members)
    assert np.array_equal(found.fpr, fpr)
    assert np.array_equal(found.tpr, tpr)
    assert np.array_equal(found.thresholds[1:], np.unique(scores)[::-1])
    assert found.auc == pytest.approx(auc, abs=1e-12)
    assert np.trapezoid(found.tpr, found.fpr) == pytest.approx(auc, abs=1e-12)


def test_a_curve_is_that_of_scikit_learn():
    scores, members = attack()
    found = roc(scores, members)
    fpr, tpr, thresholds = sklearn.metrics.roc_curve(members, scores, drop_intermediate=False)
    assert np.array_equal(found.fpr, fpr)
    assert np.array_equal(found.tpr, tpr)
    assert np.array_equal(found.thresholds, thresholds)
    assert found.auc == pytest.approx(sklearn.metrics.roc_auc_score(members, scores), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(attacks, st.floats(0, 1))
def test_the_rate_at_a_rate_is_a_point_of_the_curve(data, fpr):
    scores, members = map(np.array, zip(*data, strict=True))
    found = roc(scores, members)
    assert found.tpr_at(fpr) == found.tpr[found.fpr <= fpr].max()
    assert found.tpr_at(1.0) == 1.0
    assert found.tpr_interval(fpr, resamples=0).value == found.tpr_at(fpr)


@settings(max_examples=40, deadline=None)
@given(attacks, st.integers(0, 2**64 - 1), st.floats(0, 1))
def test_intervals_are_those_of_resampled_examples(data, seed, fpr):
    scores, members = map(np.array, zip(*data, strict=True))
    counts = [_core.resample_counts(len(scores), seed, b) for b in range(20)]
    counts = [c for c in counts if 0 < (c * members).sum() < len(scores)]

    def auc(s, m):
        return reference.roc(s, m)[2]

    def tpr(s, m):
        rates = reference.roc(s, m)
        return rates[1][rates[0] <= fpr].max()

    found = roc(scores, members)
    for statistic, estimate in (
        (auc, found.auc_interval(level=0.8, resamples=20, seed=seed)),
        (tpr, found.tpr_interval(fpr, level=0.8, resamples=20, seed=seed)),
    ):
        expected = reference.bootstrap(statistic, counts, scores, members, level=0.8) if counts else [math.nan] * 2
        assert [estimate.low, estimate.high] == pytest.approx(list(expected), abs=1e-12, nan_ok=True)
        assert estimate.n == len(scores)


def test_clopper_pearson_is_over_the_members():
    scores, members = attack()
    found = roc(scores, members)
    right = round(found.tpr_at(0.01) * members.sum())
    assert found.tpr_interval(0.01, "clopper-pearson", level=0.9) == stats.proportion_interval(
        right, members.sum(), 0.9
    )


def test_the_bits_do_not_depend_on_the_number_of_threads():
    scores, members = attack(30_000)
    one = roc(scores, members, n_threads=1)
    for t in range(2, 9):
        found = roc(scores, members, n_threads=t)
        assert np.array_equal(found.tpr, one.tpr)
        assert found.auc == one.auc
        assert found.auc_interval(resamples=40, n_threads=t) == one.auc_interval(resamples=40, n_threads=1)
        assert found.tpr_interval(0.01, resamples=40, n_threads=t) == one.tpr_interval(0.01, resamples=40, n_threads=1)
        for method in ("bootstrap", "clopper-pearson"):
            swept = (curve.sweep(method=method, resamples=40, n_threads=k) for curve, k in ((found, t), (one, 1)))
            assert len({tuple(v.tobytes() for v in vars(sweep).values()) for sweep in swept}) == 1
    assert one.auc_interval(resamples=40, seed=1) != one.auc_interval(resamples=40)


@settings(max_examples=40, deadline=None)
@given(attacks, st.lists(score, max_size=5), st.sampled_from([0.5, 0.95]))
def test_a_sweep_counts_what_is_above_each_threshold(data, thresholds, level):
    scores, members = map(np.array, zip(*data, strict=True))
    found = roc(scores, members).sweep(thresholds, level=level)
    assert found.thresholds.tolist() == thresholds
    for side, rates in (
        (members, (found.tpr, found.tpr_low, found.tpr_high)),
        (~members, (found.fpr, found.fpr_low, found.fpr_high)),
    ):
        for threshold, rate, low, high in zip(thresholds, *rates, strict=True):
            wanted = stats.proportion_interval(int((scores[side] >= threshold).sum()), int(side.sum()), level)
            assert (rate, low, high) == (wanted.value, wanted.low, wanted.high)


@settings(max_examples=30, deadline=None)
@given(attacks, st.integers(0, 2**64 - 1))
def test_a_bootstrapped_sweep_is_that_of_resampled_examples(data, seed):
    scores, members = map(np.array, zip(*data, strict=True))
    drawn = [_core.resample_counts(len(scores), seed, b) for b in range(20)]
    found = roc(scores, members).sweep(method="bootstrap", level=0.8, resamples=20, seed=seed)
    assert np.array_equal(found.thresholds, np.unique(scores)[::-1])
    for side, low, high in ((members, found.tpr_low, found.tpr_high), (~members, found.fpr_low, found.fpr_high)):
        counts = [c[side] for c in drawn if c[side].any()]
        for j, threshold in enumerate(found.thresholds if counts else []):
            expected = reference.bootstrap(np.mean, counts, scores[side] >= threshold, level=0.8)
            assert [low[j], high[j]] == pytest.approx(list(expected), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(attacks, st.sampled_from([0.0, 1e-5, 0.2]))
def test_the_epsilon_of_a_curve_is_that_of_its_scores(data, delta):
    scores, members = map(np.array, zip(*data, strict=True))
    found = roc(scores, members).epsilon(delta=delta)
    finite = np.clip(scores, -1e300, 1e300)
    assert found.value == pytest.approx(reference.epsilon(finite[members, None], finite[~members, None], delta)[0])
    assert 0 <= found.low <= found.value
    assert (found.high, found.n) == (math.inf, len(scores))


def test_a_proven_epsilon_is_seldom_more_than_the_truth():
    """Scores without any information, all thresholds searched: of 100 90% bounds at most about 10 are above 0."""
    rng = np.random.default_rng(0)
    found = [roc(rng.normal(size=100), np.arange(100) < 50).epsilon(level=0.9) for _ in range(100)]
    assert sum(bound.low > 0 for bound in found) <= 15
    assert all(bound.value > 0 for bound in found)
    apart = roc(np.arange(2000.0), np.arange(2000) >= 1000).epsilon()
    assert apart.value == math.inf
    assert 4 < apart.low < 5  # ln of about 1000 over ln(2 * 2 * 2000 / 0.05)


def test_intervals_hold_their_level():
    """Of 200 samples of 120 scores, the 90% interval holds the true area in about 180."""
    rng, truth = np.random.default_rng(0), 0.5 * (1 + math.erf(1 / math.sqrt(2) / math.sqrt(2)))
    held = 0
    for seed in range(200):
        members = np.arange(120) < 60
        found = roc(rng.normal(size=120) + members, members).auc_interval(level=0.9, resamples=300, seed=seed)
        held += found.low <= truth <= found.high
    assert 165 <= held <= 192


def test_extremes_are_ordered_like_others():
    found = roc([-np.inf, 0.0, -0.0, 1e308, np.inf], [False, True, False, True, True])
    assert found.auc == pytest.approx((1.5 + 2 + 2) / 6)
    equal = roc([1.0] * 4, [True, False, True, False])
    assert (equal.auc, equal.tpr_at(0.99), equal.tpr.tolist()) == (0.5, 0.0, [0.0, 1.0])


def test_other_threads_run_meanwhile():
    scores, members = attack(50_000)
    curve, ticks, done = roc(scores, members), [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    curve.auc_interval(resamples=400, n_threads=1)
    done.set()
    thread.join()
    assert len(ticks) > 5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: roc([], []), ValueError, "members: expected at least 1 member and 1 other.* got 0 and 0"),
        (lambda: roc([1.0, 2.0], [True, True]), ValueError, "got 2 and 0"),
        (lambda: roc([1.0, 2.0], [False, False]), ValueError, "got 0 and 2"),
        (lambda: roc([1.0, 2.0], [False]), ValueError, "members: expected 2 values to match scores, got 1"),
        (
            lambda: roc([1.0, np.nan], [False, True]),
            ValueError,
            "scores: 1 of 2 values are NaN, the first at position 1",
        ),
        (lambda: roc([1.0, 2.0], [0, 1]), TypeError, "members: expected bool, got int64"),
        (lambda: roc([[1.0, 2.0]], [False, True]), ValueError, "scores: expected shape"),
        (lambda: roc([1.0, 2.0], [False, True]).tpr_at(1.5), ValueError, r"fpr: expected a share in \[0, 1\], got 1.5"),
        (lambda: roc([1.0, 2.0], [False, True]).tpr_interval(0.1, "wald"), ValueError, "method: expected 'bootstrap'"),
        (lambda: roc([1.0, 2.0], [False, True]).sweep([np.nan]), ValueError, "thresholds: 1 of 1 values are NaN"),
        (lambda: roc([1.0, 2.0], [False, True]).sweep(method="wald"), ValueError, "method: expected 'bootstrap'"),
        (
            lambda: roc([1.0, 2.0], [False, True]).sweep(method="bootstrap", together=True),
            ValueError,
            "together: expected method='clopper-pearson', got 'bootstrap'",
        ),
        (lambda: roc([1.0, 2.0], [False, True]).epsilon(delta=1.0), ValueError, "delta: expected a share"),
        (lambda: roc([1.0, 2.0], [False, True]).auc_interval(level=1.0), ValueError, "level: expected a share"),
        (lambda: roc([1.0, 2.0], [False, True]).auc_interval(resamples=-1), ValueError, "resamples: expected at least"),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
