import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from unmemorize.audit import klom

value = st.integers(-3, 3).map(float) | st.floats(-50, 50, width=32)


def outputs(shift=0.0, models=(100, 100), n=300, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    centre = rng.normal(0, 3, n)
    return (centre + shift + rng.normal(size=(models[0], n))).astype(dtype), (
        centre + rng.normal(size=(models[1], n))
    ).astype(dtype)


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(64, 70), st.integers(64, 70), st.integers(1, 25))
def test_scores_are_those_of_histograms(data, unlearned, oracle, bins):
    u = data.draw(arrays(float, (unlearned, 2), elements=value))
    o = data.draw(arrays(float, (oracle, 2), elements=value))
    found = klom(u, o, bins=bins)
    assert found == pytest.approx(reference.klom(u, o, bins), abs=1e-9)
    assert (found >= -1e-12).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_are_those_of_histograms_at_size(dtype):
    u, o = outputs(0.3, (80, 130), dtype=dtype)
    assert klom(u, o) == pytest.approx(reference.klom(u.astype(float), o.astype(float)), abs=1e-9)


def test_the_largest_is_not_dropped():
    """One unlearned model far above all others is the top edge of the last bin."""
    o = np.linspace(0.0, 1.0, 64)[:, None]
    u = o.copy()
    u[0] = 100.0
    p, q = (np.array([*first, *[0.0] * 18, last]) + 1e-5 for first, last in (([63 / 64], 1 / 64), ([1.0], 0.0)))
    p, q = p / p.sum(), q / q.sum()
    assert klom(u, o)[0] == pytest.approx((p * np.log(p / q)).sum())
    assert klom(u, o)[0] > 0.05


def test_it_is_the_divergence_of_the_unlearned_from_the_oracle():
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(0, 0.3, (200, 50)), rng.normal(0, 3, (200, 50))
    assert klom(wide, narrow).mean() > 2 * klom(narrow, wide).mean()


def test_it_grows_with_the_distance_and_genuine_retrains_set_its_floor():
    floor, near, far = (klom(*outputs(shift)).mean() for shift in (0.0, 1.0, 3.0))
    assert 0 < floor < near < far


def test_the_bits_do_not_depend_on_the_number_of_threads():
    u, o = outputs(n=1000, models=(64, 64))
    one = klom(u, o, n_threads=1)
    assert all(np.array_equal(klom(u, o, n_threads=t), one) for t in range(2, 9))


def test_edges():
    equal = np.full((64, 3), 0.1)
    assert klom(equal, equal).tolist() == [0.0, 0.0, 0.0]
    assert klom(np.zeros((64, 0)), np.zeros((64, 0))).shape == (0,)
    u, o = outputs(0.5, (64, 64), n=20)
    assert klom(u * 1e148, o * 1e148) == pytest.approx(klom(u, o), abs=1e-9)
    assert klom(u, o, bins=1) == pytest.approx(np.zeros(20), abs=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u, o: klom(u[:63], o), "not available from 63 unlearned and 64 oracle models: expected at least 64 of"),
        (lambda u, o: klom(u, o[:10]), "not available from 64 unlearned and 10 oracle models"),
        (lambda u, o: klom(u, o[:, 1:]), r"oracle_phi: expected shape \(64, 4\) to match unlearned_phi, got \(64, 3\)"),
        (lambda u, o: klom(u, o, bins=0), "bins: expected at least 1, got 0"),
        (lambda u, o: klom(u, o, bins=10**9), "bins: expected 1 to 65536, got 1000000000"),
        (lambda u, o: klom(u, o, smoothing=0.0), "smoothing: expected a number above 0, got 0.0"),
        (lambda u, o: klom(u, o * np.nan), "oracle_phi: NaN, infinite or above 1e150 in size for model 0, example 0"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*outputs(models=(64, 64), n=4))
