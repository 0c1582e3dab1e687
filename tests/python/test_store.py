"""The ensemble store: nothing acknowledged is lost, nothing damaged is used, nothing foreign is mixed in."""

import hashlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from unmemorize import Ensemble, LearningEvents
from unmemorize.ensemble import Entry, balanced, memorization
from unmemorize.errors import StoreError

N, M, T, C = 30, 7, 10, 4
GENERATOR = np.random.default_rng(0)
MEMBER = balanced(N, T)
CORRECT = GENERATOR.random((T, N)) < 0.3 + 0.6 * MEMBER
TEST = GENERATOR.random((T, M)) < 0.8
PROBS = GENERATOR.dirichlet(np.ones(C), (T, N)).astype(np.float32)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def new(path: Path, **hashes: str) -> Ensemble:
    return Ensemble.create(path, N, M, **hashes)


def add(store: Ensemble, t: int, **options: Any) -> str:
    return store.append(MEMBER[t], CORRECT[t], TEST[t], **{"probs": PROBS[t], "key": f"model-{t:03d}", **options})


def full(path: Path, **hashes: str) -> Ensemble:
    store = new(path, **hashes)
    for t in range(T):
        add(store, t)
    return store


def files(store: Ensemble) -> list[Path]:
    return sorted((store.path / "entries").iterdir())


def file_of(store: Ensemble, t: int) -> Path:
    (entry,) = (entry for entry in store if entry.key == f"model-{t:03d}")
    return entry.place.path


def test_scores_are_those_of_the_matrices_in_any_order_of_appending(tmp_path: Path) -> None:
    forward, backward = full(tmp_path / "a"), new(tmp_path / "b")
    for t in reversed(range(T)):
        add(backward, t)
    expected = memorization(MEMBER, CORRECT)
    for store in (forward, backward, Ensemble.open(tmp_path / "a")):
        found = store.memorization()
        np.testing.assert_array_equal(found.score, expected.score)
        np.testing.assert_array_equal(found.std_error, expected.std_error)
    assert forward.reliability(seed=1) == backward.reliability(seed=1)
    np.testing.assert_array_equal(forward.out_of_sample(), backward.out_of_sample())


