"""Comparisons and tuning: made-up measurements with known answers, then the real thing at a tiny size."""

import copy
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner
from unmemorize import score_files
from unmemorize.cli.app import app
from unmemorize.engine import Crew
from unmemorize.ensemble import Ensemble
from unmemorize.experiment import (
    Cell,
    Found,
    Scores,
    Settings,
    comparison,
    grid,
    method,
    objectives,
    preset,
    tasks,
    tuned,
    write_preset,
)
from unmemorize.experiment.methods import FIXED, PAPER
from unmemorize.experiment.objectives import OBJECTIVES
from unmemorize.experiment.summary import caption
from unmemorize.experiment.tuning import SHARED, Tuning, space
from unmemorize.report import compare as drawn
from unmemorize.results import Results
from unmemorize.stats import t_interval
from unmemorize.unlearn import ALGORITHMS

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does

TINY = Settings(models=10, runs=2, size=30)
NOTHING, TUNED = Cell("nothing"), Cell("fine_tune", "rum", "confidence")
STEPS = {NOTHING: [{}], TUNED: [{"lr": 0.1}]}


# --- values, means, differences


def measured(forget: float, test: float = 0.9, high: float | None = None) -> dict[str, Any]:
    own = {"forget": forget, "forget/low": forget, "forget/high": forget if high is None else high}
    return {"accuracy": {**own, "retain": 1.0, "test": test}, "mia": dict.fromkeys(own, 0.5), "forget_hash": "x"}


def once(*measurements: dict[str, Any], seconds: float = 1.0) -> dict[str, Any]:
    return {"seconds": seconds, "measurements": list(measurements)}


def values(
    unlearned: dict[Cell, list[list[dict[str, Any]]]], oracles: list[dict[str, Any]]
) -> dict[Cell, comparison.Values]:
    return comparison.values(found(unlearned, {"exact": oracles}))


def found(
    unlearned: dict[Cell, list[list[dict[str, Any]]]], oracles: dict[str, list[dict[str, Any]]], protocol: str = FIXED
) -> Found:
    """Subset models took 50 s and 30 s, learning events 0.02 s, holdout retraining 0.5 s."""
    nothing = np.zeros(0)
    scores = Scores(nothing, nothing, dict.fromkeys(("confidence", "holdout_retraining"), nothing), t_interval([0.9]),
                    {"holdout_retraining": 0.5})  # fmt: skip
    originals, references = [{"events_seconds": 0.01}, {"events_seconds": 0.03}], [{"seconds": 50.0}, {"seconds": 30.0}]
    steps = {cell: STEPS.get(cell, [{}]) for cell in unlearned}
    return Found(originals, references, scores, {}, oracles, unlearned, steps, protocol)


def several(*accuracies: float) -> list[list[dict[str, Any]]]:
    return [[once(measured(accuracy))] for accuracy in accuracies]


def test_a_value_is_the_mean_over_the_oracles_and_an_interval_is_over_the_runs() -> None:
    oracles = [once(measured(0.5), seconds=2.0), once(measured(0.7), seconds=4.0)]
    (row,) = comparison.rows(values({NOTHING: several(1.0, 0.8)}, oracles), STEPS)
    assert row.evaluation is not None
    assert row.tow.value == pytest.approx(np.mean([0.5, 0.7, 0.7, 0.9]))
    expected = t_interval([0.6, 0.8])
    assert (row.tow.low, row.tow.high, row.tow.n) == pytest.approx((expected.low, expected.high, 2))
    assert row.evaluation.band.tow.value == pytest.approx(0.8)
    assert row.retrain_share is not None
    assert row.retrain_share.value == pytest.approx(1 / 3)


