import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from unmemorize.audit import lira, roc, u_lira

VARIANCES = pytest.mark.parametrize("variance", ["pooled", "example"])
value = st.integers(-3, 3).map(float) | st.floats(-50, 50, width=16)
shape = st.tuples(st.integers(4, 12), st.integers(1, 6))


def ensemble(models=40, n=300, ratio=0.7, seed=0, dtype=np.float64):
    """φ of members is higher by 1 to 3 and varies less."""
    rng = np.random.default_rng(seed)
    member = rng.random((models, n)) < ratio
    centre, gap = rng.normal(0, 3, n), rng.uniform(1, 3, n)
    phi = centre + np.where(member, gap + rng.normal(0, 0.5, member.shape), rng.normal(0, 1, member.shape))
    return phi.astype(dtype), member


@VARIANCES
@pytest.mark.parametrize("online", [True, False])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_scores_are_those_of_the_twin(variance, online, data):
    size = data.draw(shape)
    phi = data.draw(arrays(float, size, elements=value))
    member = data.draw(arrays(bool, size))
    target = data.draw(arrays(float, size[1], elements=value))
    try:
        found = lira(phi, member, target, variance=variance, online=online)
    except ValueError as error:
        assert "say the same of every example" in str(error)  # noqa: PT017
        return
    expected = reference.lira(phi, member, target, variance, online)
    steady = np.abs(expected) < 1e6  # no variance that is but rounding
    assert np.array_equal(np.isnan(found), np.isnan(expected)) or (~steady & ~np.isnan(expected)).any()
    assert found[steady] == pytest.approx(expected[steady], rel=1e-6, abs=1e-6)


@VARIANCES
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_model_is_judged_by_the_others(variance, data):
    size, others = data.draw(shape), data.draw(st.integers(4, 9))
    unlearned = data.draw(arrays(float, size, elements=st.floats(-50, 50, width=16), unique=True))
    oracle = data.draw(arrays(float, (others, size[1]), elements=st.floats(-50, 50, width=16), unique=True))
    found = u_lira(unlearned, oracle, variance=variance)
    wanted = reference.u_lira(unlearned, oracle, variance)
    for side, expected in zip((found.unlearned, found.oracle), wanted, strict=True):
        assert side.shape == expected.shape
        steady = np.abs(expected) < 1e4
        assert side[steady] == pytest.approx(expected[steady], rel=1e-4, abs=1e-4)


@VARIANCES
def test_the_attack_finds_members_and_only_them(variance):
    phi, member = ensemble(65)
    attack = roc(lira(phi[1:], member[1:], phi[0], variance=variance), member[0])
    assert attack.auc > 0.9
    offline = roc(lira(phi[1:], member[1:], phi[0], variance=variance, online=False), member[0])
    assert 0.6 < offline.auc < attack.auc
    noise = np.random.default_rng(1).normal(size=phi.shape)
    assert abs(roc(lira(noise[1:], member[1:], noise[0], variance=variance), member[0]).auc - 0.5) < 0.1


def test_no_model_is_cut_off_where_sides_are_ragged():
    phi, member = ensemble(30, 50)
    counts = member.sum(0)
    assert counts.min() < counts.max()
    least = min(counts.min(), (30 - counts).min())
    cut = np.array(
        [
            reference.lira(
                np.concatenate([phi[member[:, i], i][:least], phi[~member[:, i], i][:least]])[:, None],
                (np.arange(2 * least) < least)[:, None],
                np.zeros(1),
                "example",
            )[0]
            for i in range(50)
        ]
    )
    found = lira(phi, member, np.zeros(50), variance="example")
    assert found == pytest.approx(reference.lira(phi, member, np.zeros(50), "example"))
    assert not np.allclose(found, cut, rtol=0.01)


def test_the_pooled_variance_of_a_side_is_its_own():
    phi, member = ensemble()
    wider = np.where(member, phi.mean(0) + 10 * (phi - phi.mean(0)), phi)
    before, after = (lira(x, member, phi[0], online=False) for x in (phi, wider))
    assert np.array_equal(before, after)  # in-scores do not enter the out side
    out_std = np.sqrt(((phi[0] - np.nanmean(np.where(member, np.nan, phi), 0)) / before) ** 2)
    assert out_std == pytest.approx(np.full(300, 1.0), abs=0.1)  # 1, where that of the in-scores is 0.5


