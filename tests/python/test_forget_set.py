import json
import warnings

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from unmemorize import ForgetSet
from unmemorize.errors import StoreError
from unmemorize.forget_set import entanglement

value = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1)  # half of all exact scores are ties
scores = st.lists(value, min_size=3, max_size=50).map(np.array)
rng = np.random.default_rng(0)
SCORE = rng.random(200).round(2)
LABELS = rng.integers(0, 10, 200)


@given(scores, st.data())
def test_low_medium_high_are_disjoint_and_what_the_paper_says(x, data):
    size = data.draw(st.integers(3, len(x)))
    chosen = ForgetSet.by_score(x, size, medium=0.5)
    order = np.argsort(x, kind="stable")
    low, medium, high = (chosen.stratum(name) for name in ("low", "medium", "high"))
    assert [len(low), len(medium), len(high)] == [size // 3, (size + 1) // 3, (size + 2) // 3]
    assert np.array_equal(low, np.sort(order[: len(low)]))
    assert np.array_equal(high, np.sort(order[-len(high) :]))
    left = np.setdiff1d(np.arange(len(x)), [*low, *high])
    nearest = left[np.argsort(np.abs(x[left] - 0.5), kind="stable")]
    assert np.array_equal(medium, np.sort(nearest[: len(medium)]))
    assert np.array_equal(chosen.scores, x[chosen.ids])


@given(scores, st.data())
def test_two_strata_are_low_and_high(x, data):
    size = data.draw(st.integers(2, len(x)))
    chosen, order = ForgetSet.by_score(x, size, strata=2), np.argsort(x, kind="stable")
    assert chosen.names == ("low", "high")
    assert set(chosen.ids) == {*order[: size // 2], *order[len(x) - (size + 1) // 2 :]}


def test_the_median_is_that_of_all_scores():
    chosen = ForgetSet.by_score([0.0, 0.0, 0.0, 0.0, 0.7, 0.8, 0.9, 1.0, 1.0], 3)
    assert chosen.stratum("medium").tolist() == [4]


@pytest.mark.parametrize(
    ("rule", "expected"), [("low", [0, 1, 2, 3]), ("high", [6, 7, 8, 9]), ("medium", [3, 4, 5, 6])]
)
def test_one_end_alone_is_cut_into_quantiles(rule, expected):
    chosen = ForgetSet.by_score(np.arange(10.0), 4, strata=4, rule=rule)
    assert chosen.ids.tolist() == expected
    assert chosen.strata.tolist() == [0, 1, 2, 3]
    assert chosen.names == ("0", "1", "2", "3")


@given(scores, st.randoms())
def test_ties_are_broken_by_id_in_any_order_of_the_scores(x, random):
    ids = np.arange(len(x)) * 3 + 5
    mixed = np.array(random.sample(range(len(x)), len(x)))
    one, other = ForgetSet.by_score(x, 3, ids=ids), ForgetSet.by_score(x[mixed], 3, ids=ids[mixed])
    assert one == other
    assert np.array_equal(one.ids, ForgetSet.by_score(x, 3).ids * 3 + 5)


@given(st.sets(st.integers(0, 999), min_size=1, max_size=40).map(list), st.data())
def test_a_list_is_cut_into_quantiles_of_its_own_scores(ids, data):
    whole = np.random.default_rng(1).random(1000).round(1)
    k = data.draw(st.integers(1, len(ids)))
    chosen = ForgetSet.from_ids(ids, score=whole, strata=k)
    assert chosen == ForgetSet.from_ids(ids, score=whole[ids], strata=k)
    assert chosen == ForgetSet.from_ids(sorted(ids), score=whole[sorted(ids)], strata=k)
    ids = np.sort(ids)
    part = reference.strata(whole[ids], k)
    assert np.array_equal(chosen.ids, np.concatenate([ids[part == j] for j in range(k)]))


def test_without_a_score_there_is_one_stratum():
    chosen = ForgetSet.from_ids([9, 2, 5])
    assert (chosen.names, chosen.ids.tolist(), chosen.scores) == (("all",), [2, 5, 9], None)


def test_random_sets_are_repeatable():
    one = ForgetSet.random(200, 30, score=SCORE, labels=LABELS, seed=4)
    assert one == ForgetSet.random(200, 30, score=SCORE, labels=LABELS, seed=4)
    assert not np.array_equal(one.ids, ForgetSet.random(200, 30, score=SCORE, seed=5).ids)
    assert (len(one), one.n, len(one.stratum("low"))) == (30, 200, 10)
    assert np.array_equal(one.labels, LABELS[one.ids])


def test_classes_are_taken_whole_or_in_part():
    part = ForgetSet.by_class(LABELS, [3, 7], size=10, seed=1, score=SCORE)
    assert set(part.labels) <= {3, 7}
    assert len(part) == 10
    with pytest.warns(
        UserWarning, match=f"nothing is left to retain of class 3 .all {(LABELS == 3).sum()} examples"
    ) as w:
        whole = ForgetSet.by_class(LABELS, 3)
    assert w[0].filename == __file__
    assert np.array_equal(whole.ids, np.flatnonzero(LABELS == 3))


@pytest.mark.parametrize(
    "choose",
    [
        lambda labels: ForgetSet.by_score([1.0, 2.0, 3.0, 4.0], 2, strata=1, rule="low", labels=labels),
        lambda labels: ForgetSet.from_ids([0, 1], labels=labels),
        lambda labels: ForgetSet.random(4, 2, labels=labels, seed=1),
        lambda labels: ForgetSet.by_class(labels, 7),
        lambda labels: ForgetSet.by_entanglement([[3], [-4], [0], [0]], 2, strata=1, rule="low", labels=labels),
    ],
)
def test_a_class_that_is_taken_away_is_named(choose):
    with pytest.warns(UserWarning, match=r"nothing is left to retain of class 7 \(all 2 examples\)") as caught:
        choose([7, 7, 1, 1])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ForgetSet.from_ids([0, 2], labels=[7, 7, 1, 1])


def test_entangled_examples_are_near_the_centroid():
    features = np.random.default_rng(0).normal(size=(300, 5))
    chosen = ForgetSet.by_entanglement(features, 60)
    distance = np.linalg.norm(features - features.mean(0), axis=1)
    order = np.argsort(-distance, kind="stable")
    assert np.array_equal(chosen.stratum("low"), np.sort(order[:20]))
    assert np.array_equal(chosen.stratum("high"), np.sort(order[-20:]))
    retain = np.delete(np.arange(300), chosen.ids)
    low, high = (entanglement(features[retain], features[chosen.stratum(s)]) for s in ("low", "high"))
    assert low < high


def test_entanglement_is_its_formula():
    r, s = np.random.default_rng(0).normal(size=(40, 3)), np.random.default_rng(1).normal(1, size=(10, 3))
    mean = np.concatenate([r, s]).mean(0)
    within = ((r - r.mean(0)) ** 2).sum(1).mean() + ((s - s.mean(0)) ** 2).sum(1).mean()
    between = (((r.mean(0) - mean) ** 2).sum() + ((s.mean(0) - mean) ** 2).sum()) / 2
    assert entanglement(r, s) == pytest.approx(within / between)
    assert entanglement([[0.0], [2.0]], [[1.0]]) == np.inf
    assert np.isnan(entanglement([[1.0]], [[1.0]]))


@given(st.integers(3, 30), st.data())
def test_other_strata_hold_the_same_examples(size, data):
    first = ForgetSet.by_score(SCORE, size, labels=LABELS)
    other = np.random.default_rng(size).random(200).round(1)
    again = first.restrata(other)
    ids = np.sort(first.ids)
    part = reference.strata(other[ids], 3)
    assert all(np.array_equal(again.stratum(j), ids[part == j]) for j in range(3))
    assert again == first.restrata(other[first.ids])
    assert np.array_equal(again.scores, other[again.ids])
    assert again.hash != first.hash
    k = data.draw(st.integers(1, size))
    mixed = first.shuffled(size, strata=k)
    assert sorted(mixed.ids) == sorted(first.ids)
    assert mixed == first.shuffled(size, strata=k)
    assert np.ptp(np.bincount(mixed.strata)) <= 1
    for one in (again, mixed):
        assert np.array_equal(one.labels, LABELS[one.ids])
    assert np.array_equal(mixed.scores, SCORE[mixed.ids])


def test_a_shuffle_depends_on_the_examples_and_the_seed_alone():
    first = ForgetSet.by_score(SCORE, 30)
    mixed = first.shuffled(1)
    assert mixed.names == ("part 1", "part 2", "part 3")
    assert np.array_equal(mixed.ids, first.restrata(-SCORE).shuffled(1).ids)
    assert not np.array_equal(mixed.ids, first.shuffled(2).ids)


def test_groups_are_what_accuracies_are_reported_on():
    chosen = ForgetSet.by_score(SCORE, 30)
    groups = chosen.groups(200)
    assert list(groups) == ["forget", "forget/low", "forget/medium", "forget/high", "retain"]
    assert np.array_equal(groups["retain"], np.setdiff1d(np.arange(200), chosen.ids))
    assert np.array_equal(groups["forget/high"], chosen.stratum(2))


def test_a_set_of_other_data_is_refused():
    chosen = ForgetSet.by_score(SCORE, 30, data_hash="a")
    chosen.check(200, "a")
    chosen.check(200)
    with pytest.raises(ValueError, match="is of a training set of 200 examples, expected 100"):
        chosen.check(100)
    with pytest.raises(ValueError, match="is of data with hash a, expected b"):
        chosen.check(200, "b")
    with pytest.raises(IndexError, match="ids: 7 is out of range for a training set of 5 examples"):
        ForgetSet.from_ids([7]).check(5)


@given(scores, st.booleans(), st.booleans())
def test_manifests_come_back(tmp_path_factory, x, infinite, labelled):
    x = np.where(infinite & (x == 1), np.inf, x)
    labels = np.arange(len(x)) % 2 if labelled else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = ForgetSet.by_score(x, 3, labels=labels, seed=np.int64(3), medium=np.float32(0.5), data_hash="d")
    path = tmp_path_factory.mktemp("sets") / "set.json"
    chosen.save(path)
    loaded = ForgetSet.load(path)
    assert loaded == chosen
    assert loaded.hash == chosen.hash
    for name in ("ids", "strata", "scores", "labels"):
        assert np.array_equal(getattr(loaded, name), getattr(chosen, name))
    assert (loaded.names, loaded.n, loaded.seed, loaded.data_hash) == (chosen.names, chosen.n, 3, "d")


def test_a_hash_is_the_same_on_every_machine():
    chosen = ForgetSet.by_score([0.1, 0.7, 0.2, 1.0, 0.6, 0.3], 3, labels=[0, 1, 0, 1, 0, 1])
    assert chosen.hash == "9e6ea9f27c4dae654d483840f315e189168d7c210d28854c0208321e22b6fc84"


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "set.json"
    ForgetSet.by_score(SCORE, 30, labels=LABELS).save(path)
    return path


@pytest.mark.parametrize("key", ["ids", "strata", "scores", "labels", "names", "rule", "seed", "n", "data_hash"])
def test_a_manifest_that_was_changed_is_refused(manifest, key):
    content = json.loads(manifest.read_text())
    changed = {
        list: lambda v: v[::-1], dict: lambda v: {**v, "size": 1}, int: lambda v: v + 1, type(None): lambda _: "x"
    }  # fmt: skip
    content[key] = changed[type(content[key])](content[key])
    manifest.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=rf"set.json: was damaged or changed: .* not {content['hash']}"):
        ForgetSet.load(manifest)


@given(st.data())
def test_no_damage_to_a_manifest_goes_unnoticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("sets") / "set.json"
    ForgetSet.by_score(SCORE[:20], 6).save(path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 2))
    damaged = data.draw(
        st.sampled_from([whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], whole[:at] + b"7" + whole[at + 1 :]])
    )
    path.write_bytes(damaged)
    if damaged != whole:
        with pytest.raises(StoreError, match=r"set\.json: "):
            ForgetSet.load(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": "unmemorize forget set 1"}', "[" * 100_000])
def test_what_is_no_manifest_is_named(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(StoreError, match=r"other\.json: is not the manifest of a forget set, or is damaged"):
        ForgetSet.load(path)
    with pytest.raises(FileNotFoundError):
        ForgetSet.load(tmp_path / "missing.json")


def test_a_forget_set_does_not_change():
    chosen = ForgetSet.by_score(SCORE, 30)
    with pytest.raises(ValueError, match="read-only"):
        chosen.ids[0] = 1
    ids = np.array([1, 2, 3])
    assert ForgetSet.from_ids(ids).ids is not ids
    ids[0] = 9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ForgetSet.by_score([1, np.nan, 0, np.nan], 3), ValueError,
         r"score: 2 of 4 values are NaN \(no estimate\), the first at position 1; leave them out: .* ids=keep"),
        (lambda: ForgetSet.by_score(SCORE, 201), ValueError, "size: expected 1 to 200, the number of scores, got 201"),
        (lambda: ForgetSet.by_score(SCORE, 0), ValueError, "size: expected at least 1, got 0"),
        (lambda: ForgetSet.by_score(SCORE, 2), ValueError, "strata: expected 1 to 2, the size of the forget set"),
        (lambda: ForgetSet.by_score(SCORE, 9, strata=4), ValueError, "strata: expected 2 or 3 for rule 'low-medium"),
        (lambda: ForgetSet.by_score(SCORE, 9, rule="top"), ValueError, "rule: expected low-medium-high, low, medium"),
        (lambda: ForgetSet.by_score(SCORE, 9, medium="mean"), ValueError, "medium: expected 'median' or a number"),
        (lambda: ForgetSet.by_score(SCORE, 9, ids=[1]), ValueError, "ids: expected 200 values to match score, got 1"),
        (lambda: ForgetSet.by_score([1, 2, 3], 3, ids=[1, 2, 2]), ValueError, "ids: 1 occur more than once, first 2"),
        (lambda: ForgetSet.by_score([1, 2, 3], 3, labels=[1]), ValueError, "labels: expected 3 values, one for each"),
        (lambda: ForgetSet.by_score([], 1), ValueError, "forget set: no ids; name at least 1 example"),
        (lambda: ForgetSet.from_ids([]), ValueError, "forget set: no ids; name at least 1 example"),
        (lambda: ForgetSet.from_ids([3, 1, 3]), ValueError, "ids: 1 occur more than once, first 3"),
        (lambda: ForgetSet.from_ids([0.5]), TypeError, "ids: expected integers, got float64"),
        (lambda: ForgetSet.from_ids([-1]), IndexError, "ids: -1 is negative"),
        (lambda: ForgetSet.from_ids([5], n=5), IndexError, "ids: 5 is out of range for a training set of 5 examples"),
        (lambda: ForgetSet.from_ids([5], labels=[1, 2]), IndexError, "ids: 5 is out of range for a training set of 2"),
        (lambda: ForgetSet.from_ids([5, 6], score=[1, 2, 3], n=9), ValueError,
         "score: expected 2 values, one for each id, or 9, got 3"),
        (lambda: ForgetSet.from_ids([5, 6], score=[1, 2, 3]), ValueError, "score: 3 values are neither one for each"),
        (lambda: ForgetSet.from_ids([5, 6], score=[1, 2]), ValueError, "strata: expected 1 to 2, .* got 3"),
        (lambda: ForgetSet.from_ids([5, 6], score=[1, np.nan]), ValueError, "score: 1 of 2 values are NaN"),
        (lambda: ForgetSet.random(5, 6), ValueError, "size: expected at most 5, the number of examples, got 6"),
        (lambda: ForgetSet.random(5, 0), ValueError, "forget set: no ids"),
        (lambda: ForgetSet.by_class([1, 2], 3), ValueError, "classes: no example has label 3; known are 1, 2"),
        (lambda: ForgetSet.from_ids([1]).stratum("low"), ValueError, "stratum: none is 'low'; known are all"),
        (lambda: ForgetSet.from_ids([1]).stratum(1), ValueError, "stratum: none is 1; known are all"),
        (lambda: ForgetSet.from_ids([1]).shuffled(0), ValueError, "strata: expected 1 to 1, .* got 3"),
        (lambda: ForgetSet.by_entanglement([[1.0], [np.inf]], 1), ValueError, "features: row 1 is not finite"),
        (lambda: entanglement(np.zeros((0, 2)), [[1.0, 2.0]]), ValueError, "features_retain: expected at least 1 row"),
        (lambda: entanglement([[1.0]], [[1.0, 2.0]]), ValueError, "features_forget: expected 1 columns to match"),
        (lambda: ForgetSet(ids=np.array([1, 2]), strata=np.array([0, 0]), names=("low", "high")), ValueError,
         "strata: expected each of 0 to 1, got .0."),
        (lambda: ForgetSet(ids=np.array([2, 1]), strata=np.array([0, 0]), names=("all",)), ValueError,
         "ids: expected in order of stratum, then id"),
        (lambda: ForgetSet(ids=np.array([1, 2]), strata=np.array([0]), names=("all",)), ValueError,
         r"strata: expected shape \(2,\) to match ids, got \(1,\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
