import itertools
import json
import math

import numpy as np
import pytest
import reference
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from unmemorize import _core, stats
from unmemorize.stats import Estimate

CORRELATIONS = {"pearson": stats.pearson, "spearman": stats.spearman, "kendall": stats.kendall}
NAMES = pytest.mark.parametrize("name", CORRELATIONS)
few = st.integers(-3, 3).map(float)  # many ties
number = few | st.floats(-1000, 1000, width=16)
pairs = st.lists(st.tuples(number, number), min_size=2, max_size=40)


def tied(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).round(1)
    return x, (x + rng.normal(size=n)).round(1)


@NAMES
@given(pairs)
def test_a_correlation_is_that_of_its_twin(name, data):
    x, y = np.array(data).T
    found = CORRELATIONS[name](x, y, resamples=0)
    assert found.n == len(x)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.value == pytest.approx(getattr(reference, name)(x, y), abs=1e-9, nan_ok=True)


@NAMES
def test_a_correlation_is_that_of_scipy(name):
    x, y = tied(2000)
    theirs = {"pearson": scipy.stats.pearsonr, "spearman": scipy.stats.spearmanr, "kendall": scipy.stats.kendalltau}
    assert CORRELATIONS[name](x, y).value == pytest.approx(theirs[name](x, y)[0], abs=1e-13)


@given(st.lists(st.tuples(number, number, number, number), min_size=2, max_size=30), st.integers(1, 8))
def test_spearman_of_columns_is_that_of_each(data, n_threads):
    *columns, y = np.array(data).T
    options = {"level": 0.8, "seed": 3, "resamples": 10, "n_threads": n_threads}
    found = stats.spearman_columns(np.stack(columns, axis=1), y, **options)
    assert [repr(one) for one in found] == [repr(stats.spearman(x, y, **options)) for x in columns]
    assert stats.spearman_columns(np.empty((len(y), 0)), y) == []


@pytest.mark.parametrize(("ranks", "name"), [(True, "spearman"), (False, "pearson")])
def test_a_p_value_is_the_share_of_permutations_as_strong(ranks, name):
    x, y = np.random.default_rng(3).normal(size=(2, 6))
    correlations = np.abs([getattr(reference, name)(x, y[list(order)]) for order in itertools.permutations(range(6))])
    found = stats.permutation_p(x, y, ranks=ranks, permutations=10_000)
    assert found == pytest.approx((correlations >= correlations[0] - 1e-12).mean(), abs=0.02)
    assert found == stats.permutation_p(x, y, ranks=ranks, permutations=10_000)
    assert found != stats.permutation_p(x, y, ranks=ranks, permutations=10_000, seed=1)


@pytest.mark.parametrize("ranks", [True, False])
@given(data=pairs, permutations=st.integers(1, 20), seed=st.integers(0, 2**64 - 1), n_threads=st.integers(1, 8))
def test_a_p_value_is_that_of_its_twin(ranks, data, permutations, seed, n_threads):
    x, y = np.array(data).T
    options = {"ranks": ranks, "permutations": permutations, "seed": seed}
    found = stats.permutation_p(x, y, n_threads=n_threads, **options)
    assert repr(found) == repr(float(reference.permutation_p(x, y, **options)))


@pytest.mark.parametrize(
    ("x", "y", "strong"),
    [
        ([1, 2], [1, 2], 1.0),  # both orders are as strong, one of them the other way
        ([0, 0, 1, 1], [0, 0, 1, 1], 1 / 3),
        ([0, 0, 0, 7], [5, 5, 5, 5.5], 1 / 4),
        ([-1e308, 1e308, 0, 0], [5e-324, -5e-324, 0, 0], 1 / 6),
        ([1e9, 1e9 + 1, 1e9 + 2, 1e9], [0.1, 0.2, 0.3, 0.1], 1 / 12),
        ([0.1, 0.2, 0.3], [-3, -2, -1], 1 / 3),
    ],
)
@pytest.mark.parametrize("ranks", [True, False])
def test_what_ties_make_equal_is_as_strong(x, y, strong, ranks):
    assert stats.permutation_p(x, y, ranks=ranks, permutations=20_000) == pytest.approx(strong, abs=0.015)


def test_ranks_have_p_values_of_infinite_numbers_and_pairs_without_nan():
    x, y = np.random.default_rng(0).normal(size=(2, 40)).round(1)
    for ranks in (True, False):
        found = stats.permutation_p([*x, np.nan, 1.0], [*y, 0.0, np.nan], ranks=ranks, nan="omit")
        assert found == stats.permutation_p(x, y, ranks=ranks)
    x[0] = 1e300
    assert stats.permutation_p([np.inf, *x[1:]], y) == stats.permutation_p(x, y)


def test_p_values_hold_their_level():
    rng = np.random.default_rng(0)
    found = np.array([stats.permutation_p(*rng.integers(0, 5, (2, 30)), permutations=99, seed=s) for s in range(400)])
    assert abs((found <= 0.1).mean() - 0.1) < 0.045
    assert math.isnan(stats.permutation_p([1, 1, 1], [1, 2, 3]))


