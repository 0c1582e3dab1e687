"""ToW and ToW-MIA."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unmemorize import audit

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
