"""Parts of a store, and stores as files of other tools."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store import CORRECT, GENERATOR, MEMBER, PROBS, TEST, C, M, N, T, add, files, full, new
from unmemorize import Ensemble, LearningEvents
from unmemorize.ensemble import export_models, import_models, memorization

SUFFIXES = ("npz", "parquet", "arrow")
PHI = GENERATOR.normal(size=(T, N)).astype(np.float16)


def rich(path: Path) -> Ensemble:
    """A store with everything that an entry can hold, of several kinds, one without a key."""
    store, events = new(path, data_hash="aaaa", recipe_hash="rrrr"), LearningEvents(N)
    events.update(np.arange(N), GENERATOR.normal(size=(N, C)), np.zeros(N, int))
    for t in range(T):
        add(store, t, phi=PHI[t], events=events, meta={"seed": t, "data_hash": "aaaa"})
    add(store, 0, phi=PHI[0], kind="oracle", forget_hash="f", key=None, events=events)
    return store


def same(found: Ensemble, wanted: Ensemble, *, events: bool = True) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.to_json() == theirs.to_json()
        for name in theirs.arrays:
            if name != "digest" and (events or name != "events"):
                np.testing.assert_array_equal(ours.array(name), theirs.array(name))


def test_some_models_are_copied_byte_by_byte(tmp_path: Path) -> None:
    store = rich(tmp_path / "s")
    (oracle,) = store.entries("oracle")
    part = store.subset(tmp_path / "p", models=["model-002", oracle.id, "model-007"])
    assert {path.name: path.read_bytes() for path in files(part)} == {
        path.name: path.read_bytes() for path in files(store) if path.stem in {entry.id for entry in part}
    }
    assert [entry.key for entry in part] == [None, "model-002", "model-007"]
    with pytest.raises(KeyError, match=r"models: 1 of 2 are not in .*, the first is .*model-999"):
        store.subset(tmp_path / "q", models=["model-999", "model-001"])


def test_some_examples_keep_what_every_model_says_of_them(tmp_path: Path) -> None:
    store, rows = rich(tmp_path / "s"), np.array([7, 0, 29])
    part = store.subset(tmp_path / "p", ids=rows)
    assert (part.header.n_train, part.header.n_test, part.header.recipe_hash) == (3, M, "rrrr")
    assert part.header.data_hash not in (None, "aaaa", store.subset(tmp_path / "q", ids=rows[::-1]).header.data_hash)
    np.testing.assert_array_equal(part.memorization().score, store.memorization().score[rows])
    np.testing.assert_array_equal(part.out_of_sample(), store.out_of_sample(rows))
    np.testing.assert_array_equal(part.test_correct, TEST)
    for entry, of in zip(part.entries("reference"), store.entries("reference"), strict=True):
        assert entry.phi is not None
        assert entry.events is not None
        assert of.phi is not None
        assert of.events is not None
        np.testing.assert_array_equal(entry.phi, of.phi[rows])
        np.testing.assert_array_equal(entry.events.scores()["loss"], of.events.scores()["loss"][rows])
    assert len(store.subset(tmp_path / "p", ids=rows)) == T + 1  # again: nothing is doubled
    with pytest.raises(IndexError, match="ids: 30 is out of range for 30 examples"):
        store.subset(tmp_path / "r", ids=[30])
    with pytest.raises(ValueError, match="ids: 4 occurs more than once"):
        store.subset(tmp_path / "r", ids=[4, 3, 4])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_exported_comes_back(tmp_path: Path, suffix: str) -> None:
    store = rich(tmp_path / "s")
    path = export_models(store, tmp_path / f"models.{suffix}")
    again = import_models(path, tmp_path / "again", data_hash="aaaa")
    (unnamed,) = store.entries("oracle")
    (named,) = again.entries("oracle")
    assert named.key == unnamed.id  # the only change
    rest = [entry.key for entry in store if entry.key]
    same(again.subset(tmp_path / "a", models=rest), store.subset(tmp_path / "b", models=rest), events=False)
    np.testing.assert_array_equal(named.array("probs"), unnamed.array("probs"))
    assert len(import_models(path, tmp_path / "again")) == T + 1
    with pytest.raises(ValueError, match="recipe_hash is 'rrrr', expected 'other'"):
        import_models(path, tmp_path / "other", recipe_hash="other")


def test_an_npz_is_the_matrices(tmp_path: Path) -> None:
    path = export_models(full(tmp_path / "s"), tmp_path / "models.npz")
    with np.load(path) as found:
        assert sorted(found) == ["correct", "member", "models", "probs", "test_correct"]
        for name, wanted in (("member", MEMBER), ("correct", CORRECT), ("test_correct", TEST), ("probs", PROBS)):
            np.testing.assert_array_equal(found[name], wanted.astype(found[name].dtype))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_table_has_a_row_for_each_model_and_null_for_what_it_lacks(tmp_path: Path, suffix: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    store = full(tmp_path / "s")
    add(store, 3, key="with-phi", phi=PHI[3])
    path = export_models(store, tmp_path / f"models.{suffix}")
    read: Any = pytest.importorskip("pyarrow.parquet").read_table
    table = read(path) if suffix == "parquet" else pyarrow.ipc.open_file(path).read_all()
    assert table.num_rows == T + 1
    np.testing.assert_array_equal(np.array(table["member"][3].as_py()), MEMBER[3])
    assert table["phi"].null_count == T
    np.testing.assert_array_equal(np.array(table["phi"][T].as_py(), np.float16), PHI[3])
    assert np.array(table["probs"][0].as_py()).shape == (N, C)
    same(import_models(path, tmp_path / "again"), store)


def test_published_matrices_are_read(tmp_path: Path) -> None:
    """As the code of Feldman & Zhang names them."""
    path = tmp_path / "published.npz"
    np.savez_compressed(
        path, trainset_mask=MEMBER, trainset_correctness=CORRECT, testset_correctness=TEST, memorization=np.zeros(N)
    )
    store = import_models(path, tmp_path / "s", data_hash="aaaa")
    assert store.header.data_hash == "aaaa"
    np.testing.assert_array_equal(store.member, MEMBER)
    np.testing.assert_array_equal(store.memorization().score, memorization(MEMBER, CORRECT).score)
    assert len(import_models(path, tmp_path / "s", data_hash="aaaa")) == T


def test_what_is_not_of_models_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, memorization=np.zeros(3))
    with pytest.raises(ValueError, match=r"x\.npz: damaged, or not of models: no member, correct, test_correct;"):
        import_models(path, tmp_path / "s")
    np.savez(path, member=MEMBER, correct=CORRECT[:4], test_correct=TEST)
    with pytest.raises(ValueError, match=r"rows: 10 of member, 4 of correct, 10 of test_correct"):
        import_models(path, tmp_path / "t")
    assert not (tmp_path / "t").exists()
    np.savez(path, member=np.asfortranarray(MEMBER), correct=CORRECT, test_correct=TEST)
    with pytest.raises(ValueError, match="member: expected a matrix, row by row"):
        import_models(path, tmp_path / "u")
    np.savez(path, member=np.array([object()]), correct=CORRECT, test_correct=TEST)
    with pytest.raises(ValueError, match="member: expected a matrix, row by row"):
        import_models(path, tmp_path / "u")
    with pytest.raises(ValueError, match=r"expected a file in \.npz, \.parquet, \.arrow, got '\.csv'"):
        import_models(tmp_path / "x.csv", tmp_path / "v")
    with pytest.raises(FileNotFoundError):
        import_models(tmp_path / "nowhere.npz", tmp_path / "v")
    with pytest.raises(ValueError, match="holds no entries to export"):
        export_models(new(tmp_path / "empty"), tmp_path / "y.npz")
    assert not (tmp_path / "y.npz").exists()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("exported")
    store = full(folder / "s")
    return {suffix: export_models(store, folder / f"models.{suffix}").read_bytes() for suffix in SUFFIXES}


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_an_error_or_reads_right(
    exported: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """An .npz has a checksum over each of its arrays."""
    folder = tmp_path_factory.mktemp("damaged")
    content = bytearray(exported["npz"])
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    (folder / "models.npz").write_bytes(content)
    try:
        store = import_models(folder / "models.npz", folder / "s")
    except ValueError:
        return
    np.testing.assert_array_equal(store.member, MEMBER)
    np.testing.assert_array_equal(store.correct, CORRECT)


def test_an_export_is_the_same_file_each_time(exported: dict[str, bytes], tmp_path: Path) -> None:
    path = export_models(full(tmp_path / "s"), tmp_path / "again.npz")
    assert path.read_bytes() == exported["npz"]
    with zipfile.ZipFile(io.BytesIO(exported["npz"])) as archive:
        assert archive.testzip() is None
