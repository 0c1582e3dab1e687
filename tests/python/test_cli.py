"""The command line, as a user types it: each station alone, and one line for a slip."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from unmemorize import __version__, experiment

DIGITS = ("--data", "digits", "--noise", "0.05")


def unmemorize(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unmemorize", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def works(*arguments: object) -> str:
    done = unmemorize(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wrong_use(*arguments: object, cwd: Path | None = None) -> str:
    """Exit code 2 and an explanation without a traceback."""
    done = unmemorize(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("a run")  # with a space in its path
    works("train", *DIGITS, "--out", folder / "original", "--seed", 3)
    return folder


@pytest.fixture(scope="module")
def scores(run: Path) -> Path:
    works("score", *DIGITS, "--events", run / "original" / "events.safetensors", "--out", run / "scores")
    return run / "scores" / "scores.csv"


def test_the_version_is_that_of_the_package() -> None:
    assert works("--version") == f"unmemorize {__version__}\n"


def test_train_writes_a_model_its_events_and_a_manifest(run: Path) -> None:
    manifest = json.loads((run / "original" / "manifest.json").read_text())
    assert manifest["accuracy"]["train"] >= 0.99
    assert manifest["seed"] == 3
    assert manifest["versions"]["torch"]
    assert manifest["command"].startswith("unmemorize train --data digits")


def test_a_station_alone_gives_what_an_experiment_gives(run: Path, tmp_path: Path) -> None:
    settings = experiment.Settings(models=10, runs=1)
    study = experiment.Experiment(tmp_path / "study", settings, workers=1)
    study.train_originals()
    works("train", *DIGITS, "--out", tmp_path / "alone", "--seed", settings.seed_of("original"))
    ours = load_file(tmp_path / "alone" / "model.safetensors")
    theirs = load_file(tmp_path / "study" / "original" / "model-0.safetensors")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_scores_are_higher_for_flipped_labels(scores: Path) -> None:
    with scores.open() as file:
        rows = list(csv.DictReader(file))
    flipped = np.array([row["flipped"] == "1" for row in rows])
    confidence = np.array([float(row["confidence"]) for row in rows])
    assert len(rows) == 1295
    assert np.median(confidence[flipped]) > np.quantile(confidence[~flipped], 0.95)


def test_exact_scores_by_an_ensemble(tmp_path: Path) -> None:
    said = works("score", *DIGITS, "--models", 10, "--out", tmp_path / "exact", "--workers", 2)
    assert "split-half reliability ↑" in said
    header = (tmp_path / "exact" / "scores.csv").read_text().split("\n")[0]
    assert "memorization,std_error" in header


def test_a_deletion_request_becomes_a_checkpoint_and_a_report(run: Path, scores: Path, tmp_path: Path) -> None:
    with scores.open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: -float(row["confidence"]))[:30]
    (tmp_path / "ids.csv").write_text("source_id\n" + "\n".join(row["source_id"] for row in rows) + "\n")
    out = tmp_path / "unlearned"
    original = run / "original" / "model.safetensors"
    works(
        "unlearn", *DIGITS, "--checkpoint", original, "--ids", tmp_path / "ids.csv", "--algorithm", "neg_grad_plus",
        "--plan", "rum", "--scores", scores, "--by", "confidence", "--set", "epochs=2", "--out", out,
    )  # fmt: skip
    before, after = load_file(original), load_file(out / "model.safetensors")
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    page = (out / "report.html").read_text()
    assert "neg_grad_plus" in page
    forget = json.loads((out / "forget_set.json").read_text())
    assert sorted(forget["ids"]) == sorted(int(row["id"]) for row in rows)
    (out / "report.html").unlink()
    said = works("report", out, "--tables")
    assert (out / "report.html").exists()
    assert "no tables" in said


def test_a_model_and_data_of_ones_own(tmp_path: Path) -> None:
    """A .pt state dict of a network in the user's own file, trained elsewhere on a whole .npz in [0, 1]."""
    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32), digits.target
    np.savez(tmp_path / "mine.npz", x_train=x[:500], y_train=y[:500], x_test=x[500:700], y_test=y[500:700])
    (tmp_path / "nets.py").write_text(
        "from torch import nn\ndef linear():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    weights = {"1.weight": torch.randn(10, 64), "1.bias": torch.zeros(10)}
    torch.save({"state_dict": weights}, tmp_path / "model.pt")
    (tmp_path / "ids.csv").write_text("source_id\n0\n499\n7\n")
    done = unmemorize(
        "unlearn", "--data", "mine.npz", "--val-share", 0, "--no-normalize", "--checkpoint", "model.pt", "--model",
        "nets:linear", "--ids", "ids.csv", "--algorithm", "fine_tune", "--set", "epochs=1", "--out", "out",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "forget_set.json").read_text())["ids"] == [0, 7, 499]
    assert not np.array_equal(load_file(tmp_path / "out" / "model.safetensors")["1.weight"], weights["1.weight"])


