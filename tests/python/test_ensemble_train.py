"""`unmemorize ensemble train`: no model lost, none doubled, the same bits whatever is killed."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console
from sklearn.datasets import load_digits
from test_cli import works
from unmemorize import Ensemble, data, models
from unmemorize.cli import ensemble_train
from unmemorize.engine.estimate import estimate
from unmemorize.engine.plan import Books, Plan
from unmemorize.ensemble import Entry
from unmemorize.train import RECIPES, save_checkpoint


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 digits, so that a model is a matter of a moment."""
    digits = load_digits()
    x, y = (digits.images / 16).astype(np.float32)[:, None], digits.target
    path: Path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x_train=x[:300], y_train=y[:300], x_test=x[300:400], y_test=y[300:400])
    return path


def train(small: Path, out: Path, **options: Any) -> Ensemble:
    """The command, called in this process."""
    given = {"recipe": "digits", "models": 20, "workers": 2, **options}
    ensemble_train.command(data_name=str(small), out=out, **given)
    return Ensemble.open(out)


@pytest.fixture(scope="module")
def undisturbed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("undisturbed") / "store"
    assert len(train(small, out)) == 20
    return out


def bits(store: Path) -> dict[str, object]:
    """What each model is and says, by its key: all but the time it took, and how far its store was to grow then."""

    def of(entry: Entry) -> object:
        said = {name: entry.array(name).tobytes() for name in entry.arrays if name not in ("digest", "events")}
        events = entry.events
        learned = {name: score.tobytes() for name, score in events.scores().items()} if events else {}
        return {**entry.meta, "seconds": 0, "design": 0}, said, learned

    return {str(entry.key): of(entry) for entry in Ensemble.open(store)}


def test_killed_again_and_again_it_ends_with_the_bits_of_an_undisturbed_run(
    small: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    options = ("--recipe", "digits", "--out", out, "--models", 20, "--workers", 2)
    arguments = [str(word) for word in ("ensemble", "train", "--data", small, *options)]
    for stored in (1, 11):
        process = subprocess.Popen([sys.executable, "-m", "unmemorize", *arguments], stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.glob("entries/[!.]*"))) < stored:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "20 models, split-half reliability ↑" in works(*arguments)
    assert Ensemble.open(out).verify().ok
    assert len(Ensemble.open(out)) == 20
    assert bits(out) == bits(undisturbed)
    np.testing.assert_array_equal(
        Ensemble.open(out).memorization().score, Ensemble.open(undisturbed).memorization().score
    )


def test_half_the_precision_is_another_plan_with_larger_stacks(small: Path, tmp_path: Path) -> None:
    store = train(small, tmp_path / "store", models=10, dtype="bfloat16")
    plan = json.loads((tmp_path / "store" / "manifest.json").read_text())["plan"]
    assert (plan["dtype"], plan["stack"]) == ("bfloat16", 10)
    assert np.mean([entry.meta["train"] for entry in store]) > 0.95
    with pytest.raises(ValueError, match="dtype: expected auto, float32 or bfloat16, got int8"):
        Plan("", RECIPES["digits"], dtype="int8")


