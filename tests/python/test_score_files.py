"""Scores as files: what is written comes back, and belongs to the right example."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from unmemorize import score_files

SUFFIXES = ("csv", "parquet", "npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(scores=arrays(np.float64, 7, elements=st.floats(width=64)))
def test_what_is_written_comes_back_to_the_last_bit(tmp_path_factory, suffix, scores):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path_factory.mktemp("scores") / f"scores.{suffix}"
    score_files.write(path, {"source_id": np.arange(7) * 3, "score": scores})
    found = score_files.read(path)
    assert list(found) == ["source_id", "score"]
    assert found["source_id"].dtype == np.int64
    np.testing.assert_array_equal(found["score"], scores)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_score_finds_its_example(tmp_path, suffix):
    path = score_files.write(tmp_path / f"s.{suffix}", {"source_id": [40, 10, 30], "score": [4.0, 1.0, 3.0]})
    np.testing.assert_array_equal(score_files.column(path, "score", [10, 20, 30]), [1, np.nan, 3])


def test_arrays_without_ids_are_of_the_whole_data_set(tmp_path):
    np.savez(tmp_path / "published.npz", memorization=np.array([0.0, 0.1, 0.2, 0.3], np.float32))
    path = tmp_path / "published.npz"
    np.testing.assert_allclose(score_files.column(path, "memorization", [3, 1], ids=None), [0.3, 0.1])
    with pytest.raises(ValueError, match="no column 'source_id'; it has memorization"):
        score_files.column(path, "memorization", [3, 1])


def test_text_and_numbers_are_told_apart(tmp_path):
    (tmp_path / "s.csv").write_text("source_id,name,score\n1,cat,nan\n2,7,1e3\n")
    found = score_files.read(tmp_path / "s.csv")
    assert found["name"].tolist() == ["cat", "7"]
    np.testing.assert_array_equal(found["score"], [np.nan, 1000])
    with pytest.raises(ValueError, match=re.escape("column 'name': expected numbers")):
        score_files.column(tmp_path / "s.csv", "name", [1])


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_happens_to_a_file_it_is_read_or_named(tmp_path_factory, suffix, data):
    path = tmp_path_factory.mktemp("scores") / f"s.{suffix}"
    score_files.write(path, {"source_id": np.arange(9), "score": np.arange(9) / 3, "name": list("abcdefghi")})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        put = data.draw(st.binary(max_size=4) | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff"]))
        match data.draw(st.sampled_from(["cut", "insert", "overwrite"])):
            case "cut":
                del content[at:]
            case "insert":
                content[at:at] = put
            case "overwrite":
                content[at : at + len(put)] = put
    path.write_bytes(content)
    try:
        assert all(values.ndim == 1 for values in score_files.read(path).values())
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_slips_are_named(tmp_path):
    with pytest.raises(ValueError, match=re.escape("s.txt: expected a file in .csv, .parquet, .npz, got '.txt'")):
        score_files.read(tmp_path / "s.txt")
    with pytest.raises(FileNotFoundError, match=re.escape("s.npz: no such file")):
        score_files.read(tmp_path / "s.npz")
    for name in ("torn.npz", "torn.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 no")
        with pytest.raises(ValueError, match=f"{name}: damaged or not an? "):
            score_files.read(tmp_path / name)
    with pytest.raises(ValueError, match=re.escape("expected columns of one length, got a (1,), b (2,)")):
        score_files.write(tmp_path / "s.csv", {"a": [1], "b": [1, 2]})
    np.savez(tmp_path / "m.npz", source_id=[0, 1], influence=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=re.escape("column 'influence' has shape (2, 2)")):
        score_files.read(tmp_path / "m.npz")
    path = score_files.write(tmp_path / "s.csv", {"source_id": [1, 1, 2], "score": [0, 0, 1]})
    with pytest.raises(ValueError, match="1 examples occur more than once"):
        score_files.column(path, "score", [1])
    path = score_files.write(tmp_path / "s.csv", {"source_id": [1, 2], "score": [0, 1]})
    with pytest.raises(ValueError, match="none of its 2 examples is among the 1 asked for"):
        score_files.column(path, "score", [7])