def test_evaluate_compares_with_oracles(run: Path, scores: Path, tmp_path: Path) -> None:
    works("forget-set", *DIGITS, "--scores", scores, "--by", "confidence", "--size", 30, "--out", tmp_path / "s.json")
    for seed in (0, 1):
        works(
            "unlearn", *DIGITS, "--checkpoint", run / "original" / "model.safetensors", "--forget-set",
            tmp_path / "s.json", "--algorithm", "retrain", "--set", "recipe=digits", "--seed", seed, "--out",
            tmp_path / f"oracle-{seed}",
        )  # fmt: skip
    first, second = (tmp_path / f"oracle-{seed}" / "model.safetensors" for seed in (0, 1))
    said = works(
        "evaluate", *DIGITS, "--unlearned", run / "original" / "model.safetensors", "--oracle", first, "--oracle",
        second, "--forget-set", tmp_path / "s.json", "--out", tmp_path / "evaluation",
    )  # fmt: skip
    assert "ToW" in said
    found = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert found["whole"]["accuracy"]["forget"]["value"] > 0.8, "an original that has not forgotten"
    assert found["whole"]["tow"]["value"] < found["band"]["tow"]["value"]


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text(f'data = "digits"\nnoise = 0.05\nseed = 7\nout = "{tmp_path}/a"\n')
    works("train", "--config", tmp_path / "train.toml", "--seed", "8")
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["seed"] == 8
    (tmp_path / "bad.toml").write_text("sead = 7\n")
    assert "no option 'sead'; known are" in wrong_use("train", "--config", tmp_path / "bad.toml")
    assert "no such file" in wrong_use("train", "--config", tmp_path / "none.toml")