def test_a_request_costs_its_parts_and_what_serves_all_requests_is_told_apart() -> None:
    def run(**costs: float) -> list[list[dict[str, Any]]]:
        history = [{"costs": costs}, {"costs": {"scoring": 0.0, "unlearning": 1.0}}]
        return [[{**once(measured(a)), "history": history}] for a in (0.5, 0.6)]

    cells = {
        NOTHING: run(scoring=0.0, unlearning=0.0),
        Cell("salun", "rum", "holdout_retraining"): run(scoring=0.25, mask=0.5, unlearning=2.0),
        Cell("salun", "shuffle"): run(scoring=0.0, mask=0.5, unlearning=2.0),
        Cell("out_of_sample", "rum", "confidence"): run(scoring=0.0, targets=1.0, unlearning=2.0),
        Cell("out_of_sample", "rum", "exact"): run(scoring=0.0, targets=1.0, unlearning=2.0),
        Cell.of("salun", "entanglement"): run(scoring=3.0, mask=0.5, unlearning=2.0),
    }
    of = found(cells, {"exact": [once(measured(0.5), seconds=4.0)]})
    nothing, holdout, shuffle, confidence, exact, entangled = comparison.rows(comparison.values(of), of.steps)
    assert (nothing.costs, nothing.once, nothing.once_share) == ({"scoring": 0.0, "unlearning": 1.0}, {}, 0.0)
    assert holdout.costs == {"scoring": 0.25, "mask": 0.5, "unlearning": 3.0}
    assert holdout.seconds is not None
    assert holdout.retrain_share is not None
    assert (holdout.seconds.value, holdout.retrain_share.value) == (3.75, 3.75 / 4)
    assert (holdout.once, holdout.once_share) == ({"holdout_retraining": 0.5}, 0.125)
    assert shuffle.once == entangled.once == {}, "random parts cost nothing, features are looked at in each request"
    assert confidence.once == {"subset models": 80.0, "learning events": 0.02}
    assert (exact.once, exact.once_share) == ({"subset models": 80.0}, 20.0), (
        "models of both scores and targets count once"
    )


def test_unlearning_and_evaluation_seeds_are_averaged_before_the_interval() -> None:
    runs = [
        [once(measured(a), measured(b)), once(measured(c), measured(d))]
        for a, b, c, d in ((1.0, 0.9, 0.8, 0.7), (0.6, 0.6, 0.6, 0.6))
    ]
    (row,) = comparison.rows(values({NOTHING: runs}, [once(measured(0.5), measured(0.5))]), STEPS)
    expected = t_interval([1 - 0.35, 1 - 0.1])
    assert (row.tow.value, row.tow.low, row.tow.n) == pytest.approx((expected.value, expected.low, 2))
    assert row.evaluation is not None
    assert math.isnan(row.evaluation.band.tow.value), "one oracle has nothing to be compared with"


def test_differences_are_paired_by_run() -> None:
    cells = [NOTHING, Cell("fine_tune"), Cell("fine_tune", "rum", "exact"), TUNED]
    of = dict(zip(cells, (several(1.0, 0.8), several(0.9, 0.7), several(0.8, 0.61), several(0.8, 0.6)), strict=True))
    rows = {row.plan + row.scores: row for row in comparison.paired(values(of, [once(measured(0.5))]))}
    assert rows["vanilla"].differences["nothing"].value == pytest.approx(0.1)
    assert rows["vanilla"].differences["nothing"].low == pytest.approx(0.1), "the same difference in both runs"
    assert set(rows["rumconfidence"].differences) == {"nothing", "vanilla", "exact"}
    assert rows["rumconfidence"].differences["exact"].value == pytest.approx(0.005)
    assert rows["rumconfidence"].on_par is False, "with two runs the interval is wide"
    assert rows["rumexact"].on_par is None