def test_correctness_is_no_margin():
    correct = np.repeat([[1.0], [1.0], [0.0], [0.0]], 3, axis=1)
    member = correct == 1
    with pytest.raises(ValueError, match=r"phi: all out models say the same.*give log-odds, not 0/1 correctness"):
        lira(correct, member, correct[0])
    with pytest.raises(ValueError, match="phi: all unlearned models say the same"):
        u_lira(correct[:2], correct[2:])
    assert np.isnan(u_lira(correct[:2], correct[2:], variance="example").unlearned).all()
    constant = np.full((5, 2), 0.1)
    constant[:, 0] += np.arange(5)
    assert np.isnan(u_lira(constant, constant, variance="example").oracle).tolist() == [[False, True]] * 5


def test_a_retrain_is_not_flagged():
    """U-LiRA of oracles against oracles has nothing to find; of models that still remember it has."""
    rng = np.random.default_rng(0)
    centre, remembered = rng.normal(0, 3, 200), rng.uniform(1, 3, 200)
    retrained, oracle = centre + rng.normal(0, 1, (2, 32, 200))
    assert u_lira(retrained, oracle).roc().auc == pytest.approx(0.5, abs=0.02)
    assert u_lira(retrained + remembered, oracle).roc().auc > 0.85


def test_models_that_do_not_count_are_left_out():
    phi, member = ensemble(20, 30)
    found = u_lira(phi, phi, unlearned=member, never=~member)
    assert np.array_equal(np.isnan(found.unlearned), ~member)
    assert np.array_equal(np.isnan(found.oracle), member)
    spoilt = np.where(member, phi, 1e6)
    assert np.array_equal(u_lira(spoilt, phi, unlearned=member, never=~member).oracle, found.oracle, equal_nan=True)
    assert found.roc().n_members == member.sum()


@VARIANCES
def test_the_bits_do_not_depend_on_the_number_of_threads(variance):
    phi, member = ensemble(20, 1500, dtype=np.float32)
    one = lira(phi, member, phi[3], variance=variance, n_threads=1)
    both = u_lira(phi, phi, unlearned=member, variance=variance, n_threads=1)
    for t in range(2, 9):
        assert np.array_equal(lira(phi, member, phi[3], variance=variance, n_threads=t), one, equal_nan=True)
        found = u_lira(phi, phi, unlearned=member, variance=variance, n_threads=t)
        assert np.array_equal(found.unlearned, both.unlearned, equal_nan=True)
        assert np.array_equal(found.oracle, both.oracle, equal_nan=True)


@VARIANCES
def test_edges(variance):
    none, nobody = np.zeros((0, 3)), np.zeros((0, 3), bool)
    assert np.isnan(lira(none, nobody, np.zeros(3), variance=variance)).all()
    assert lira(np.zeros((5, 0)), np.zeros((5, 0), bool), np.zeros(0), variance=variance).shape == (0,)
    phi, member = ensemble(20, 40)
    member[:, 0], member[:, 1] = True, False
    found = lira(phi, member, phi[0], variance=variance)
    assert np.isnan(found).tolist() == [True, True] + [False] * 38
    offline = lira(phi, member, phi[0], variance=variance, online=False)
    assert np.isnan(offline).tolist() == [True] + [False] * 39
    huge = lira(phi * 1e140, member, phi[0] * 1e140, variance=variance)
    assert huge[2:] == pytest.approx(found[2:], rel=1e-9)
    assert lira(phi + 1e9, member, phi[0] + 1e9, variance=variance)[2:] == pytest.approx(found[2:], rel=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, m: lira(p, m[1:], p[0]), ValueError, r"member: expected shape \(6, 4\) to match phi"),
        (
            lambda p, m: lira(p, m, p[0, 1:]),
            ValueError,
            r"target_phi: expected shape \(1, 4\) to match phi, got \(1, 3\)",
        ),
        (lambda p, m: lira(p, m.astype(int), p[0]), TypeError, "member: expected bool, got int64"),
        (lambda p, m: lira(p > 0, m, p[0]), TypeError, "phi: expected float16, bfloat16, float32 or float64, got bool"),
        (
            lambda p, m: lira(p, m, p[0], variance="fixed"),
            ValueError,
            "variance: expected 'pooled' or 'example', got 'fi",
        ),
        (lambda p, m: lira(p / (p != p[2, 1]), m, p[0]), ValueError, "phi: NaN, infinite or .* for model 2, example 1"),
        (lambda p, m: lira(p, m, p[0] * np.nan), ValueError, "target_phi: NaN, infinite or .* for model 0, example 0"),
        (lambda p, m: u_lira(p, p[:, 1:]), ValueError, r"oracle_phi: expected shape \(6, 4\) to match unlearned_phi"),
        (
            lambda p, m: u_lira(p, p, never=m[:2]),
            ValueError,
            r"never: expected shape \(6, 4\) to match phi, got \(2, 4\)",
        ),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with np.errstate(divide="ignore"), pytest.raises(error, match=message):
        call(*ensemble(6, 4))
