"""ToW and ToW-MIA."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unmemorize import _core, audit

NAMES = ("forget", "retain", "test", "mia")
shares = st.fixed_dictionaries({name: st.floats(0, 1) for name in NAMES})


def test_tow_is_the_product_of_three_closenesses() -> None:
    found = audit.tow({"forget": 0.5, "retain": 1.0, "test": 0.75}, {"forget": 0.75, "retain": 0.5, "test": 0.875})
    assert found == audit.Tow(value=0.75 * 0.5 * 0.875, forget=0.75, retain=0.5, test=0.875)


def test_tow_mia_takes_the_attack_for_the_accuracy_on_the_forget_set() -> None:
    unlearned = {"forget": 0.0, "mia": 0.25, "retain": 1.0, "test": 0.75}
    found = audit.tow_mia(unlearned, {"forget": 1.0, "mia": 0.75, "retain": 1.0, "test": 0.5})
    assert found == audit.TowMia(value=0.375, mia=0.5, retain=1.0, test=0.75)


@given(shares, shares)
def test_both_lie_in_the_unit_interval_are_symmetric_and_1_only_for_equals(
    a: dict[str, float], b: dict[str, float]
) -> None:
    for measure in (audit.tow, audit.tow_mia):
        assert 0 <= measure(a, b).value <= 1
        assert measure(a, b) == measure(b, a)
        assert measure(a, a).value == 1


right = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(right, right, right, st.integers(0, 2**64 - 1), st.integers(1, 8))
def test_an_interval_is_that_of_resampled_examples(forget, retain, test, seed: int, n_threads: int) -> None:
    groups = {"forget": forget, "retain": retain, "test": test}
    sides = [{name: np.array(pairs)[:, side] for name, pairs in groups.items()} for side in (0, 1)]
    found = audit.tow_interval(*sides, level=0.8, resamples=20, seed=seed, n_threads=n_threads)
    means = [{name: answers.mean() for name, answers in side.items()} for side in sides]
    assert found.value == pytest.approx(audit.tow(*means).value, abs=1e-12)
    ends = np.cumsum([len(pairs) for pairs in groups.values()])
    values = []
    for b in range(20):
        drawn = np.split(_core.resample_counts(ends[-1], seed, b), ends[:-1])
        if all(counts.any() for counts in drawn):
            weights = dict(zip(groups, drawn, strict=True))
            means = [{k: np.average(v, weights=weights[k]) for k, v in side.items()} for side in sides]
            values.append(audit.tow(*means).value)
    if values:
        assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.1, 0.9]).tolist(), abs=1e-12)
    assert found.n == ends[-1]


@pytest.mark.parametrize(
    ("oracle", "error", "message"),
    [
        ({"forget": [True], "retain": [True]}, ValueError, "oracle: 'test' is missing"),
        ({"forget": [True] * 2, "retain": [True], "test": [True]}, ValueError, "expected 1 values of 'forget', got 2"),
        ({"forget": [0.5], "retain": [True], "test": [True]}, TypeError, "oracle: forget: expected bool, got float64"),
    ],
)
def test_answers_that_cannot_be_compared_are_refused(oracle, error, message) -> None:
    with pytest.raises(error, match=message):
        audit.tow_interval({"forget": [True], "retain": [True], "test": [True]}, oracle)


@pytest.mark.parametrize(
    ("unlearned", "oracle", "message"),
    [
        (
            {"forget": 1, "retain": 1},
            {},
            "unlearned: 'test' is missing; expected forget, retain, test, got forget, retain",
        ),
        ({"forget": 1, "retain": 1, "test": 1}, {"forget": 1}, "oracle: 'retain' is missing"),
        ({"forget": 1.1, "retain": 1, "test": 1}, {}, r"unlearned: expected 'forget' in \[0, 1\], got 1.1"),
        ({"forget": float("nan"), "retain": 1, "test": 1}, {}, r"unlearned: expected 'forget' in \[0, 1\], got nan"),
    ],
)
def test_what_is_no_accuracy_is_refused(unlearned: dict[str, float], oracle: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit.tow(unlearned, oracle)


def test_auditing_numbers_needs_no_torch() -> None:
    code = "import sys; from unmemorize import audit; audit.tow; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
