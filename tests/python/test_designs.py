"""Designs: who is trained on what."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from unmemorize import Ensemble
from unmemorize.ensemble import DESIGNS, Design, balanced, independent, leave_out, likely_memorized, pairs, targeted


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


def test_pairs_are_complements() -> None:
    member = pairs(11, 6, seed=2)
    assert (member[::2] != member[1::2]).all()
    assert set(member.sum(0)) == {3}
    assert member[::2].sum(1).tolist() == [5, 5, 5]
    for arguments in ((11, 5), (11, 6, 0.7)):
        with pytest.raises(ValueError, match=r"pairs: expected ratio 0\.5 and an even number of models"):
            pairs(*arguments)


def test_only_candidates_are_left_out_and_equally_often() -> None:
    ids = likely_memorized(np.arange(100) % 50, 0.1)
    assert ids.tolist() == [45, 46, 47, 48, 49, 95, 96, 97, 98, 99]
    member = targeted(100, 8, 0.5, 1, ids=ids)
    np.testing.assert_array_equal(np.flatnonzero(~member.all(0)), ids)
    np.testing.assert_array_equal(member[:, ids], balanced(10, 8, 0.5, 1))
    np.testing.assert_array_equal(member, targeted(100, 8, 0.5, 1, ids=ids[::-1]))


def test_oracles_see_all_but_the_forget_set() -> None:
    member = leave_out(10, 3, ids=[7, 2])
    assert [np.flatnonzero(~row).tolist() for row in member] == [[2, 7]] * 3
    with pytest.raises(ValueError, match="leaving out 4 of 4 examples leaves none"):
        leave_out(4, 1, ids=range(4))


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_named(share: float) -> None:
    with pytest.raises(ValueError, match="share: expected a share above 0 and at most 1"):
        likely_memorized(np.arange(4.0), share)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [([3, 10], IndexError, "ids: 10 is out of range for 10 examples"), ([3, 1, 3], ValueError, "ids: 3 occurs more")],
)
def test_ids_out_of_range_or_doubled_are_named(ids: list[int], error: type[Exception], message: str) -> None:
    for design in (targeted, leave_out):
        with pytest.raises(error, match=message):
            design(10, 4, ids=ids)


RECORDS = [
    Design("balanced", 60, 20, 0.7, 3),
    Design("balanced", 60, 7),
    Design("independent", 60, 4, 0.3, 2**63),
    Design("pairs", 60, 4, seed=5),
    Design("targeted", 60, 6, 0.5, 1, ids=[4, 59, 0]),
    Design("leave_out", 60, 2, ids=np.array([7, 8])),
]


@pytest.mark.parametrize("design", RECORDS, ids=lambda design: design.name)
def test_metadata_alone_give_the_bits_again(design: Design) -> None:
    for row, member in enumerate(design.member()):
        again, at = Design.from_meta(json.loads(json.dumps({"seed": 1, **design.meta(row)})))
        np.testing.assert_array_equal(again.member()[at], member)
    assert row == design.models - 1
    np.testing.assert_array_equal(np.stack(list(design.rows())), design.member())
    with pytest.raises(IndexError, match="row: "):
        design.meta(design.models)


def test_what_is_no_design_is_named() -> None:
    with pytest.raises(ValueError, match="design: no design 'best'; known are balanced, independent"):
        Design("best", 10, 10)
    for change in ({"ids": "!"}, {"name": "best"}, {"worse": 1}, {"ids": 3}):
        meta = Design("targeted", 60, 6, ids=[1, 2]).meta(0)
        meta["design"] |= change
        with pytest.raises(ValueError, match="no design"):
            Design.from_meta(meta)


@pytest.mark.parametrize("design", RECORDS, ids=lambda design: design.name)
def test_a_store_finds_models_that_were_not_trained_on_what_their_design_says(design: Design, tmp_path: Path) -> None:
    store = Ensemble.create(tmp_path / "s", design.n, 0)
    rows, nothing = list(design.rows()), np.zeros(0, bool)
    for row, member in enumerate(rows):
        store.append(member, member, nothing, meta=design.meta(row))
    store.append(rows[0] ^ rows[0], rows[0], nothing)  # names no design
    assert store.verify(designs=True).ok
    other = rows[1].copy()
    other[9] ^= True
    wrong = {
        store.append(other, other, nothing, meta=design.meta(1)): "is not row 1 of the design that it names",
        store.append(other, other, nothing, meta={"design": {**design.meta(1)["design"], "row": -1}}): "row -1 of",
        store.append(
            other, other, nothing, meta=Design("balanced", 50, 10).meta(1)
        ): "row 1 of a design of 50 examples",
        store.append(other, other, nothing, meta={"design": {"row": 0}}): "no design",
        store.append(other, other, nothing, meta={"design": 3}): "no design",
    }
    found = store.verify(designs=True)
    assert not found.ok
    assert found.strayed.keys() == wrong.keys()
    assert all(wrong[name] in problem for name, problem in found.strayed.items())
    assert store.verify().ok
