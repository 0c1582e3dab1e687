"""`unmemorize purge`: a run folder without the forgotten examples, or with what is left named."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_cli_ensemble import Run, run
from unmemorize import Ensemble, LearningEvents, data, report, score_files
from unmemorize.data import Data
from unmemorize.ensemble import Design
from unmemorize.experiment import Settings

__all__ = ["run"]  # a fixture

MODELS = 10


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits")


@pytest.fixture
def folder(digits: Data, tmp_path: Path) -> Path:
    """What a run leaves behind, made without training."""
    home, n = tmp_path / "run", len(digits.train)
    Settings(noise=0.0).save(home)
    store = Ensemble.create(home / "ensemble", n, 2, data_hash=digits.hash)
    design = Design("balanced", n, MODELS)
    (home / "tasks").mkdir()
    for t, member in enumerate(design.rows()):
        store.append(member, member, np.ones(2, bool), key=f"reference-{t:05d}", meta=design.meta(t))
        (home / "tasks" / f"reference-{t:05d}.json").write_text("{}")
    (home / "original").mkdir()
    events = LearningEvents(n)
    events.update(np.arange(n), np.zeros((n, 10)), np.zeros(n, int))
    events.save(home / "original" / "events-0.safetensors")
    (home / "original" / "model-0.safetensors").write_bytes(b"weights")
    score_files.write(home / "scores.csv", {"id": np.arange(n), "source_id": digits.train.source_ids})
    samples = tuple(report.Sample(id=i, label="3", png=b"image") for i in range(3))
    sets = (report.ForgetSetSummary("exact", "", "", (report.StratumSummary("low", 3, samples=samples),)),)
    report.write(report.Results(title="A run", seeds={}, versions={}, forget_sets=sets), home)
    (tmp_path / "ids.csv").write_text(f"source_id\n{digits.train.source_ids[1]}\n")
    return home


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_folder_is_rid_of_an_example(folder: Path, digits: Data, run: Run) -> None:
    ids, before = folder.parent / "ids.csv", content(folder)
    code, foretold, _ = run("purge", folder, "--ids", ids, "--dry-run")
    assert code == 0
    assert content(folder) == before
    code, said, _ = run("purge", folder, "--ids", ids)
    assert code == 0
    assert said == foretold.replace("would forget", "forgot")
    assert "7 models dropped, to be trained again, 3 kept: reference-0" in said
    assert "forgot 1 examples of 'digits'" in said
    store = Ensemble.open(folder / "ensemble")
    assert not store.member[:, 1].any()
    assert {path.stem for path in (folder / "tasks").iterdir()} == {entry.key for entry in store}
    events = LearningEvents.load(folder / "original" / "events-0.safetensors")
    assert np.flatnonzero(events.seen == 0).tolist() == [1]
    assert score_files.read(folder / "scores.csv")["id"].tolist() == [0, *range(2, len(digits.train))]
    (stratum,) = report.read(folder).forget_sets[0].strata
    assert [sample.id for sample in stratum.samples] == [0, 2]
    assert f"{folder / 'original' / 'model-0.safetensors'}: left" in said
    code, said, _ = run("purge", folder, "--ids", ids)
    assert code == 0
    assert "0 models dropped, to be trained again, 3 kept" in said
    assert "images" not in said
    assert "learning events" not in said


def test_a_slip_changes_nothing(folder: Path, tmp_path: Path, run: Run) -> None:
    before = content(folder)
    (tmp_path / "wrong.csv").write_text("source_id\n99999999\n")
    code, _, said = run("purge", folder, "--ids", tmp_path / "wrong.csv")
    assert code == 2
    assert "1 of 1 are not in the training split" in said
    (folder / "settings.json").rename(tmp_path / "settings.json")
    code, _, said = run("purge", folder, "--ids", tmp_path / "ids.csv")
    assert code == 2
    assert "does not say which data it is of; give --data" in said
    (tmp_path / "settings.json").rename(folder / "settings.json")
    assert content(folder) == before
    assert run("purge", tmp_path / "nowhere", "--ids", tmp_path / "ids.csv")[0] == 2


def test_a_store_of_other_data_is_left_alone(folder: Path, digits: Data, run: Run) -> None:
    other = Ensemble.create(folder / "other", len(digits.train), 0, data_hash="bbbb")
    other.append(np.ones(len(digits.train), bool), np.ones(len(digits.train), bool), np.zeros(0, bool))
    code, said, _ = run("purge", folder, "--ids", folder.parent / "ids.csv")
    assert code == 0
    assert f"{other.path}: left alone, of other data" in said
    assert len(Ensemble.open(other.path)) == 1
    assert json.loads(run("ensemble", "describe", folder / "ensemble")[1])["purged"] == 1
