"""Designs: who is trained on what."""

import hashlib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from unmemorize.ensemble import DESIGNS, balanced, independent


@given(st.integers(2, 60), st.integers(1, 30), st.integers(1, 99), st.integers(0, 2**32 - 1))
def test_balanced_counts_are_the_share_rounded_down_or_up(n: int, models: int, percent: int, seed: int) -> None:
    assume(100 <= percent * n <= 100 * (n - 1))
    member = balanced(n, models, percent / 100, seed)
    assert member.shape == (models, n)
    for counts, share in ((member.sum(0), models * percent), (member.sum(1), n * percent)):
        assert set(counts) <= {share // 100, -(-share // 100)}


def test_balanced_is_exact_where_numbers_divide() -> None:
    member = balanced(1000, 100, 0.7, seed=3)
    assert set(member.sum(0)) == {70}
    assert set(member.sum(1)) == {700}


def test_every_block_of_a_balanced_design_is_balanced() -> None:
    member = balanced(90, 30, 0.7)
    for start in (0, 10, 20):
        assert set(member[start : start + 10].sum(0)) == {7}


@pytest.mark.parametrize(("models", "out"), [(10, 3), (13, None), (200, 60)])
def test_two_examples_are_left_out_together_as_often_as_chance_has_it(models: int, out: int | None) -> None:
    """Within a block of b models of which k leave an example out: hypergeometric, mean k^2 / b."""
    n, blocks = 600, models // 10 if out else 1
    together = (~balanced(n, models, 0.7, seed=1)).T.astype(float) @ (~balanced(n, models, 0.7, seed=1)).astype(float)
    pairs = together[np.triu_indices(n, 1)]
    b = models // blocks
    k = 0.3 * b
    assert abs(pairs.mean() - blocks * k * k / b) < 0.02 * pairs.mean()
    assert abs(pairs.var() / (blocks * k * 0.3 * 0.7 * (b - k) / (b - 1)) - 1) < 0.1


def test_neighbours_do_not_go_together() -> None:
    """Neither in the order of examples nor in that of models."""
    members = [balanced(2000, 10, seed=seed) for seed in range(5)]
    assert abs(np.mean([m[:, :-1] == m[:, 1:] for m in members]) - 0.58) < 0.01
    both_out = [(~m).astype(int) @ (~m).T for m in members]
    pairs = np.array([overlap[np.triu_indices(10, 1)] for overlap in both_out])
    assert abs(pairs.mean() - 2000 * 0.3 * 2 / 9) < 1e-9  # follows from the balance
    assert pairs.std() < 2 * np.sqrt(2000 / 15 * 0.7)


def test_the_bits_are_the_same_everywhere() -> None:
    assert hashlib.sha256(np.packbits(balanced(100, 20, 0.7, 3))).hexdigest()[:16] == "67c0a786448b53a2"
    assert hashlib.sha256(np.packbits(independent(100, 20, 0.7, 3))).hexdigest()[:16] == "f8d3377d41435fa7"


def test_designs_are_found_by_name() -> None:
    for name, design in (("balanced", balanced), ("independent", independent)):
        np.testing.assert_array_equal(DESIGNS[name](20, 10, 0.7, 1), design(20, 10, 0.7, 1))


def test_another_seed_is_another_design() -> None:
    assert not np.array_equal(balanced(50, 10, seed=0), balanced(50, 10, seed=1))
    assert not np.array_equal(independent(50, 10, seed=0), independent(50, 10, seed=1))


def test_independent_subsets_have_the_floor_of_the_share() -> None:
    member = independent(11, 40, 0.7)
    assert set(member.sum(1)) == {7}
    assert len(set(member.sum(0))) > 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 10), "n: expected at least 2 training examples, got 1"),
        ((10, 0), "models: expected at least 1, got 0"),
        ((10, 10, 1.0), "ratio: expected a share above 0 and below 1, got 1.0"),
        ((10, 10, float("nan")), "ratio: expected a share"),
        ((10, 10, 0.01), "ratio: 0.01 of 10 examples puts none or all of them into a subset"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: tuple[float, ...], message: str) -> None:
    for design in (balanced, independent):
        with pytest.raises(ValueError, match=message):
            design(*arguments)  # type: ignore[arg-type]
