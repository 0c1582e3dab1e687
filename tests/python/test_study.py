"""Which proxy to trust: agreement, combination and the study as a whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score
from unmemorize import score_files, study
from unmemorize.cli.study import run
from unmemorize.events import PROXIES
from unmemorize.experiment import Settings
from unmemorize.study.agreement import average_precision, recall_of_flips
from unmemorize.study.combine import cross_fitted
from unmemorize.study.runs import SHARES, stops

N = 600
NOBODY = np.zeros(N, dtype=bool)


@pytest.fixture
def random():
    return np.random.default_rng(0)


# --- agreement


def test_a_proxy_that_orders_as_the_score_does_agrees_in_full(random):
    score = random.random(N)
    found = study.agree(score, [score**3, score**3], score > 0.95)
    for name in ("spearman", "kendall"):
        assert found.correlation[name].runs.value == pytest.approx(1)
        assert found.correlation[name].examples.low == pytest.approx(1)
    assert 0.8 < found.correlation["pearson"].runs.value < 0.99
    assert {name: share.value for name, share in found.overlap.items()} == {"low": 1, "medium": 1, "high": 1}
    assert found.recall_of_flips.value == found.average_precision.value == 1


def test_the_two_intervals_say_what_other_seeds_and_other_examples_would_do(random):
    score = random.random(N)
    alike = [score + random.normal(size=N) / 2] * 3
    found = study.agree(score, alike, NOBODY).correlation["spearman"]
    assert found.runs.n == 3
    assert found.runs.low == found.runs.high == found.runs.value, "the same run three times"
    assert found.examples.n == N
    assert found.examples.low < found.runs.value < found.examples.high


def test_examples_without_a_score_are_left_out_and_no_flips_are_no_number(random):
    score = random.random(N)
    score[::2] = np.nan
    found = study.agree(score, [np.nan_to_num(score)] * 2, NOBODY)
    assert found.correlation["spearman"].examples.n == N // 2
    assert found.correlation["spearman"].runs.value == pytest.approx(1)
    assert found.recall_of_flips is found.average_precision is None


def test_never_learned_has_a_rank_but_no_place_on_a_line(random):
    score = random.random(N)
    found = study.agree(score, [np.where(score > 0.9, np.inf, score)] * 2, NOBODY)
    assert found.correlation["spearman"].runs.value > 0.99
    assert math.isnan(found.correlation["pearson"].runs.value)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_average_precision_is_that_of_scikit_learn(rows):
    score, flipped = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    flipped[0] = True
    assert average_precision(score, flipped) == pytest.approx(average_precision_score(flipped, score))
    assert 0 <= recall_of_flips(score, flipped) <= 1


# --- combination


def test_two_noisy_proxies_are_better_than_one(random):
    score = random.random(N)
    runs = [{name: score + random.normal(size=N) / 3 for name in "ab"} for _ in range(3)]
    found = study.gain(score, runs, resamples=50)
    assert found.difference.low > 0
    assert found.difference_examples.low > 0
    assert found.difference.value == pytest.approx(found.combined.value - found.single.value)


def test_noise_beside_a_good_proxy_brings_nothing(random):
    score = random.random(N)
    runs = [{"good": score + random.normal(size=N) / 10, "noise": random.normal(size=N)} for _ in range(3)]
    found = study.gain(score, runs, resamples=50)
    assert found.chosen == "good"
    assert abs(found.difference.value) < 0.02


def test_predictions_know_nothing_of_their_own_fold(random):
    features, score = random.random((N, 3)), random.random(N)
    predicted = cross_fitted(features, score, np.arange(N) % 5)
    assert abs(np.corrcoef(predicted, score)[0, 1]) < 0.15


def test_a_combination_rises_with_every_proxy(random):
    features = random.random((N, 2))
    score = features.sum(1) + random.normal(size=N) / 5
    features[-1] = features[:-1].max(0)
    fold = np.zeros(N, dtype=np.int64)
    fold[N // 2 :] = 1
    predicted = cross_fitted(features, score, fold)
    assert predicted[-1] == predicted[N // 2 :].max()


# --- the study


def test_stops_are_at_least_one_epoch():
    assert stops(4) == {0.1: 1, 0.25: 1, 0.5: 2, 1.0: 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two runs and ten subset models on 700 digits, and a score of the user's own."""
    home = tmp_path_factory.mktemp("study")
    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32), digits.target
    np.savez(home / "part.npz", x_train=x[:700], y_train=y[:700], x_test=x[700:900], y_test=y[700:900])
    score_files.write(home / "own.csv", {"source_id": np.arange(700), "position": np.arange(700)})
    settings = Settings(data=str(home / "part.npz"), models=10, runs=2)
    run(home / "out", settings, None, None, [], workers=2, resamples=0)
    trained = {path: path.stat().st_mtime_ns for path in (home / "out").glob("*/*")}
    run(home / "out", settings, home / "out" / "ensemble", home / "own.csv", ["position"], workers=2, resamples=20)
    assert {path: path.stat().st_mtime_ns for path in (home / "out").glob("*/*")} == trained, "nothing is done twice"
    return home / "out"


def test_a_study_writes_tables_numbers_and_a_figure(folder):
    page = (folder / "study.md").read_text()
    assert page.startswith("# Proxies of memorization on part: n = 630, exact scores from T = 10 models, 11 epochs of ")
    for target in ("memorization", "1 - C-score", "position"):
        assert f"## Against {target}" in page
    assert (folder / "agreement-0.tex").read_text().startswith("\\begin{tabular}")
    numbers = score_files.read(folder / "study.parquet")
    assert set(numbers["target"]) == {"memorization", "1 - C-score", "position"}
    np.testing.assert_array_equal(numbers["value"], score_files.read(folder / "study.csv")["value"])
    whole = (numbers["share"] == 1) & (numbers["statistic"] == "spearman") & (numbers["over"] == "runs")
    assert {*PROXIES, "loss_curvature_sign", "sharpness_gap"} < set(numbers["proxy"][whole])
    assert set(numbers["share"]) == set(SHARES)
    assert set(numbers["target"][numbers["proxy"] == "(ceiling)"]) == {"memorization", "1 - C-score"}
    svg = (folder / "profiles.svg").read_text()
    assert svg.count('<g id="axes_') == 6
    assert "#1f5f99" in svg


def test_every_proxy_is_oriented_and_a_score_of_no_meaning_has_no_proxy(folder):
    """The signs of the published correlations, on a small set: all agree with memorization, none with a position."""
    numbers = score_files.read(folder / "study.csv")
    whole = (numbers["share"] == 1) & (numbers["statistic"] == "spearman") & (numbers["over"] == "runs")

    def found(target):
        at = whole & (numbers["target"] == target)
        return dict(zip(numbers["proxy"][at], numbers["value"][at], strict=True))

    signs = found("memorization")
    for name in ("confidence", "max_confidence", "entropy", "accuracy", "loss", "margin", "el2n", "first_learned"):
        assert signs[name] > 0.2, name
    for name in ("confidence_now", "holdout_retraining", "loss_curvature_sign", "loss_curvature_rademacher"):
        assert signs[name] > 0.1, name
    assert all(abs(value) < 0.25 for name, value in found("position").items() if not name.startswith("combined"))
