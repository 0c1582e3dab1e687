import math

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_klom import outputs
from unmemorize import _core
from unmemorize.audit import epsilon, epsilon_interval

value = st.integers(-3, 3).map(float) | st.floats(-50, 50, width=16)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.0, 1e-5, 0.2]))
def test_scores_are_the_best_over_all_thresholds(data, unlearned, oracle, delta):
    u = data.draw(arrays(float, (unlearned, 2), elements=value))
    o = data.draw(arrays(float, (oracle, 2), elements=value))
    assert epsilon(u, o, delta=delta) == pytest.approx(reference.epsilon(u, o, delta), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**64 - 1))
def test_intervals_are_those_of_resampled_models(data, unlearned, oracle, seed):
    u = data.draw(arrays(float, (unlearned, 2), elements=value))
    o = data.draw(arrays(float, (oracle, 2), elements=value))
    found = epsilon_interval(u, o, level=0.8, resamples=20, seed=seed)
    assert np.array_equal(found.value, epsilon(u, o))
    drawn = [_core.resample_counts(unlearned + oracle, seed, b) for b in range(20)]
    sides = [(np.repeat(u, c[:unlearned], 0), np.repeat(o, c[unlearned:], 0)) for c in drawn]
    values = np.sort([reference.epsilon(*pair, 1e-5) for pair in sides if all(map(len, pair))], axis=0)
    for end, share in ((found.low, 0.1), (found.high, 0.9)):
        place = share * (len(values) - 1)
        below, above = values[int(place)], values[min(int(place) + 1, len(values) - 1)]
        assert ((below - 1e-9 <= end) & (end <= above + 1e-9)).all()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 12))
def test_it_does_not_matter_which_side_is_higher_nor_how_phi_is_scaled(data, models):
    u, o = (data.draw(arrays(float, (models, 3), elements=value)) for _ in range(2))
    assert np.array_equal(epsilon(u, o), epsilon(-u, -o))
    assert np.array_equal(epsilon(u, o), epsilon(o, u))
    assert np.array_equal(epsilon(u, o), epsilon(8 * u, 8 * o))


def test_known_rates():
    """Of 4 + 4 models the best threshold errs once on each side: ln((1 - 1/4) / (1/4)) = ln 3."""
    u, o = np.array([[1.0], [5.0], [6.0], [7.0]]), np.array([[0.0], [2.0], [3.0], [8.0]])
    assert epsilon(u, o, delta=0.0)[0] == pytest.approx(math.log(3))
    assert epsilon(u, o, delta=0.25)[0] == pytest.approx(math.log(2))


def test_it_grows_with_the_distance_and_genuine_retrains_set_its_floor():
    floor, near, far = (np.median(epsilon(*outputs(shift))) for shift in (0.0, 1.0, 2.0))
    assert 0 < floor < near < far
    assert np.isinf(epsilon(*outputs(30.0))).all()


def test_the_bits_do_not_depend_on_the_number_of_threads():
    u, o = outputs(n=1000, models=(20, 30))
    one = epsilon(u, o, n_threads=1)
    assert all(np.array_equal(epsilon(u, o, n_threads=t), one) for t in range(2, 9))
    found = [epsilon_interval(u, o, resamples=10, n_threads=t) for t in range(1, 9)]
    assert len({(x.value.tobytes(), x.low.tobytes(), x.high.tobytes()) for x in found}) == 1
    assert not np.array_equal(found[0].low, epsilon_interval(u, o, resamples=10, seed=1).low)


def test_edges():
    assert epsilon([[0.1]], [[0.1]]).tolist() == [0.0]
    assert epsilon([[0.0]], [[-0.0]]).tolist() == [0.0]
    assert epsilon([[0.1]], [[0.2]]).tolist() == [np.inf]
    assert epsilon([[1e150], [1.0]], [[-1e150], [2.0]], delta=0.0).tolist() == [0.0]
    assert epsilon(np.zeros((3, 0)), np.zeros((2, 0))).shape == (0,)
    assert epsilon_interval(np.zeros((3, 0)), np.zeros((2, 0))).low.shape == (0,)
    assert np.isnan(epsilon_interval([[0.1]], [[0.2]], resamples=0).high).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u, o: epsilon(u[:0], o), "not available from 0 unlearned and 5 oracle models: expected at least 1 of"),
        (
            lambda u, o: epsilon(u, o[:, 1:]),
            r"oracle_phi: expected shape \(5, 4\) to match unlearned_phi",
        ),
        (lambda u, o: epsilon_interval(u[:0], o), "not available from 0 unlearned and 5 oracle models"),
        (lambda u, o: epsilon_interval(u, o, level=0.0), "level: expected a share"),
        (lambda u, o: epsilon_interval(u * np.nan, o), "unlearned_phi: NaN, infinite or above 1e150"),
        (lambda u, o: epsilon(u, o, delta=1.0), r"delta: expected a share in \[0, 1\), got 1.0"),
        (lambda u, o: epsilon(u * np.inf, o), "unlearned_phi: NaN, infinite or above 1e150 in size for model 0"),
        (lambda u, o: epsilon(u[0], o), r"unlearned_phi: expected shape \(U, n\), got \(4,\)"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*outputs(models=(5, 5), n=4))