def test_what_retraining_gains_stands_beside_every_difference() -> None:
    of = values(
        {NOTHING: several(1.0, 0.8), Cell("neg_grad"): several(0.7, 0.7)}, [once(measured(a)) for a in (0.5, 0.6)]
    )
    oracle, neg_grad = comparison.paired(of)
    assert (oracle.algorithm, oracle.plan, oracle.on_par) == ("oracle", "against oracle", None)
    assert oracle.differences["nothing"].value == pytest.approx(0.9 - np.mean([0.5, 0.6, 0.7, 0.8]))
    assert neg_grad.differences["nothing"].value == pytest.approx(0.85 - 0.65)
    first, second = comparison.verdicts(of)
    assert (first.algorithm, second.algorithm) == ("oracle", "neg_grad")
    assert first.change.value == pytest.approx(0.55 - 0.9)
    assert first.nearer.value == pytest.approx(0.9 - 0.65)


def test_each_score_has_a_forget_set_of_its_own_in_the_protocol_of_the_papers() -> None:
    of = {Cell(name, "vanilla", score): several(a) for (name, score), a in {
        ("nothing", "exact"): 1.0, ("nothing", "loss"): 0.8, ("salun", "exact"): 0.6, ("salun", "loss"): 0.5,
    }.items()}  # fmt: skip
    of[Cell("salun", "rum", "loss")] = several(0.4)
    oracles = {name: [once(measured(a)), once(measured(b))] for name, a, b in (("exact", 0.6, 0.6), ("loss", 0.3, 0.4))}
    all_ = comparison.values(found(of, oracles, PAPER))
    rows = {
        (row.algorithm, row.plan, row.scores): row for row in comparison.rows(all_, {cell: [{}] for cell in of}, PAPER)
    }
    assert rows["salun", "vanilla", "exact"].tow.value == pytest.approx(1.0)
    assert rows["salun", "vanilla", "loss"].tow.value == pytest.approx(0.85)
    assert {row.protocol for row in rows.values()} == {"paper"}
    bands = {row.scores: row.evaluation.band.tow.value for row in rows.values() if row.evaluation}
    assert bands == pytest.approx({"exact": 1.0, "loss": 0.9})
    pairs = {(row.algorithm, row.plan, row.scores): row.differences for row in comparison.paired(all_, PAPER)}
    refined = pairs["salun", "rum", "loss"]
    assert {name: one.value for name, one in refined.items()} == pytest.approx({"nothing": 0.4, "vanilla": 0.1})
    assert [(row.algorithm, row.scores) for row in comparison.verdicts(all_, PAPER)] == [
        ("oracle", "exact"), ("salun", "exact"), ("oracle", "loss"), ("salun", "loss"),
    ]  # fmt: skip


# --- plans as data


def test_a_plan_as_data_is_a_method(tmp_path: Path) -> None:
    (tmp_path / "four.toml").write_text("strata = 4\n")
    (tmp_path / "mine.toml").write_text(
        'by = "loss"\nsteps = ["nothing", "nothing", {algorithm = "salun", lr = 0.1}]\n'
    )
    plans = ["vanilla", "reversed", "entanglement", "class", "published", str(tmp_path / "four.toml")]
    cells = {cell.key: cell for cell in grid(["cf_k"], [*plans, str(tmp_path / "mine.toml")], ["exact", "loss"])}
    links = {key: cell.links for key, cell in cells.items()}
    assert links == {
        "cf_k-vanilla": 1, "cf_k-reversed-exact": 3, "cf_k-reversed-loss": 3, "cf_k-entanglement": 3, "cf_k-class": 1,
        "cf_k-four-exact": 4, "cf_k-four-loss": 4, "nothing+fine_tune+salun-published-exact": 3,
        "nothing+fine_tune+salun-published-loss": 3, "nothing+salun-mine": 3,
    }  # fmt: skip
    own = tuned([cells["nothing+salun-mine"]], "digits", "digits")
    assert [step["algorithm"] for step in own[cells["nothing+salun-mine"]]] == ["nothing", "nothing", "salun"]
    plan = method(cells["nothing+salun-mine"], own[cells["nothing+salun-mine"]])
    assert (plan.by, plan.order, plan.steps[2].lr) == ("loss", None, 0.1)
    four = method(cells["cf_k-four-loss"], [{"k": k} for k in (1, 1, 2, 2)])
    assert (four.by, four.strata, [one.k for one in four.steps]) == ("loss", 4, [1, 1, 2, 2])
    assert method(cells["cf_k-class"], [{"lr": 0.1}]).by == "class"
    assert Cell(**cells["cf_k-four-loss"].to_dict()) == cells["cf_k-four-loss"]


