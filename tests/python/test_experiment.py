"""Experiments: one folder, one set of settings, the same numbers however often they are interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from same_results import differences
from unmemorize import experiment, models, report, train
from unmemorize.cli import demo
from unmemorize.errors import StoreError
from unmemorize.experiment import Experiment, Settings, grid, method, preset, presets, summarize, tuned
from unmemorize.experiment.methods import Cell
from unmemorize.experiment.objectives import OBJECTIVES

TINY = Settings(models=10, runs=2, size=30)
METHODS = (Cell("nothing"), *grid(["fine_tune"]), Cell("retrain"))


def run_all(folder: Path, workers: int) -> None:
    study = Experiment(folder, TINY, workers=workers)
    found = study.run(tuned(METHODS, "digits", TINY.recipe))
    report.write(summarize(study, found, preset("digits")["study"], versions={}), folder)


def test_every_cell_of_a_shipped_preset_makes_a_method() -> None:
    for name in presets():
        for key, steps in preset(name)["cells"].items():
            cell = Cell(*key.split("-"))
            assert cell.key == key
            method(cell, steps, ensemble=object() if cell.algorithm == "out_of_sample" else None)  # type: ignore[arg-type]


def test_the_demo_finds_its_methods_in_its_preset() -> None:
    assert set(tuned(demo.METHODS, demo.PRESET, "digits")) == set(demo.METHODS)


def test_a_preset_is_of_one_study_with_one_budget() -> None:
    for name in presets():
        study = preset(name)["study"]
        assert study["trials"] >= 1
        assert study["objective"] in {objective.words for objective in OBJECTIVES.values()}


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"preset: no preset 'mnist'; known are .*digits"):
        preset("mnist")
    with pytest.raises(ValueError, match=r"no plan 'rumf'; known are class, .*vanilla, or name a \.toml"):
        method(experiment.Cell("fine_tune", "rumf"), [{}])
    with pytest.raises(ValueError, match="no plan 'rumf'; known are class, "):
        grid(["salun"], ["rumf"])
    with pytest.raises(ValueError, match="protocol: no protocol 'any'; known are fixed-S, paper"):
        Settings(protocol="any")
    with pytest.raises(ValueError, match=r"preset 'digits': has no 'scrub-vanilla'; digits-compare has it"):
        tuned([Cell("scrub")], "digits", "digits")
    with pytest.raises(ValueError, match=r"preset 'digits': has no 'scrub-reversed'; it has fine_tune-vanilla, "):
        tuned([Cell("scrub", "reversed")], "digits", "digits")
    with pytest.raises(ValueError, match=r"algorithm: no algorithm 'amnesia'; known are nothing, "):
        tuned([Cell("amnesia")], "digits", "digits")
    with pytest.raises(ValueError, match="steps: expected 1 for plan 'vanilla', got 2"):
        method(experiment.Cell("fine_tune"), [{}, {}])


def test_a_file_that_is_no_preset_is_refused(tmp_path: Path) -> None:
    for text, message in (
        ("[cells]", "no table 'study'"),
        ("[cells]\n[study]", "'study' has no 'objective'"),
        ("cells = 1\nstudy = 2", "are to be tables"),
        ("a = ", "not TOML"),
    ):
        (tmp_path / "own.toml").write_text(text)
        with pytest.raises(ValueError, match=message):
            preset(tmp_path / "own.toml")


def test_a_slip_claims_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no score 'confidance'; known are exact, confidence"):
        experiment.Experiment(tmp_path / "run", experiment.Settings(scores=("exact", "confidance")))
    with pytest.raises(ValueError, match="'digits': has no 'ssd-vanilla'"):
        experiment.compare(tmp_path / "run", experiment.Settings(), [experiment.Cell("ssd")], "digits")
    assert not (tmp_path / "run").exists()


def test_no_two_roles_share_a_seed() -> None:
    seeds = [Settings(seed=s).seed_of(role, i) for s in (0, 1) for role in ("original", "oracle") for i in range(20)]
    assert len(set(seeds)) == 80


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    Experiment(tmp_path / "run", TINY)
    Experiment(tmp_path / "run", TINY)
    with pytest.raises(FileExistsError, match="holds another run, with seed 0 where this one has 1"):
        Experiment(tmp_path / "run", replace(TINY, seed=1))
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(StoreError, match=r"settings\.json: damaged"):
        Experiment(tmp_path / "run", TINY)
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="holds files but no experiment"):
        Experiment(tmp_path, TINY)


def test_a_model_that_does_not_fit_its_training_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Experiment(tmp_path, TINY)
    monkeypatch.setattr(study, "_run", lambda *_: [{"train": 0.9, "seconds": 1.0}])
    with pytest.raises(experiment.NotMemorizedError, match=r"original 0: training accuracy 0\.9000 is below 0\.99"):
        study.train_originals()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("experiment") / "run"
    run_all(folder, workers=2)
    return folder


def numbers(folder: Path) -> object:
    return json.loads((folder / "results.json").read_text())


def test_run_again_it_trains_nothing_and_gives_the_same_numbers(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished / "tasks").iterdir()}
    first = numbers(finished)
    run_all(finished, workers=1)
    assert {path: path.stat().st_mtime_ns for path in (finished / "tasks").iterdir()} == before
    assert differences(first, numbers(finished)) == []


def test_killed_and_run_again_it_gives_the_numbers_of_an_undisturbed_run(finished: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from test_experiment import *\n"
        f"if __name__ == '__main__':\n    run_all(Path({str(tmp_path / 'run')!r}), workers=2)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for tasks in (4, 14):
        process = subprocess.Popen([sys.executable, str(program)], env=environment)
        while process.poll() is None and len(list((tmp_path / "run" / "tasks").glob("*.json"))) < tasks:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    run_all(tmp_path / "run", workers=1)
    assert differences(numbers(finished), numbers(tmp_path / "run")) == []


def test_the_run_folder_holds_what_each_stage_found(finished: Path) -> None:
    header, *lines = (finished / "scores.csv").read_text().splitlines()
    assert header.startswith("id,source_id,label,flipped,memorization,std_error,")
    assert len(lines) == 1295
    sets = {path.stem: json.loads(path.read_text()) for path in (finished / "forget_sets").iterdir()}
    assert set(sets) == {"exact", "confidence", "exact-by-confidence"}
    state, about = train.load_checkpoint(finished / "original" / "model-0.safetensors")
    model = models.build(about["model"], Experiment(finished, TINY).data)
    model.load_state_dict(state)


def test_exact_scores_find_the_flipped_labels(finished: Path) -> None:
    lines = [line.split(",") for line in (finished / "scores.csv").read_text().splitlines()[1:]]
    flipped = np.array([line[3] == "1" for line in lines])
    score = np.array([float(line[4]) for line in lines])
    assert score[flipped].mean() > 0.6
    assert score[~flipped].mean() < 0.1