def test_slips_are_one_line(run: Path, tmp_path: Path) -> None:
    model = run / "original" / "model.safetensors"
    (tmp_path / "ids.csv").write_text("source_id\n1\n1\n")
    (tmp_path / "far.csv").write_text("source_id\n99999\n")
    (tmp_path / "words.csv").write_text("source_id\nfirst\n")
    (tmp_path / "empty.csv").write_text("source_id\n")
    (tmp_path / "huge.csv").write_text("source_id\n99999999999999999999999\n")
    (tmp_path / "latin.csv").write_bytes(b"source_id\n\xe9\n")
    (tmp_path / "twice.csv").write_text("source_id,confidence\n0,1\n0,2\n")
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(model.read_bytes()[:1000])
    common = ("unlearn", *DIGITS, "--out", tmp_path / "out")
    request = (*common, "--checkpoint", model, "--ids")
    assert "1 occur more than once" in wrong_use(*request, tmp_path / "ids.csv")
    assert "1 of 1 are not in the training split of 1295" in wrong_use(*request, tmp_path / "far.csv")
    assert "expected whole numbers, got 'first'" in wrong_use(*request, tmp_path / "words.csv")
    assert "expected whole numbers, got '9999" in wrong_use(*request, tmp_path / "huge.csv")
    assert "latin.csv: not a CSV file in UTF-8" in wrong_use(*request, tmp_path / "latin.csv")
    twice = ("--scores", tmp_path / "twice.csv", "--by", "confidence")
    assert "occur more than once" in wrong_use("forget-set", *DIGITS, *twice, "--out", tmp_path / "s.json")
    assert "none.csv: no such file" in wrong_use(*request, tmp_path / "none.csv")
    assert "at least 1" in wrong_use(*request, tmp_path / "empty.csv")
    (tmp_path / "ok.csv").write_text("0\n1\n")
    fine = ("--ids", tmp_path / "ok.csv")
    assert "known are" in wrong_use(*common, "--checkpoint", model, *fine, "--algorithm", "magic")
    assert "no hyper-parameter 'beta'; known are" in wrong_use(*common, "--checkpoint", model, *fine, "--set", "beta=1")
    assert "torn.safetensors: damaged" in wrong_use(*common, "--checkpoint", torn, *fine)
    assert "give the same --data" in wrong_use(
        "unlearn", "--data", "digits", "--out", tmp_path / "out", "--checkpoint", model, *fine
    )
    assert "no data set 'mnist'; known are digits" in wrong_use("train", "--data", "mnist", "--out", tmp_path / "o")
    assert "no recipe 'x'; known are digits" in wrong_use(
        "train", "--data", "digits", "--recipe", "x", "--out", tmp_path / "o"
    )
    assert "give one of --ids and --forget-set" in wrong_use(*common, "--checkpoint", model)


def test_a_class_that_is_taken_away_whole_is_warned_of_in_one_line(scores: Path, tmp_path: Path) -> None:
    with scores.open() as file:
        zeros = [row["source_id"] for row in csv.DictReader(file) if row["label"] == "0"]
    (tmp_path / "ids.csv").write_text("\n".join(zeros))
    done = unmemorize("forget-set", *DIGITS, "--ids", tmp_path / "ids.csv", "--out", tmp_path / "s.json")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("unmemorize: warning: ")
    assert "class 0" in line


def test_another_run_is_not_written_over(run: Path, scores: Path, tmp_path: Path) -> None:
    model = (run / "original" / "model.safetensors").read_bytes()
    said = wrong_use("train", *DIGITS, "--out", run / "original", "--seed", 4)
    assert "holds another run, with seed 3 where this one has 4" in said
    events = run / "original" / "events.safetensors"
    assert "holds another run, with command" in wrong_use(
        "score", *DIGITS, "--events", events, "--out", run / "original"
    )
    assert (run / "original" / "model.safetensors").read_bytes() == model
    other = wrong_use("score", "--data", "digits", "--events", events, "--out", tmp_path / "s")
    assert "give the same --data, --noise and --data-seed" in other