def test_the_methods_of_earlier_folders_keep_their_names() -> None:
    cells = grid(["cf_k"], scores=["exact"])
    assert [cell.to_dict() for cell in cells] == [
        {"algorithm": "cf_k", "plan": plan, "scores": scores}
        for plan, scores in (("vanilla", ""), ("shuffle", ""), ("rum", "exact"))
    ]


def test_each_plan_has_each_score_in_the_protocol_of_the_papers() -> None:
    cells = grid(["cf_k"], ["vanilla", "class"], ["exact", "loss"], PAPER)
    assert [cell.key for cell in cells] == [
        "cf_k-vanilla-exact",
        "cf_k-vanilla-loss",
        "cf_k-class-exact",
        "cf_k-class-loss",
    ]
    assert {(cell.forgets(PAPER), cell.forgets(FIXED)) for cell in cells} == {("exact", "exact"), ("loss", "exact")}
    found = tuned(cells[:2], "digits-compare", "digits")
    assert found[cells[0]] == found[cells[1]] == preset("digits-compare")["cells"]["cf_k-vanilla"]


def test_a_preset_of_the_other_protocol_is_named_as_that() -> None:
    fixed, paper = preset("digits-compare")["study"], {**preset("digits-compare")["study"], "protocol": PAPER}
    told = {
        (protocol, study["protocol"] if study is paper else FIXED): caption(replace(TINY, protocol=protocol), study)
        for protocol in (FIXED, PAPER)
        for study in (fixed, paper)
    }
    assert told == {
        (FIXED, FIXED): "protocol fixed-S, oracle-tuned, 40 trials a method",
        (FIXED, PAPER): "protocol fixed-S, oracle-tuned under paper, 40 trials a method",
        (PAPER, FIXED): "protocol paper, oracle-tuned under fixed-S, 40 trials a method",
        (PAPER, PAPER): "protocol paper, oracle-tuned, 40 trials a method",
    }


def test_a_preset_of_another_recipe_is_named_as_that() -> None:
    told = caption(replace(TINY, recipe="cifar10"), preset("digits-compare")["study"])
    assert told == "protocol fixed-S, oracle-tuned with recipe digits, 40 trials a method"


def test_a_plan_with_another_plans_name_is_refused(tmp_path: Path) -> None:
    for name in ("rum", "my plan"):
        (tmp_path / f"{name}.toml").write_text("strata = 4\n")
        with pytest.raises(
            ValueError, match="expected a name of letters, digits, _ and -, and none of vanilla, shuffle"
        ):
            grid(["cf_k"], [str(tmp_path / f"{name}.toml")])


@pytest.mark.parametrize(
    ("accuracies", "reason"),
    [
        ((0.52, 0.5, 0.51), ""),
        ((1.0, 1.0, 0.999), "hardly forgets: accuracy on S changes by less than 0.01"),
        ((0.0, 0.01, 0.0), "forgets more than retraining does: 1−Δ falls by 0.203"),
    ],
)
def test_a_verdict_says_why_not(accuracies: tuple[float, ...], reason: str) -> None:
    of = {NOTHING: several(0.99, 1.0, 0.99), Cell("neg_grad"): several(*accuracies)}
    (row,) = comparison.verdicts(values(of, [once(measured(0.6))]))
    assert row.reason == reason


def test_a_verdict_names_the_part_that_is_harmed() -> None:
    harmful = [[once(measured(0.5, test=test))] for test in (0.4, 0.2, 0.3)]
    (row,) = comparison.verdicts(
        values({NOTHING: several(1.0, 1.0, 1.0), Cell("neg_grad"): harmful}, [once(measured(0.5))])
    )
    assert row.reason == "harms the test set: 1−Δ falls by 0.600"


