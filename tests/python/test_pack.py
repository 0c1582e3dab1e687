"""Packs: a store in few files answers as it did, and what is damaged in one is named and nothing else lost."""

import os
import resource
import signal
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store import CORRECT, ENVIRONMENT, MEMBER, READ_ALL, C, N, T, add, files, full, new
from unmemorize import Ensemble
from unmemorize.ensemble import memorization

SIZE = 10_000  # of a pack: a few entries each


def packs(store: Ensemble) -> list[Path]:
    return sorted((store.path / "packs").iterdir())


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    folder = tmp_path_factory.mktemp("packed")
    return full(folder / "s", data_hash="aaaa").pack(folder / "p", size=SIZE)


def test_a_packed_store_answers_as_it_did(packed: Ensemble) -> None:
    whole = Ensemble.open(packed.path.parent / "s")
    assert 2 <= len(packs(packed)) < T
    assert all(path.stat().st_size <= SIZE for path in packs(packed))
    assert not files(packed)
    again = Ensemble.open(packed.path, data_hash="aaaa")
    assert [entry.id for entry in again] == [entry.id for entry in whole]
    assert [entry.digest for entry in again] == [entry.digest for entry in whole]
    np.testing.assert_array_equal(again.memorization().score, whole.memorization().score)
    np.testing.assert_array_equal(again.out_of_sample(), whole.out_of_sample())
    assert again.verify().ok
    assert {**again.describe(), "path": ""} == {**whole.describe(), "path": ""}


def test_any_tar_unpacks_it_and_so_does_merging(packed: Ensemble, tmp_path: Path) -> None:
    by_tar, by_merge = new(tmp_path / "a", data_hash="aaaa"), new(tmp_path / "b", data_hash="aaaa").merge(packed)
    for path in packs(packed):
        with tarfile.open(path) as archive:
            archive.extractall(by_tar.path / "entries", filter="data")
    whole = {path.name: path.read_bytes() for path in files(Ensemble.open(packed.path.parent / "s"))}
    for store in (by_tar, by_merge):
        assert {path.name: path.read_bytes() for path in files(store)} == whole


def test_what_tar_packs_is_a_pack(packed: Ensemble, tmp_path: Path) -> None:
    store = new(tmp_path / "s", data_hash="aaaa")
    (store.path / "packs").mkdir()
    with tarfile.open(store.path / "packs" / "mine.tar", "w") as archive:
        for path in files(Ensemble.open(packed.path.parent / "s")):
            archive.add(path, path.name)
    assert len(store) == T
    assert store.verify().ok


def test_a_packed_store_grows(tmp_path: Path) -> None:
    store = full(tmp_path / "s").pack(tmp_path / "p", size=SIZE)
    before = len(packs(store))
    assert add(store, 3) == store.entries()[3].id  # it is there: nothing is written
    assert not files(store)
    with pytest.raises(ValueError, match="key: 'model-003' is taken by another model"):
        add(store, 4, key="model-003")
    add(store, 0, key="another")
    assert (len(store), len(packs(store)), len(files(store))) == (T + 1, before, 1)
    assert len(store.pack(tmp_path / "again").pack(tmp_path / "s")) == T + 1
    assert len(packs(Ensemble.open(tmp_path / "again"))) == 1
    assert len(packs(Ensemble.open(tmp_path / "s"))) == 1  # what it lacked


def test_an_entry_larger_than_a_pack_has_one_for_itself(tmp_path: Path) -> None:
    assert len(packs(full(tmp_path / "s").pack(tmp_path / "p", size=1))) == T
    with pytest.raises(ValueError, match="size: expected at least 1, got 0"):
        full(tmp_path / "s").pack(tmp_path / "q", size=0)