def test_shuffle_needs_no_strata_and_rum_does(run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("0\n1\n3\n7\n8\n10\n")
    request = (
        "unlearn",
        *DIGITS,
        "--checkpoint",
        run / "original" / "model.safetensors",
        "--ids",
        tmp_path / "ids.csv",
    )
    works(*request, "--plan", "shuffle", "--set", "epochs=1", "--out", tmp_path / "out")
    plan = json.loads((tmp_path / "out" / "manifest.json").read_text())["steps"]
    assert plan == {"by": "random", "strata": 3, "steps": {"algorithm": "fine_tune", "lr": 0.05, "epochs": 1}}
    assert "give --scores, or a --forget-set that has strata" in wrong_use(*request, "--plan", "rum", "--out", "o")


PLAN = """
by = "confidence_now"
strata = 2
order = "descending"
steps = [{ algorithm = "salun", lr = 0.01, epochs = 1 }, { algorithm = "nothing" }]
"""


def test_requests_one_after_another_by_a_plan_of_ones_own(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("source_id\n0\n1\n3\n7\n")
    (tmp_path / "b.csv").write_text("source_id\n8\n10\n")
    (tmp_path / "plan.toml").write_text(PLAN)
    original, out = run / "original" / "model.safetensors", tmp_path / "out"
    given = ("unlearn", *DIGITS, "--checkpoint", original, "--ids", tmp_path / "a.csv", "--out", out)
    plan = ("--then", tmp_path / "b.csv", "--plan", tmp_path / "plan.toml")
    works(*given, *plan)
    outcome = json.loads((out / "results.json").read_text())["outcome"]
    trained = json.loads((run / "original" / "manifest.json").read_text())["seconds"]
    assert outcome["retrain_seconds"] == trained > 0
    told = [(s["request"], s["stratum"], s["algorithm"], s["size"]) for s in outcome["history"]]
    assert told == [
        (1, "high", "salun", 2),
        (1, "low", "nothing", 2),
        (2, "high", "salun", 1),
        (2, "low", "nothing", 1),
    ]
    assert {"before", "forget", "forget/low", "retain", "test"} <= outcome["history"][2]["accuracy"].keys()
    assert outcome["protocol"] == "fixed-S"
    assert set(outcome["costs"]) == {"scoring", "mask", "unlearning"}
    page = (out / "report.html").read_text()
    assert "request 2, high, salun" in page
    assert "of one retraining" in page
    assert json.loads((out / "forget_set.json").read_text())["names"] == ["request 1", "request 2"]
    assert "names its own algorithms" in wrong_use(*given, *plan, "--algorithm", "salun")
    assert "1 of 2 examples" in wrong_use(
        *given[:-1], tmp_path / "o", "--then", tmp_path / "b.csv", "--then", overlapping(tmp_path)
    )


def overlapping(folder: Path) -> Path:
    """A request that holds an example of an earlier one."""
    (folder / "c.csv").write_text("source_id\n10\n11\n")
    return folder / "c.csv"


def test_identical_images_are_named_and_added_if_asked(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype(np.uint8)
    x[[20, 40]] = x[3]
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x[:9], y_test=np.arange(9) % 3)
    (tmp_path / "ids.csv").write_text("source_id\n3\n5\n")
    given = ("forget-set", "--data", tmp_path / "mine.npz", "--val-share", 0, "--ids", tmp_path / "ids.csv", "--out")
    said = works(*given, tmp_path / "plain.json")
    assert "2 identical twins" in said
    assert "3 = 20, 3 = 40" in said
    assert "were added" in works(*given, tmp_path / "all.json", "--with-twins")
    found = [json.loads((tmp_path / f"{name}.json").read_text())["ids"] for name in ("plain", "all")]
    assert found == [[3, 5], [3, 5, 20, 40]]


def test_wrong_settings_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for option, value, said in (("ratio", 0, "ratio: expected"), ("recipe", "x", "no recipe 'x'")):
        assert said in wrong_use("score", *DIGITS, f"--{option}", value, "--out", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    assert "holds files but no experiment" in wrong_use("demo", "--quick", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_bench_says_what_recording_costs() -> None:
    said = works("bench", "--side", 8, "--batch", 8, "--examples", 100, "--blocks", 2)
    assert "convnet, C = 10, batch 8" in said
    assert "of a step" in said


def test_a_study_of_ones_own_scores_needs_the_name_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("source_id,score\n0,1\n")
    given = ("score", *DIGITS, "--study", "--scores", tmp_path / "own.csv", "--out", tmp_path / "s")
    assert "--target names a column" in wrong_use(*given)
    assert "no column 'x'; it has source_id, score" in wrong_use(*given, "--target", "x")


def test_help_names_every_command() -> None:
    said = works("--help")
    for command in ("bench", "demo", "train", "score", "forget-set", "unlearn", "evaluate", "report"):
        assert command in said