def test_too_few_models_for_two_halves_are_no_error(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between the models of its first group, a run begins again with one."""
    monkeypatch.setattr(ensemble_train, "LOOK_EVERY", 0.0)
    store = train(small, tmp_path / "store", models=3, design="independent", stack=2, until_reliability=0.99)
    assert "3 models, split-half reliability ↑ unknown of so few" in capsys.readouterr().out
    store.entries()[1].place.path.unlink()
    assert len(train(small, store.path, models=4, design="independent", until_reliability=0.99)) == 4
    assert json.loads((store.path / "manifest.json").read_text())["reliability"]["n"] > 0


def test_what_is_stored_is_not_trained_again_and_what_is_not_is(small: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    train(small, out, models=10)
    times = {path: path.stat().st_mtime_ns for path in out.glob("entries/*")}
    train(small, out)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert bits(out) == bits(undisturbed)
    next(iter(times)).unlink()
    train(small, out)
    assert bits(out) == bits(undisturbed)


def test_the_bar_says_how_many_a_minute_how_long_and_how_reliable(
    undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now, said = Ensemble.open(undisturbed), [1000.0], io.StringIO()
    screen = partial(Console, file=said, force_terminal=True, width=120, get_time=lambda: now[0])
    monkeypatch.setattr(ensemble_train, "Console", lambda **_: screen())
    monkeypatch.setattr(ensemble_train, "monotonic", lambda: now[0])
    with ensemble_train.Bar() as bar:
        for seconds, done in ((0, 10), (30, 15), (30, 20)):  # ten were there when it began
            now[0] += seconds
            bar.watch(done, 30, store)
            bar._bar.refresh()
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", said.getvalue()).strip().splitlines()[-1]
    reliability = store.reliability().value
    assert re.search(r"20/30 0:01:00 left 0:01:00", shown)
    assert shown.endswith(f"10.0 models/min reliability {reliability:.3f}")


def test_an_entry_says_how_to_have_its_subset_again(undisturbed: Path) -> None:
    assert Ensemble.open(undisturbed).verify(designs=True).ok
    seeds = {entry.meta["design"]["row"]: entry.meta["seed"] for entry in Ensemble.open(undisturbed)}
    assert seeds == {row: Plan("", RECIPES["digits"]).seed_of(row) for row in range(20)}
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["models"] == 20
    assert manifest["plan"]["stack"] == 5


def test_enough_is_enough_in_whole_blocks(small: Path, tmp_path: Path) -> None:
    store = train(small, tmp_path / "store", models=100, until_reliability=0.01, keep="phi")
    assert len(store) == 10
    assert set((~store.member).sum(axis=0)) == {3}
    assert {name for entry in store for name in entry.arrays} >= {"phi", "test_phi"}
    assert not any(name in entry.arrays for entry in store for name in ("probs", "events"))


def test_only_the_candidates_of_a_targeted_design_are_left_out(small: Path, tmp_path: Path) -> None:
    rows = np.arange(0, 250, 10)
    (tmp_path / "ids.csv").write_text("\n".join(map(str, data.load(small).train.source_ids[rows])))
    options = {"models": 4, "design": "targeted", "ratio": 0.5, "ids": tmp_path / "ids.csv"}
    store = train(small, tmp_path / "store", **options)
    assert store.verify(designs=True).ok
    assert np.flatnonzero(~store.member.all(axis=0)).tolist() == rows.tolist()
    assert set(store.member[:, rows].sum(axis=0)) == {2}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe": "cifar10"}, RECIPES["digits"].hash + ".*" + RECIPES["cifar10"].hash),
        ({"noise": 0.1}, "data_hash is '[0-9a-f]{64}', expected '[0-9a-f]{64}'"),
        ({"seed": 1}, "holds models of seed 0, expected 1"),
        ({"stack": 2}, "holds models of stack 5, expected 2"),
        ({"dtype": "bfloat16"}, "holds models of dtype 'auto', expected 'bfloat16'"),
        ({"models": 25}, "does not grow to one of 25; from the first on, ask for multiples of 10"),
    ],
)
def test_a_store_of_something_else_is_refused(
    small: Path, undisturbed: Path, options: dict[str, Any], said: str
) -> None:
    before = sorted(undisturbed.rglob("*"))
    with pytest.raises(ValueError, match=said):
        train(small, undisturbed, **options)
    assert sorted(undisturbed.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"design": "fair"}, "no design 'fair'"),
        ({"ratio": 1.5}, "ratio: expected"),
        ({"design": "targeted"}, "ids: candidates are for design 'targeted', which needs them"),
        ({"design": "leave_out"}, "no design 'leave_out'"),
        ({"stack": 0}, "stack: expected at least 1, got 0"),
        ({"models": 1}, "models: expected at least 2, got 1"),
        ({"keep": "margins"}, "keep: no 'margins'; known are phi, probs, events"),
        ({"until_reliability": 95}, "until_reliability: expected above 0 and below 1, got 95"),
        ({"recipe": "slow"}, "no recipe 'slow'"),
        ({"recipe": "target"}, "no recipe 'small"),
        ({"target": Path("x.safetensors")}, "target: only for --recipe target"),
    ],
)
def test_a_slip_is_named_and_nothing_is_trained(
    small: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        train(small, tmp_path / "store", **options)
    assert not list(tmp_path.iterdir())


def test_the_recipe_of_a_target_is_read_from_its_checkpoint(small: Path, tmp_path: Path) -> None:
    of, path = data.load(small), tmp_path / "model.safetensors"
    origin = {"recipe": "digits", "data_hash": of.hash}
    save_checkpoint(path, models.build("convnet", of), **origin)
    assert ensemble_train.recipe_of("target", path, of) == RECIPES["digits"]
    other = data.load(small, noise=0.1)
    with pytest.raises(ValueError, match=f"{of.hash[:12]}.*{other.hash[:12]}; give the same"):
        ensemble_train.recipe_of("target", path, other)
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        ensemble_train.recipe_of("target", tmp_path / "none", of)


def test_the_cost_is_known_before(small: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = Ensemble.open(undisturbed)
    plan, _ = cast("tuple[Plan, list[int]]", Books(undisturbed).load())
    cost = estimate(plan, 20, {"name": str(small)}, workers=2)
    assert cost.disk == pytest.approx(store.describe()["bytes"], rel=0.05)
    assert cost.memory > 3e8  # three processes with PyTorch
    trained = sum(entry.meta["seconds"] for entry in store)
    assert 0.05 * trained < cost.seconds < 200 * trained  # how near it is, is measured on a quiet machine
    assert not list(tmp_path.iterdir())


def test_purged_models_are_trained_again_without_the_example(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    store = train(small, out, models=10)
    dropped = store.purge([3]).dropped
    assert 0 < len(dropped) < 10
    assert len(train(small, out, models=10)) == 10
    assert not Ensemble.open(out).member[:, 3].any()
    assert Ensemble.open(out).verify(designs=True).ok