@NAMES
@given(pairs, st.integers(0, 2**64 - 1))
def test_an_interval_is_that_of_the_resampled_pairs(name, data, seed):
    x, y = np.array(data).T
    found = CORRELATIONS[name](x, y, level=0.8, seed=seed, resamples=20)
    counts = [_core.resample_counts(len(x), seed, b) for b in range(20)]
    known = [c for c in counts if not math.isnan(getattr(reference, name)(np.repeat(x, c), np.repeat(y, c)))]
    expected = reference.bootstrap(getattr(reference, name), known, x, y, level=0.8) if known else [math.nan, math.nan]
    assert [found.low, found.high] == pytest.approx(list(expected), abs=1e-9, nan_ok=True)


@NAMES
def test_the_bits_do_not_depend_on_the_number_of_threads(name):
    x, y = tied(3000)
    one = CORRELATIONS[name](x, y, n_threads=1, resamples=100)
    assert all(CORRELATIONS[name](x, y, n_threads=t, resamples=100) == one for t in range(2, 9))
    assert CORRELATIONS[name](x, y, seed=1, resamples=100) != one


@NAMES
def test_x_and_y_may_change_places(name):
    x, y = tied(500)
    a, b = CORRELATIONS[name](x, y), CORRELATIONS[name](y, x)
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-14)


def test_intervals_hold_their_level():
    """Of 200 samples of 80 pairs, the 90% interval holds the true correlation in about 180."""
    rng = np.random.default_rng(0)
    truth = 6 / math.pi * math.asin(0.5 / 2)  # Spearman's of normal pairs with correlation 0.5
    held = 0
    for seed in range(200):
        x, noise = rng.normal(size=(2, 80))
        found = stats.spearman(x, 0.5 * x + math.sqrt(0.75) * noise, level=0.9, seed=seed, resamples=400)
        held += found.low <= truth <= found.high
    assert 165 <= held <= 192


def test_ranks_take_infinite_values_and_huge_ones():
    x, y = [-np.inf, 0.0, 1e308, np.inf], [1.0, 2.0, 3.0, 4.0]
    assert stats.spearman(x, y).value == stats.kendall(x, y).value == 1.0
    assert stats.pearson([1e308, -1e308, 0.0], [1.0, -1.0, 0.0]).value == pytest.approx(1.0)
    assert stats.pearson([1e-320, 3e-320, 5e-320], [1.0, 2.0, 3.0]).value == pytest.approx(1.0)