def test_the_tidy_table_has_a_row_for_each_method_seed_and_metric() -> None:
    oracles = [once(measured(0.5)), once(measured(0.7))]
    of = values({NOTHING: several(1.0, 0.8), TUNED: several(0.6, 0.5)}, oracles)
    tidy = comparison.tidy(of, STEPS, TINY, {"exact": "abc"}, {"data": "digits"})
    (rows,) = {len(column) for column in tidy.values()}
    metrics = 3 * 3 * 10 + 3 * 3 + 2 * 2 + 1
    assert rows == 2 * metrics, "runs x (methods and oracles x (groups x metrics, and three of time), and what is once)"
    here = (tidy["algorithm"] == "fine_tune") & (tidy["metric"] == "tow") & (tidy["group"] == "forget")
    assert tidy["value"][here].tolist() == pytest.approx([1 - 0.1, 1 - 0.1])
    assert set(tidy["better"][here]) == {"↑"}
    assert tidy["train_seed"][here].tolist() == [TINY.seed_of("original", i) for i in range(2)]
    assert json.loads(tidy["steps"][here][0]) == [{"lr": 0.1}]
    assert set(tidy["data"]) == {"digits"}
    assert set(tidy["forget_hash"]) == {"abc"}


def test_the_page_holds_every_table_with_the_band() -> None:
    all_ = values({NOTHING: several(1.0, 0.8), TUNED: several(0.6, 0.5)}, [once(measured(0.5)), once(measured(0.7))])
    results = Results(
        "Two methods", {}, {}, comparison=comparison.rows(all_, STEPS), paired=comparison.paired(all_),
        verdicts=comparison.verdicts(all_), command="unmemorize compare",
    )  # fmt: skip
    page = drawn.markdown(results)
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Two methods", "## How close to retraining", "## Each stratum alone", "## Does it do what it is made for?",
        "## Paired by seed", "## What it costs",
    ]  # fmt: skip
    assert page.count("| oracle | against oracle | fixed-S |") == 3
    assert "| fine_tune | RUM^F, confidence | fixed-S | learning events | 20 ms | 2.0% | 1.0 s |" in page
    assert page.count("| oracle | fixed-S |") == 1
    assert Results.from_dict(results.to_dict()) == results


# --- tuning


def test_every_algorithm_that_has_something_to_tune_has_ranges() -> None:
    for name in ALGORITHMS:
        if name not in ("nothing", "retrain"):
            fields = ALGORITHMS[name].__dataclass_fields__
            assert all(hyper in fields and low <= high for hyper, (_, low, high) in space(name).items())
    with pytest.raises(ValueError, match="algorithm: no algorithm 'amnesia'; known are nothing, retrain, fine_tune"):
        space("amnesia")
    with pytest.raises(ValueError, match="algorithm: 'nothing' has no ranges to search"):
        space("nothing")


def test_the_mode_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode: no mode 'test'; known are oracle, validation"):
        Tuning(tmp_path, TINY, [TUNED], trials=1, mode="test")


CELLS = grid(["boundary_shrink"], ["vanilla", "rum"], ["confidence"])
TRIALS = SHARED + 1


def search(folder: Path, mode: str = "oracle", trials: int = TRIALS) -> dict[str, Any]:
    with Crew(1) as crew:
        tuning = Tuning(folder, TINY, CELLS, trials=trials, mode=mode, executor=crew)
        tuning.prepare()
        tuning.first()
        return {key: {**found, "seconds": 0.0} for key, found in tuning.search().items()}


@pytest.fixture(scope="module")
def by_validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tune") / "run"
    assert all(0 <= found["value"] <= 1 for found in search(folder, "validation", 1).values())
    return folder