def test_packing_into_a_store_of_other_data_is_refused(packed: Ensemble, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'aaaa'.*'bbbb'|'bbbb'.*'aaaa'"):
        packed.pack(new(tmp_path / "b", data_hash="bbbb").path)


@settings(max_examples=100)
@given(st.data())
def test_damage_anywhere_in_a_pack_is_named_and_the_rest_is_read(packed: Ensemble, data: st.DataObject) -> None:
    path = packs(packed)[0]
    written, before = path.read_bytes(), {entry.digest for entry in Ensemble.open(packed.path)}
    here = sum(entry.place.path == path for entry in Ensemble.open(packed.path))
    content = bytearray(written)
    at = data.draw(st.integers(0, len(content) - 1))
    damage = data.draw(st.sampled_from(["flip", "cut", "zeros"]))
    if damage == "flip":
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif damage == "cut":
        del content[at:]
    else:  # what a disk gives back for a sector that it lost
        content[at - at % 512 : at - at % 512 + 512] = bytes(512)
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = {entry.digest for entry in Ensemble.open(packed.path)}
        verified = packed.verify()
    finally:
        path.write_bytes(written)
    assert found <= before
    lost = len(before - found)
    assert lost <= (1 if damage != "cut" else here)
    assert verified.ok == (not said)
    assert all(path.name in str(warning.message) for warning in said)
    assert said or not lost


@pytest.mark.parametrize("name", ["../../x.safetensors", "/tmp/x.safetensors", ".hidden.safetensors", "a.txt", ""])
def test_a_name_made_to_lead_elsewhere_is_no_entry(packed: Ensemble, tmp_path: Path, name: str) -> None:
    store = new(tmp_path / "s", data_hash="aaaa")
    (store.path / "packs").mkdir()
    content = next(iter(Ensemble.open(packed.path))).content()
    about = tarfile.TarInfo(name)
    body = b"".join(content)
    about.size = len(body)
    (store.path / "packs" / "attack.tar").write_bytes(about.tobuf() + body + bytes(-len(body) % 512 + 1024))
    assert len(store) == 0
    assert len(new(tmp_path / "t", data_hash="aaaa").merge(store)) == 0


@settings(max_examples=200)
@given(st.binary(max_size=3000), st.integers(-(2**63), 2**63))
def test_any_bytes_are_read_without_harm(packed: Ensemble, content: bytes, size: int) -> None:
    about = tarfile.TarInfo("attack.safetensors")
    about.size = size
    path = packed.path / "packs" / "attack.tar"
    path.write_bytes(about.tobuf(tarfile.GNU_FORMAT) + content)
    try:
        verified = packed.verify()
    finally:
        path.unlink()
    assert len(verified.whole) == T
    assert all(name.startswith("attack.tar") for name in verified.damaged)
    assert verified.damaged


def test_a_reader_of_packs_never_writes(packed: Ensemble) -> None:
    before = [(path.name, path.stat().st_mtime_ns) for path in (packed.path, *packs(packed))]
    ran = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(packed.path)], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("an append was refused\n", "", 0)
    assert [(path.name, path.stat().st_mtime_ns) for path in (packed.path, *packs(packed))] == before


KILLED = """
import os, signal
from pathlib import Path
from test_pack import *

replace, left = Path.replace, int(sys.argv[3])

def replace_or_die(self, target):
    global left
    if self.name.startswith(".") and ".tar" in self.name:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = replace_or_die
Ensemble.open(sys.argv[1]).pack(sys.argv[2], size=SIZE)
"""


def test_packing_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    for survive in (0, 1):
        command = [sys.executable, "-c", KILLED, str(store.path), str(tmp_path / "p"), str(survive)]
        assert subprocess.run(command, env=ENVIRONMENT, check=False).returncode == -signal.SIGKILL
        half = Ensemble.open(tmp_path / "p")
        assert len(packs(half)) == 2 * survive + 1  # leftovers and packs
        assert half.verify().ok
    done = store.pack(tmp_path / "p", size=SIZE)
    np.testing.assert_array_equal(done.memorization().score, memorization(MEMBER, CORRECT).score)
    assert len(done.verify().unfinished) == 2


def test_a_full_disk_leaves_no_half_pack(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    process = os.fork()
    if not process:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))
        try:
            store.pack(tmp_path / "p", size=SIZE)
        except OSError as error:
            os._exit(3 if "packs" in str(error) else 4)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3
    assert packs(Ensemble.open(tmp_path / "p")) == []
    assert files(Ensemble.open(tmp_path / "p")) == []
    assert len(store) == T


def test_a_pack_of_a_damaged_entry_is_not_written(tmp_path: Path) -> None:
    """It was whole when it was opened."""
    store = full(tmp_path / "s")
    entries = store.entries()
    path = entries[4].place.path
    times = path.stat()
    path.write_bytes(path.read_bytes()[:-20] + bytes(20))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk damages it: nobody wrote
    with pytest.raises(ValueError, match=f"{path.name}: damaged since it was opened"):
        store.pack(tmp_path / "p")
    assert packs(Ensemble.open(tmp_path / "p")) == []
    assert entries[0].array("probs").shape == (N, C)
