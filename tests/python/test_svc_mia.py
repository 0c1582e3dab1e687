"""The membership attack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC
from unmemorize.audit import class_balanced, svc_mia


def naive(member: np.ndarray, nonmember: np.ndarray, forget: np.ndarray) -> np.ndarray:
    x, y = np.concatenate([member, nonmember]), np.repeat([1, 0], [len(member), len(nonmember)])
    return SVC(C=3, kernel="rbf", gamma="auto").fit(x[:, None], y).predict(forget[:, None]) == 0


def test_what_looks_like_members_is_member_and_what_looks_like_the_test_set_is_not() -> None:
    rng = np.random.default_rng(0)
    member, nonmember = 1 - rng.random(300) * 0.05, rng.random(300) * 0.9
    assert svc_mia(member, nonmember, 1 - rng.random(50) * 0.05).mean() == 0
    assert svc_mia(member, nonmember, rng.random(50) * 0.8).mean() == 1


@pytest.mark.parametrize("seed", range(5))
def test_weighted_distinct_values_give_the_verdict_of_all_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    member, nonmember = np.round(rng.beta(5, 1, 400), 2), np.round(rng.beta(3, 1, 400), 2)
    forget = np.linspace(0, 1, 1001)
    differ = svc_mia(member, nonmember, forget) != naive(member, nonmember, forget)
    assert differ.mean() < 0.005  # the solver stops at a tolerance: the border may shift by a hair


@given(st.integers(2, 5), st.integers(0, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_members_are_as_even_over_the_classes_as_their_numbers_allow(classes: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, classes, 80))  # class-sorted: the first examples are of one class
    chosen = class_balanced(labels, size, seed)
    assert len(np.unique(chosen)) == len(chosen) == size
    have, given_ = np.bincount(labels, minlength=classes), np.bincount(labels[chosen], minlength=classes)
    short = given_ < have  # classes that have some left gave as many as any, up to one
    assert not short.any() or given_[short].min() >= given_.max() - 1
    assert (chosen == class_balanced(labels, size, seed)).all()


def test_another_seed_draws_other_members() -> None:
    labels = np.repeat([0, 1], 100)
    assert (class_balanced(labels, 50, 0) != class_balanced(labels, 50, 1)).any()


@pytest.mark.parametrize(
    ("member", "nonmember", "forget", "message"),
    [
        ([], [0.5], [0.5], "member_conf: expected a vector of at least 1 confidence"),
        ([0.5], [[0.5]], [0.5], r"nonmember_conf: expected a vector of at least 1 confidence, got shape \(1, 1\)"),
        ([0.5], [0.5], [0.5, 1.5, -1], r"forget_conf: 2 of 3 are not in \[0, 1\], the first is 1.5"),
        ([0.5, float("nan")], [0.5], [0.5], r"member_conf: 1 of 2 are not in \[0, 1\], the first is nan"),
    ],
)
def test_what_is_no_confidence_is_refused(
    member: list[float], nonmember: list[float], forget: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        svc_mia(member, nonmember, forget)