def test_validation_tuning_retrains_nothing(by_validation: Path) -> None:
    assert not list((by_validation / "tasks").glob("oracle*"))


def test_validation_tuning_reads_nothing_of_the_test_set(by_validation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, model = str(by_validation), tasks.original_model(str(by_validation), 0)
    of = tasks.data_of(TINY)
    other = replace(of, test=replace(of.test, images=torch.full_like(of.test.images, torch.nan)))
    values = []
    for known in (of, other):
        monkeypatch.setattr(objectives, "data_of", lambda _, known=known: known)
        values.append(OBJECTIVES["validation"].value(folder, 0, "exact", model, []))
    assert values[0] == values[1]


def test_validation_tuning_would_choose_a_model_that_never_saw_the_forget_set(by_validation: Path) -> None:
    folder = str(by_validation)
    forget = tasks.forget_set_of(folder, "exact")
    original = tasks.original_model(folder, 0)
    retrained, _ = tasks._fit(TINY, of := tasks.data_of(TINY), of.train.without(forget.ids), seed=0)
    broken = copy.deepcopy(retrained)
    torch.nn.init.zeros_(list(broken.modules())[-1].weight)
    best, memorizing, useless = (
        OBJECTIVES["validation"].value(folder, 0, "exact", model, []) for model in (retrained, original, broken)
    )
    assert best > 0.85
    assert memorizing < best - 0.2, "it gives away what it was trained on"
    assert useless < best - 0.2, "it has lost what it was to keep"


def test_what_is_compared_with_never_saw_the_example(by_validation: Path) -> None:
    ids = tasks.forget_set_of(str(by_validation), "exact").ids
    models = Ensemble.open(by_validation / "ensemble").entries("reference")
    unseen, weights = objectives._unseen(str(by_validation), "exact")
    sigmoid = [[1 / (1 + math.exp(-phi)) for phi in model.array("phi")[ids].astype(float)] for model in models]
    expected = [
        np.mean([own[k] for model, own in zip(models, sigmoid, strict=True) if not model.member[row]])
        for k, row in enumerate(ids)
    ]
    assert weights.sum() == pytest.approx(len(ids))
    assert np.average(unseen, weights=weights) == pytest.approx(np.mean(expected))


@pytest.fixture(scope="module")
def undisturbed(by_validation: Path) -> tuple[dict[str, Any], Path]:
    folder = by_validation.parent / "undisturbed"
    shutil.copytree(by_validation, folder)
    return search(folder), folder


def test_a_chain_shares_its_hyper_parameters_at_first(undisturbed: tuple[dict[str, Any], Path]) -> None:
    found, folder = undisturbed
    assert [len(steps["steps"]) for steps in found.values()] == [1, 3]
    journal = JournalFileBackend(str(folder / "tuning" / "oracle-boundary_shrink-rum-confidence.jsonl"))
    trials = JournalStorage(journal).get_all_trials(0)
    steps = [trial.user_attrs["steps"] for trial in trials]
    assert len(steps) == TRIALS
    assert steps[0][0] == {"lr": 1e-3, "epochs": 5, "bound": 0.1}, "first the defaults"
    assert all(one[0] == one[1] == one[2] for one in steps[:SHARED])
    assert all(one[0] != one[1] for one in steps[SHARED:])


def test_a_search_that_was_killed_ends_like_an_undisturbed_one(
    by_validation: Path, undisturbed: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    shutil.copytree(by_validation, tmp_path / "run")
    program = tmp_path / "program.py"
    program.write_text(
        f"from test_compare import *\nif __name__ == '__main__':\n    search(Path({str(tmp_path / 'run')!r}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, str(program)], env=environment)
    journal = tmp_path / "run" / "tuning" / "oracle-boundary_shrink-rum-confidence.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_text().count('"steps"') > 3):
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert search(tmp_path / "run") == undisturbed[0]


def test_a_preset_is_read_as_it_was_written(tmp_path: Path) -> None:
    study = {
        "objective": 'mean of "ToW" ↑',
        "trials": 4,
        "runs": 2,
        "seed": 9,
        "ranges": {"ssd": {"selection": ("log", 1, 100)}},
    }
    cells = {"ssd-vanilla": {"steps": [{"selection": 3.5, "dampening": 1e-05}], "value": 0.9}}
    write_preset(tmp_path / "own.toml", study, cells)
    assert preset(tmp_path / "own.toml") == {
        "study": {**study, "ranges": {"ssd": {"selection": ["log", 1, 100]}}},
        "cells": {"ssd-vanilla": cells["ssd-vanilla"]["steps"]},
    }


# --- the command


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("compare --preset digits --algorithms ,", "expected names, by comma, got ','"),
        ("compare --preset digits --plans ,", "expected names, by comma, got ','"),
        (
            "compare --preset digits --algorithms amnesia",
            "no algorithm 'amnesia'; known are nothing, retrain, fine_tune",
        ),
        ("compare --trials 3 --algorithms amnesia", "no algorithm 'amnesia'; known are nothing, retrain, fine_tune"),
        ("compare --preset digits --trials 3", "give one of --preset and --trials"),
        ("compare --preset digits --mode oracle", "only with --trials"),
        ("compare --trials 3 --algorithms cf_k --mode test", "no mode 'test'; known are oracle, validation"),
        ("tune --algorithms nothing", "methods: none that can be tuned"),
        ("tune --algorithms cf_k --plans published", "methods: none that can be tuned"),
        ("tune --preset /proc/x/own.toml", "/proc/x"),
        ("tune --preset own.txt", "preset: expected a .toml file to write, got 'own.txt'"),
    ],
)
def test_a_slip_is_told_before_anything_is_trained(command: str, said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--data", "digits", "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, ValueError | OSError)
    assert said in str(done.exception)
    assert not list((tmp_path / "out").glob("*/*")), "at most its settings are there"


def test_compare_tunes_and_compares_in_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "four.toml").write_text('strata = 4\nsteps = "nothing"\n')
    command = [sys.executable, "-m", "unmemorize", "compare", "--data", "digits", "--noise", "0.05", "--algorithms",
               "boundary_shrink", "--plans", f"rum,{tmp_path / 'four.toml'}", "--scores", "exact,holdout_retraining",
               "--protocol", "paper", "--trials", "1",
               "--models", "10", "--runs", "2", "--attacks", "2", "--size", "30", "--workers", "1",
               "--out", str(out)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 methods x 1 trials x 2 runs" in " ".join(done.stderr.split())
    title = (out / "compare.md").read_text().splitlines()[0]
    for part in (
        "n = 1295",
        "|S| = 30",
        "T = 10",
        "11 epochs of convnet",
        "2 paired seeds",
        "1 trials a method",
        "paper",
    ):
        assert part in title
    table = score_files.read(out / "compare.parquet")
    methods = {
        "-".join(filter(None, key)) for key in zip(*(table[k] for k in ("algorithm", "plan", "scores")), strict=True)
    }
    of_each = ("oracle-against oracle", "nothing-vanilla", "boundary_shrink-rum", "nothing-four", "retrain-vanilla")
    assert methods == {f"{method}-{score}" for method in of_each for score in ("exact", "holdout_retraining")}
    assert set(table["protocol"]) == {"paper"}
    assert len(set(zip(table["scores"], table["forget_hash"], strict=True))) == len(set(table["forget_hash"])) == 2
    retrained = (table["algorithm"] == "retrain") & (table["metric"] == "tow") & (table["group"] == "forget")
    assert (table["value"][retrained] > 0.7).all()
    assert set(table["attack"]) == {0, 1}
    tuning = tomllib.loads((out / "preset.toml").read_text())["study"]
    assert (tuning["mode"], tuning["trials"], tuning["seed"]) == ("oracle", 1, 1000)
    assert (out / "report.html").exists()
    assert (out / "paired.tex").exists()
