"""The commands around the store, as a user types them."""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_store import N, T, add, files, full, new
from unmemorize import score_files
from unmemorize.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in this process: its exit code, and what it says on standard output and error."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unmemorize", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return full(tmp_path / "s", data_hash="aaaa").path


def test_describe_prints_json(store: Path, run: Run) -> None:
    code, said, _ = run("ensemble", "describe", store)
    assert code == 0
    assert json.loads(said)["reference"] == T


def test_verify_names_what_is_damaged(store: Path, run: Run) -> None:
    assert run("ensemble", "verify", store) == (0, f"{T} whole, 0 damaged, 0 unfinished\n", "")
    path = next((store / "entries").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    code, said, _ = run("ensemble", "verify", store)
    assert code == 1
    assert f"{path.name}: damaged" in said
    assert f"{T - 1} whole, 1 damaged" in said


def test_merge_copies_what_is_missing(store: Path, tmp_path: Path, run: Run) -> None:
    other = new(tmp_path / "other", data_hash="aaaa")
    add(other, 0, key="another")
    assert run("ensemble", "merge", store, other.path) == (0, f"{store}: {T + 1} models, 1 of them new\n", "")
    assert len(files(other)) == 1


def test_pack_copies_into_few_files(store: Path, tmp_path: Path, run: Run) -> None:
    assert run("ensemble", "pack", store, "--out", tmp_path / "p") == (
        0,
        f"{tmp_path / 'p'}: {T} models in 1 files\n",
        "",
    )
    assert run("ensemble", "verify", tmp_path / "p")[0] == 0


def test_subset_keeps_some_models_of_some_examples(store: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "rows.csv").write_text("5\n3\n")
    out = tmp_path / "part"
    wanted = ("--model", "model-001", "--model", "model-002", "--ids", tmp_path / "rows.csv", "--out", out)
    assert run("ensemble", "subset", store, *wanted) == (0, f"{out}: 2 models of 2 training examples\n", "")
    assert run("ensemble", "subset", store, "--model", "model-999", "--out", tmp_path / "none")[0] == 2


def test_what_is_exported_can_be_imported(store: Path, tmp_path: Path, run: Run) -> None:
    file, out = tmp_path / "all.npz", tmp_path / "again"
    assert run("ensemble", "export", store, "--out", file) == (0, f"{file}\n", "")
    assert run("ensemble", "import", file, "--out", out) == (0, f"{out}: {T} models of {N} training examples\n", "")
    code, _, said = run("ensemble", "import", file, "--out", tmp_path / "other", "--data-hash", "bbbb")
    assert code == 2
    assert "data_hash is 'aaaa', expected 'bbbb'" in said


def test_published_scores_become_a_score_file(tmp_path: Path, run: Run) -> None:
    np.savez(tmp_path / "published.npz", tr_mem=np.linspace(0, 1, 500), infl_matrix=np.zeros((2, 500)))
    out = tmp_path / "scores.csv"
    code, said, _ = run("ensemble", "import", tmp_path / "published.npz", "--data", "digits", "--out", out)
    columns = score_files.read(out)
    known = columns["source_id"] < 500
    assert (code, said) == (0, f"{out}: scores of {known.sum()} of {len(known)} training examples\n")
    np.testing.assert_array_equal(columns["memorization"][known], np.linspace(0, 1, 500)[columns["source_id"][known]])


def test_a_slip_is_one_line(store: Path, tmp_path: Path, run: Run) -> None:
    code, _, said = run("ensemble", "describe", tmp_path / "nowhere")
    assert code == 2
    assert "no ensemble here" in said
    code, _, said = run("ensemble", "merge", store, new(tmp_path / "foreign", data_hash="bbbb").path)
    assert code == 2
    assert "'aaaa'" in said
    assert "'bbbb'" in said
    assert said.count("\n") == 1