@NAMES
def test_what_is_constant_has_no_correlation(name):
    found = CORRELATIONS[name]([0.1] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert all(map(math.isnan, (found.value, found.low, found.high)))


@NAMES
def test_nan_is_an_error_or_left_out(name):
    x, y = [1.0, np.nan, 3.0, 2.0, 5.0], [1.0, 2.0, 3.0, np.nan, 4.0]
    with pytest.raises(ValueError, match="x: 1 of 5 values are NaN, the first at position 1"):
        CORRELATIONS[name](x, y)
    assert CORRELATIONS[name](x, y, nan="omit") == CORRELATIONS[name]([1.0, 3.0, 5.0], [1.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="nan: expected 'raise' or 'omit', got 'drop'"):
        CORRELATIONS[name](x, y, nan="drop")


@given(st.lists(few | st.floats(allow_nan=False), max_size=50))
def test_average_ranks_are_those_of_scipy(x):
    assert np.array_equal(stats.average_ranks(x), reference.average_ranks(np.array(x, dtype=float)))
    assert np.array_equal(stats.average_ranks(x), scipy.stats.rankdata(x))


@pytest.mark.parametrize(
    ("name", "function"), [("mean", np.mean), ("median", np.median), (0.9, lambda x: np.quantile(x, 0.9))]
)
@given(values=st.lists(few | st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_named_statistic_is_that_function(name, function, values):
    named = stats.bootstrap_interval(values, name, seed=7, resamples=50)
    called = stats.bootstrap_interval(values, function, seed=7, resamples=50)
    assert (named.value, named.low, named.high) == pytest.approx((called.value, called.low, called.high), nan_ok=True)
    assert named.n == called.n == len(values)


def test_a_bootstrap_interval_of_the_mean_is_close_to_students():
    values = np.random.default_rng(0).exponential(size=400)
    boot, student = stats.bootstrap_interval(values, resamples=4000), stats.t_interval(values)
    assert boot.value == pytest.approx(student.value)
    assert (boot.low, boot.high) == pytest.approx((student.low, student.high), abs=0.02)
    assert all(stats.bootstrap_interval(values, n_threads=t) == stats.bootstrap_interval(values) for t in (1, 3, 8))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_interval_is_that_of_scipy(values, level):
    found = stats.t_interval(values, level)
    half = scipy.stats.t.ppf((1 + level) / 2, len(values) - 1) * scipy.stats.sem(values)
    assert found.high - found.low == pytest.approx(2 * half, rel=1e-9, abs=1e-9)
    assert found.value == pytest.approx(np.mean(values))


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 100, 1001, 100_000])
@pytest.mark.parametrize("level", [0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
def test_t_quantile_is_that_of_scipy(df, level):
    assert stats.t_quantile(level, df) == pytest.approx(scipy.stats.t.ppf((1 + level) / 2, df), rel=1e-10)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (3, 7), (37, 64), (1, 5000), (2500, 5000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_proportion_interval_is_that_of_scipy(k, n, level):
    found, theirs = stats.proportion_interval(k, n, level), scipy.stats.binomtest(k, n).proportion_ci(level, "exact")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert (found.value, found.n) == (k / n, n)


def test_one_value_has_no_interval():
    for found in (stats.t_interval([0.5]), stats.bootstrap_interval([0.5])):
        assert (found.value, found.n) == (0.5, 1)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert str(found) == "0.500 (n = 1, no interval)"


def test_an_estimate_reads_well_and_survives_json():
    estimate = Estimate(0.8612, 0.8449, 0.8763, 1000)
    assert str(estimate) == "0.861 [0.845, 0.876]"
    assert Estimate.from_dict(json.loads(json.dumps(estimate.to_dict(), allow_nan=False))) == estimate
    none = Estimate.from_dict(json.loads(json.dumps(stats.t_interval([1.0]).to_dict(), allow_nan=False)))
    assert (none.value, none.n, math.isnan(none.low), math.isnan(none.high)) == (1.0, 1, True, True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.spearman([], []), "x, y: a correlation needs 2 to 4294967295 pairs, got 0"),
        (lambda: stats.kendall([1.0], [1.0]), "x, y: a correlation needs 2 to 4294967295 pairs, got 1"),
        (lambda: stats.spearman([1.0, 2.0], [1.0]), "y: expected 2 values to match x, got 1"),
        (lambda: stats.spearman([1.0, 2.0], [1.0], nan="omit"), "y: expected 2 values to match x, got 1"),
        (lambda: stats.pearson([1.0, np.inf], [1.0, 2.0]), "x: the value at position 1 is infinite"),
        (lambda: stats.spearman([1.0, 2.0], [1.0, 2.0], level=1.0), r"level: expected a share in \(0, 1\), got 1.0"),
        (lambda: stats.spearman([1.0, 2.0], [1.0, 2.0], resamples=-1), "resamples: expected at least 0, got -1"),
        (lambda: stats.kendall([1.0, 2.0], [1.0, 2.0], resamples=10**12), "resamples: expected at most 10000000"),
        (lambda: stats.spearman([1.0, 2.0], [1.0, 2.0], seed=2**64), r"seed: expected 0 to 2\^64 - 1, got 18446744"),
        (lambda: stats.average_ranks([np.nan]), "NaN"),
        (lambda: stats.spearman_columns([[1.0], [2.0]], [1.0]), "y: expected 2 values to match x, got 1"),
        (lambda: stats.spearman_columns([[1.0, np.nan], [2.0, 1.0]], [1.0, 2.0]), "x: 1 of 2 values are NaN"),
        (lambda: stats.spearman_columns([[1.0], [2.0]], [1.0, np.nan]), "y: 1 of 2 values are NaN"),
        (lambda: stats.spearman_columns([1.0], [1.0]), r"x: expected shape \(n, k\), got \(1,\)"),
        (lambda: stats.permutation_p([1.0, 2.0], [1.0]), "y: expected 2 values to match x, got 1"),
        (lambda: stats.permutation_p([1, 2], [1, 2], permutations=0), "permutations: expected at least 1, got 0"),
        (lambda: stats.permutation_p([], []), "x, y: a correlation needs 2 to 4294967295 pairs, got 0"),
        (lambda: stats.permutation_p([1.0], [1.0]), "x, y: a correlation needs 2 to 4294967295 pairs, got 1"),
        (lambda: stats.permutation_p([1, 2], [1, np.nan]), "y: 1 of 2 values are NaN, the first at position 1"),
        (lambda: stats.permutation_p([1, 2], [1, 2], nan="drop"), "nan: expected 'raise' or 'omit', got 'drop'"),
        (lambda: stats.permutation_p([1, np.inf], [1, 2], ranks=False), "x: the value at position 1 is infinite"),
        (lambda: stats.t_interval([]), "values: expected at least 1, got 0"),
        (lambda: stats.t_interval([1.0, np.nan]), "values: 1 of 2 are NaN"),
        (
            lambda: stats.bootstrap_interval([1.0], "mode"),
            r"statistic: expected 'mean', 'median', a share in \[0, 1\] or a function, got 'mode'",
        ),
        (lambda: stats.bootstrap_interval([1.0], 1.5), "statistic: expected 'mean', .* got 1.5"),
        (lambda: stats.proportion_interval(3, 2), "successes: expected 0 to n with n >= 1, got 3 of 2"),
        (lambda: stats.proportion_interval(0, 0), "successes: expected 0 to n with n >= 1, got 0 of 0"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
