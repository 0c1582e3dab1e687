"""Purging: no model that was trained on a forgotten example is left, nor comes back, whatever is killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_store import CORRECT, ENVIRONMENT, MEMBER, TEST, N, T, add, files, full, new
from unmemorize import Ensemble
from unmemorize.ensemble import Design, memorization
from unmemorize.errors import StoreError

SIZE = 10_000  # of a pack
PAIR = np.flatnonzero(~MEMBER[0])[:2].tolist()  # one model at least saw neither


def without(ids: list[int]) -> list[int]:
    """Models that were trained on none of the ids."""
    return np.flatnonzero(~MEMBER[:, ids].any(1)).tolist()


def keys(store: Ensemble) -> list[str | None]:
    return [entry.key for entry in store]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ids", [[3], PAIR])
def test_every_model_that_was_trained_on_one_of_them_is_dropped(tmp_path: Path, ids: list[int], packed: bool) -> None:
    store = full(tmp_path / "s")
    if packed:
        store = store.pack(tmp_path / "p", size=SIZE)
    digests = {entry.id: entry.digest for entry in store}
    rest = without(ids)
    assert 0 < len(rest) < T
    purge = store.purge(ids)
    assert purge.ids == tuple(ids)
    assert purge.kept == len(rest) == T - len(purge.dropped)
    for of in (store, Ensemble.open(store.path)):
        assert keys(of) == [f"model-{t:03d}" for t in rest]
        assert all(entry.digest == digests[entry.id] for entry in of)
        np.testing.assert_array_equal(of.memorization().score, memorization(MEMBER[rest], CORRECT[rest]).score)
        assert np.flatnonzero(of.purged).tolist() == ids
        assert of.verify().ok
    held = {entry["id"] for entry in purge.dropped}
    assert not any(name.encode() in content for name in held for content in bytes_of(store.path / "entries").values())
    assert len(files(store)) == (0 if packed else len(rest))
    assert store.describe()["purged"] == len(ids)


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    before = bytes_of(store.path)
    said = store.purge([3], dry_run=True)
    assert bytes_of(store.path) == before
    assert store.purge([3]) == said


def test_what_was_purged_does_not_come_back(tmp_path: Path) -> None:
    store, copy = full(tmp_path / "s"), full(tmp_path / "copy")
    store.purge([3])
    t = int(np.flatnonzero(MEMBER[:, 3])[0])
    with pytest.raises(ValueError, match=r"member: 1 of its examples were purged from .*, the first is 3; train"):
        add(store, t)
    with pytest.warns(UserWarning, match=f"{T - len(without([3]))} models were trained on purged examples"):
        store.merge(copy)
    assert len(store) == len(without([3]))
    for other in (store.pack(tmp_path / "p"), store.subset(tmp_path / "q", models=[keys(store)[0] or ""])):
        assert np.flatnonzero(other.purged).tolist() == [3]
        with pytest.raises(ValueError, match="purged"):
            add(other, t)


def test_models_are_trained_again_without_the_examples(tmp_path: Path) -> None:
    """What training does: the rows of the design whose keys the store does not hold, without what was purged."""
    design, ids = Design("balanced", N, T, seed=4), [5, 11]
    store, reader = new(tmp_path / "s"), Ensemble.open(tmp_path / "s")
    for t, member in enumerate(design.rows()):
        store.append(member, CORRECT[t], TEST[t], key=f"model-{t:03d}", meta=design.meta(t))
    assert len(reader) == T
    dropped = store.purge(ids).dropped
    assert {entry["key"] for entry in dropped} == {f"model-{t:03d}" for t in range(T)} - set(keys(store))
    for entry in dropped:
        again, row = Design.from_meta(entry["meta"])
        member = again.member()[row] & ~store.purged
        store.append(member, CORRECT[row], TEST[row], key=entry["key"], meta=entry["meta"])
    assert keys(store) == [f"model-{t:03d}" for t in range(T)]
    assert not store.member[:, ids].any()
    assert not reader.member[:, ids].any()
    assert store.verify(designs=True).ok
    assert np.isnan(store.memorization().score[ids]).all()


def test_what_may_hold_anything_is_dropped_too(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    rest = without([3])
    damaged = store.entries()[rest[0]].place.path
    damaged.write_bytes(damaged.read_bytes()[:-1])
    leftover = store.path / "entries" / ".x.safetensors.123.tmp"
    leftover.write_bytes(b"half")
    foreign = full(tmp_path / "f", data_hash="bbbb")
    stray = store.path / "entries" / "stray.safetensors"
    stray.write_bytes(files(foreign)[0].read_bytes())
    purge = store.purge([3])
    assert sorted(purge.files) == sorted([damaged.name, leftover.name])
    assert not damaged.exists()
    assert not leftover.exists()
    assert stray.exists()  # of other data
    assert list(store.verify().damaged) == ["stray.safetensors"]


def test_a_damaged_record_is_an_error_not_an_answer(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    store.purge([3])
    (path,) = (store.path / "purged").iterdir()
    assert json.loads(path.read_bytes())["ids"] == [3]
    path.write_text(path.read_text().replace("3", "4"))
    for act in (store.entries, store.verify, lambda: add(store, 0)):
        with pytest.raises(StoreError, match=f"{path.name}: damaged"):
            act()


def test_ids_out_of_range_change_nothing(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    with pytest.raises(IndexError, match="ids: 30 is out of range for 30 examples"):
        store.purge([3, 30])
    assert len(store) == T


KILLED = """
import os, signal
from pathlib import Path
from test_purge import *

left = int(sys.argv[2])

def dying(function):
    def step(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return step

Path.replace, Path.unlink, os.fsync = dying(Path.replace), dying(Path.unlink), dying(os.fsync)
Ensemble.open(sys.argv[1]).purge([3])
"""


def test_kill_9_at_any_step_leaves_all_or_none_of_them(tmp_path: Path) -> None:
    rest = [f"model-{t:03d}" for t in without([3])]
    outcomes = set()
    for steps in range(100):
        store = full(tmp_path / f"s{steps}").pack(tmp_path / f"p{steps}", size=SIZE)
        add(store, 0, key="single")  # trained on example 3, or not
        everything = keys(store)
        wanted = [key for key in everything if key in rest or (key == "single" and not MEMBER[0, 3])]
        command = [sys.executable, "-c", KILLED, str(store.path), str(steps)]
        code = subprocess.run(command, env=ENVIRONMENT, check=False).returncode
        half = Ensemble.open(store.path)
        assert keys(half) in (everything, wanted)
        outcomes.add(len(half))
        half.purge([3])
        assert keys(half) == keys(Ensemble.open(store.path)) == wanted
        assert half.verify() == Ensemble.open(store.path).verify()
        assert half.verify().ok
        assert not half.verify().unfinished
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert code == 0
    assert len(outcomes) == 2