def test_matrices_come_back_as_they_were(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    for found, put in ((store.member, MEMBER), (store.correct, CORRECT), (store.test_correct, TEST)):
        np.testing.assert_array_equal(found, put)
    for t, entry in enumerate(store):
        assert (entry.key, entry.kind, entry.forget_hash, entry.meta) == (f"model-{t:03d}", "reference", None, {})
        np.testing.assert_array_equal(entry.member, MEMBER[t])
        np.testing.assert_array_equal(entry.probs, PROBS[t].astype(np.float16))
        assert entry.phi is entry.test_phi is entry.events is None


def test_an_entry_is_a_safetensors_file(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    arrays = load_file(file_of(store, 2))
    np.testing.assert_array_equal(arrays["probs"], PROBS[2].astype(np.float16))
    np.testing.assert_array_equal(np.unpackbits(arrays["member"], count=N, bitorder="little"), MEMBER[2])


@pytest.mark.parametrize("named", ["key", "seed", "nothing"])
def test_the_order_of_models_does_not_follow_from_the_order_of_appending(tmp_path: Path, named: str) -> None:
    stores = [new(tmp_path / "a"), new(tmp_path / "b")]
    for store, order in zip(stores, (range(T), (7, 2, 9, 0, 5, 3, 8, 1, 6, 4)), strict=True):
        for t in order:
            name = {"key": {}, "seed": {"key": None, "meta": {"seed": t}}, "nothing": {"key": None}}[named]
            add(store, t, **name)
    np.testing.assert_array_equal(stores[0].member, stores[1].member)
    if named != "nothing":
        np.testing.assert_array_equal(stores[0].member, MEMBER)


def test_out_of_sample_is_the_mean_over_models_that_left_the_example_out(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    ids = np.array([5, 0, 5, 29])
    halves = PROBS.astype(np.float16).astype(np.float64)
    expected = np.stack([halves[~MEMBER[:, i], i].mean(0) for i in ids])
    np.testing.assert_allclose(store.out_of_sample(ids), expected, rtol=1e-12)
    with pytest.raises(IndexError, match="ids: 30 is out of range for an ensemble of 30 examples"):
        store.out_of_sample([30])


def test_an_example_that_every_model_saw_has_no_answer(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    store.append(np.ones(N, bool), CORRECT[0], TEST[0], probs=PROBS[0])
    assert np.isnan(store.out_of_sample([3])).all()


def test_without_softmax_there_is_no_answer(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    store.append(MEMBER[0], CORRECT[0], TEST[0])
    with pytest.raises(ValueError, match="no reference model holds softmax"):
        store.out_of_sample([3])


def test_only_references_feed_the_estimators(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    before = store.memorization().score
    add(store, 0, kind="oracle", key="oracle", forget_hash="abc", meta={"seed": 3})
    assert len(store) == T + 1
    np.testing.assert_array_equal(store.memorization().score, before)
    (oracle,) = store.entries("oracle")
    assert (oracle.kind, oracle.forget_hash, oracle.meta) == ("oracle", "abc", {"seed": 3})
    with pytest.raises(ValueError, match="kind: no kind 'oracles'; known are reference, unlearned, oracle"):
        store.entries("oracles")


def test_one_key_counts_once(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    assert add(store, 3) == store.entries()[3].id
    assert len(store) == T
    with pytest.raises(ValueError, match="key: 'model-003' is taken by another model"):
        add(store, 4, key="model-003")
    assert len(store) == T


def test_a_damaged_entry_is_replaced_by_appending_it_again(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    path = file_of(store, 3)
    path.write_bytes(path.read_bytes()[:-1])
    add(store, 3)
    assert store.verify().ok
    np.testing.assert_array_equal(store.member, MEMBER)


def test_learning_events_are_kept(tmp_path: Path) -> None:
    store, events = new(tmp_path / "s"), LearningEvents(N)
    logits = GENERATOR.normal(size=(N, C))
    events.update(np.arange(N), logits, np.zeros(N, int))
    add(store, 0, events=events)
    (entry,) = Ensemble.open(store.path)
    assert entry.events is not None
    for name, values in events.scores().items():
        np.testing.assert_array_equal(entry.events.scores()[name], values)
    with pytest.raises(ValueError, match="events: expected 30 examples to match this store, got 31"):
        add(store, 1, events=LearningEvents(N + 1))


def test_huge_log_odds_are_kept_as_the_largest(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    add(store, 0, phi=np.linspace(-1e6, 1e6, N))
    add(store, 1, test_phi=np.full(M, np.inf))
    first, second = store
    assert first.phi is not None
    assert second.test_phi is not None
    assert (first.phi[0], first.phi[-1], second.test_phi[0]) == (-65504, 65504, 65504)


def test_merging_adds_what_is_missing(tmp_path: Path) -> None:
    ours, theirs = new(tmp_path / "a"), full(tmp_path / "b")
    add(ours, 0)
    assert len(ours.merge(theirs).merge(tmp_path / "b")) == T
    np.testing.assert_array_equal(ours.memorization().score, theirs.memorization().score)
    assert [path.read_bytes() for path in files(ours)] == [path.read_bytes() for path in files(theirs)]


def test_merging_copies_nothing_if_a_key_is_another_models(tmp_path: Path) -> None:
    ours, theirs = new(tmp_path / "a"), full(tmp_path / "b")
    add(ours, 0, key="model-009")
    with pytest.raises(ValueError, match="key: 'model-009' is taken by another model"):
        ours.merge(theirs)
    assert len(ours) == 1


@pytest.mark.parametrize("what", ["data", "recipe"])
def test_models_of_other_data_or_another_recipe_are_refused_with_both_hashes(tmp_path: Path, what: str) -> None:
    name = f"{what}_hash"
    store = new(tmp_path / "a", **{name: "aaaa"})
    other = new(tmp_path / "b", **{name: "bbbb"})
    for act in (
        lambda: Ensemble.open(tmp_path / "a", **{name: "bbbb"}),
        lambda: Ensemble.create(tmp_path / "a", N, M, **{name: "bbbb"}),
        lambda: store.merge(other),
        lambda: add(store, 0, meta={name: "bbbb"}),
    ):
        with pytest.raises(ValueError, match=r"(?s)(bbbb.*aaaa|aaaa.*bbbb)"):
            act()
    assert not files(store)


def test_a_file_of_another_store_is_named_and_left_out(tmp_path: Path) -> None:
    store, other = full(tmp_path / "a", data_hash="aaaa"), full(tmp_path / "b", data_hash="bbbb")
    (store.path / "entries" / "stray.safetensors").write_bytes(files(other)[0].read_bytes())
    with pytest.warns(UserWarning, match=r"stray\.safetensors: entry: data_hash is 'bbbb', expected 'aaaa'"):
        assert len(store) == T


def test_stores_of_other_sizes_are_refused(tmp_path: Path) -> None:
    store = new(tmp_path / "a")
    with pytest.raises(ValueError, match="n_train is 31, expected 30"):
        store.merge(Ensemble.create(tmp_path / "b", N + 1, M))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return full(tmp_path_factory.mktemp("shared") / "s")


@settings(max_examples=100)
@given(st.data())
def test_any_flipped_bit_or_lost_byte_is_named_and_the_entry_left_out(shared: Ensemble, data: st.DataObject) -> None:
    path = file_of(shared, 4)
    written = path.read_bytes()
    content = bytearray(written)
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    path.write_bytes(content)
    try:
        store = Ensemble.open(shared.path)
        with pytest.warns(UserWarning, match=rf"{path.name}: damaged"):
            found = store.memorization()
        verified = store.verify()
    finally:
        path.write_bytes(written)
    keep = [t for t in range(T) if t != 4]
    np.testing.assert_array_equal(found.score, memorization(MEMBER[keep], CORRECT[keep]).score)
    assert not verified.ok
    assert list(verified.damaged) == [path.name]
    assert len(verified.whole) == T - 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2**63).to_bytes(8, "little"),
        b"\x02" + bytes(7) + b"{}",
        b"\x02" + bytes(7) + b"[]",
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        b"\x1f" + bytes(7) + b'{"__metadata__":{"format":"x"}}',
    ],
)
def test_a_file_made_to_mislead_is_not_an_entry(tmp_path: Path, content: bytes) -> None:
    """Its checksum is right, its contents are not."""
    store = full(tmp_path / "s")
    path = store.path / "entries" / "attack.safetensors"
    path.write_bytes(content + hashlib.blake2b(content, digest_size=16).digest())
    with pytest.warns(UserWarning, match=r"attack\.safetensors: not an entry"):
        assert len(store) == T


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("probs", {"shape": [-N, -C]}),
        ("probs", {"shape": [N * C]}),
        ("probs", {"shape": [N // 2, 2 * C]}),
        ("probs", {"dtype": "U8", "shape": [N, 2 * C]}),
        ("probs", {"data_offsets": [2**40, 2**40 + 2 * N * C]}),
        ("member", {"shape": [1, 4]}),
        ("member", {"dtype": "F32"}),
        ("member", {"data_offsets": [-8, -4]}),
        ("__metadata__", {"model": "{}"}),
        ("__metadata__", {"format": "unmemorize.Ensemble.entry/2"}),
    ],
)
def test_a_header_made_to_mislead_is_not_that_of_an_entry(tmp_path: Path, array: str, change: dict[str, Any]) -> None:
    store = full(tmp_path / "s")
    path = file_of(store, 0)
    content = path.read_bytes()[:-16]
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header[array] |= change
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + content[8 + length :]
    path.write_bytes(content + hashlib.blake2b(content, digest_size=16).digest())
    with pytest.warns(UserWarning, match=rf"{path.name}: not an entry"):
        assert len(Ensemble.open(store.path)) == T - 1


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("U8") | st.integers(-9, 99),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _anywhere(data: st.DataObject, value: Any) -> Any:
    """The value with something else at a place that is drawn."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 4)):
        at = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        changed = value.copy()
        changed[at] = _anywhere(data, value[at])
        return changed
    return data.draw(ANYTHING)


@settings(max_examples=300)
@given(st.data())
def test_any_header_under_a_right_checksum_is_refused_or_read_without_harm(
    shared: Ensemble, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = file_of(shared, 0).read_bytes()[:-16]
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if data.draw(st.booleans()):
        said = json.loads(header["__metadata__"]["model"])
        header["__metadata__"]["model"] = json.dumps(_anywhere(data, said))
    else:
        header = _anywhere(data, header)
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + content[8 + length :]
    store = new(tmp_path_factory.mktemp("fuzz") / "s")
    path = store.path / "entries" / "attack.safetensors"
    path.write_bytes(content + hashlib.blake2b(content, digest_size=16).digest())
    verified = store.verify()
    assert len(verified.whole) + len(verified.damaged) == 1
    if verified.whole:
        (entry,) = store
        assert entry.member.shape == entry.correct.shape == (N,)
        assert entry.test_correct.shape == (M,)
        assert entry.probs is None or entry.probs.shape[0] == N
        assert store.describe()["damaged"] == {}
        assert store.verify(designs=True).whole == verified.whole


@pytest.mark.parametrize("change", [lambda text: text[:-20], lambda text: text.replace("30", "31"), lambda _: "[]"])
def test_a_damaged_header_is_named(tmp_path: Path, change: Callable[[str], str]) -> None:
    store = full(tmp_path / "s")
    path = store.path / "ensemble.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(StoreError, match=r"ensemble\.json: damaged"):
        Ensemble.open(store.path)
    with pytest.raises(FileNotFoundError, match="no ensemble here"):
        Ensemble.open(tmp_path / "nowhere")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="holds files but no ensemble"):
        new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_leftovers_of_a_killed_writer_are_not_entries(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    (store.path / "entries" / ".model-999.safetensors.123.tmp").write_bytes(b"half")
    assert len(store) == T
    assert store.verify().ok
    assert store.verify().unfinished == (".model-999.safetensors.123.tmp",)


READ_ALL = """
import sys
from unmemorize import Ensemble

def refuse(event, arguments):  # holds for root too, whom file modes do not stop
    writes = event == "open" and arguments[2] & 3 or event in ("os.rename", "os.remove", "os.mkdir", "os.truncate")
    if writes and sys.argv[1] in str(arguments[0]):
        raise PermissionError(f"{event} {arguments}")

sys.addaudithook(refuse)
store = Ensemble.open(sys.argv[1])
store.memorization(), store.out_of_sample([1]), store.verify(), store.describe(), store.reliability(), store.member
assert all(entry.events is None for entry in store)
try:
    store.append(store.member[0], store.correct[0], store.test_correct[0])
except OSError:
    print("an append was refused")
"""


def test_a_reader_never_writes(tmp_path: Path) -> None:
    store = full(tmp_path / "s")
    before = [(path.name, path.stat().st_mtime_ns) for path in (store.path, store.path / "entries", *files(store))]
    ran = subprocess.run([sys.executable, "-c", READ_ALL, str(store.path)], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("an append was refused\n", "", 0)
    now = [(path.name, path.stat().st_mtime_ns) for path in (store.path, store.path / "entries", *files(store))]
    assert now == before


def test_a_wrong_clock_changes_nothing(tmp_path: Path) -> None:
    """Times of files are from hosts of whatever clock: only their contents count."""
    store = full(tmp_path / "s")
    before = [entry.id for entry in store]
    for k, path in enumerate(files(store)):
        os.utime(path, (0, 0) if k % 3 == 0 else (2**33 + k, 2**33 - k))
    for of in (store, Ensemble.open(store.path)):
        assert [entry.id for entry in of] == before
        np.testing.assert_array_equal(of.member, MEMBER)
        assert of.verify().ok
    add(store, 3)
    assert len(store) == T


def _append_all(path: str, which: range) -> None:
    store = Ensemble.open(path)
    for t in which:
        add(store, t)


def test_matrices_are_of_the_same_models_whatever_is_appended_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = full(tmp_path / "s"), Entry.array

    def append_meanwhile(entry: Entry, name: str) -> Any:
        monkeypatch.undo()
        add(Ensemble.open(store.path), 0, key="another")
        return read(entry, name)

    monkeypatch.setattr(Entry, "array", append_meanwhile)
    np.testing.assert_array_equal(store.memorization().score, memorization(MEMBER, CORRECT).score)
    assert len(store) == T + 1


def test_two_writers_at_once(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_all, args=(str(store.path), part)) for part in (range(6), range(4, T))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(store) == T
    np.testing.assert_array_equal(store.memorization().score, memorization(MEMBER, CORRECT).score)


def _append_under_a_limit(path: str, limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        add(Ensemble.open(path), 9)
    except OSError as error:
        os._exit(3 if path in str(error) else 4)
    os._exit(0)


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    add(store, 0)
    before = [(path.name, path.read_bytes()) for path in files(store)]
    process = multiprocessing.get_context("spawn").Process(target=_append_under_a_limit, args=(str(store.path), 500))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert [(path.name, path.read_bytes()) for path in files(store)] == before


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    program = (
        "from test_store import *\n"
        f"store = Ensemble.open({str(store.path)!r})\n"
        "for k in range(10**6):\n"
        "    print(add(store, k % T, key=f'model-{k:07d}', meta={'k': k}), flush=True)\n"
    )
    for wait in (0.002, 0.003, 0.005):
        with subprocess.Popen([sys.executable, "-c", program], env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            acknowledged = [process.stdout.readline() for _ in range(20)]
            time.sleep(wait)
            process.kill()
            acknowledged += process.stdout.readlines()
        kept = {entry.id for entry in store}
        assert {line.decode().strip() for line in acknowledged} <= kept
        assert store.verify().ok


HALF_WAY = """
import os, signal
from pathlib import Path
from test_store import *

Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)  # all is written, nothing is in its place
add(Ensemble.open(sys.argv[1]), 1)
"""


def test_kill_9_in_mid_append_leaves_what_readers_pass_over(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    add(store, 0)
    subprocess.run([sys.executable, "-c", HALF_WAY, str(store.path)], env=ENVIRONMENT, check=False)
    assert len(store.verify().unfinished) == 1
    assert store.verify().ok
    assert len(store) == 1
    add(store, 1)
    assert len(store) == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"member": MEMBER[0][:-1]}, ValueError, r"member: expected shape \(30,\) to match this store, got \(29,\)"),
        ({"correct": CORRECT[0].astype(int)}, TypeError, "correct: expected bool, got int64"),
        ({"test_correct": TEST[0][None]}, ValueError, r"test_correct: expected shape \(7,\)"),
        ({"probs": PROBS[0][:, 0]}, ValueError, r"probs: expected shape \(30, C\)"),
        ({"probs": np.full((N, C), np.nan)}, ValueError, "probs: 120 of 120 values are NaN"),
        ({"phi": np.zeros(N, int)}, TypeError, "phi: expected floating numbers, got int64"),
        ({"kind": "model"}, ValueError, "kind: no kind 'model'; known are reference, unlearned, oracle"),
        ({"probs": PROBS[0] * 0.5}, ValueError, r"probs: expected softmax, rows that sum to 1; row 0 sums to 0\.5"),
        ({"probs": PROBS[0] - 1}, ValueError, r"probs: expected softmax, in \[0, 1\]"),
        ({"phi": np.full(N, np.nan)}, ValueError, "phi: 30 of 30 values are NaN"),
        ({"meta": {"model": object()}}, TypeError, "not JSON serializable"),
    ],
)
def test_bad_input_is_named_and_nothing_is_stored(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    store = new(tmp_path / "s")
    arguments = {"member": MEMBER[0], "correct": CORRECT[0], "test_correct": TEST[0], **change}
    with pytest.raises(error, match=message):
        store.append(**arguments)
    assert not files(store)


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no reference model"):
        new(tmp_path / "s").memorization()


def test_a_key_is_any_text(tmp_path: Path) -> None:
    store = new(tmp_path / "s")
    add(store, 0, key="../résumé/" + "x" * 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert next(iter(store)).key == "../résumé/" + "x" * 1000


def test_a_store_describes_itself(tmp_path: Path) -> None:
    store = full(tmp_path / "s", data_hash="aaaa")
    add(store, 0, kind="oracle", key="oracle", phi=np.zeros(N))
    files(store)[0].write_bytes(b"")
    about = json.loads(json.dumps(store.describe()))
    assert (about["n_train"], about["n_test"], about["data_hash"], about["recipe_hash"]) == (N, M, "aaaa", None)
    assert about["reference"] + about["oracle"] == T
    assert about["unlearned"] == 0
    assert list(about["damaged"]) == [files(store)[0].name]
    assert about["bytes"] == sum(path.stat().st_size for path in files(store))
