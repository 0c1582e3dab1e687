"""Published scores find their examples after a train/validation split."""

from pathlib import Path

import numpy as np
import pytest
from unmemorize.ensemble import published_memorization

SCORES = np.linspace(0, 1, 10, dtype=np.float32)
KEPT = np.array([8, 1, 5, 4])  # the others are held out


@pytest.mark.parametrize("name", ["memorization", "tr_mem"])
def test_a_score_finds_its_example(tmp_path: Path, name: str) -> None:
    path = tmp_path / "published.npz"
    np.savez(path, **{name: SCORES}, influence=np.zeros((3, 10)), tr_labels=np.arange(10) % 3)  # type: ignore[arg-type]
    found = published_memorization(path, KEPT, labels=KEPT % 3, complete=True)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, SCORES[KEPT].astype(np.float64))
    with pytest.raises(ValueError, match="2 of 4 labels are not those of this data set in this order"):
        published_memorization(path, KEPT, labels=[2, 1, 0, 0])


def test_what_is_missing_is_nan_or_an_error_with_the_number(tmp_path: Path) -> None:
    path = tmp_path / "published.npz"
    np.savez(path, memorization=SCORES)
    found = published_memorization(path, [9, 10, 0, 99])
    np.testing.assert_array_equal(np.isnan(found), [False, True, False, True])
    with pytest.raises(ValueError, match=r"published\.npz: 2 of 4 examples have no score"):
        published_memorization(path, [9, 10, 0, 99], complete=True)


def test_what_holds_no_scores_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, influence=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"x\.npz: holds no scores \(memorization or tr_mem.* it holds influence"):
        published_memorization(path, [0])
    path.write_bytes(b"PK no")
    with pytest.raises(ValueError, match=r"x\.npz: damaged or not an \.npz file"):
        published_memorization(path, [0])
    with pytest.raises(FileNotFoundError):
        published_memorization(tmp_path / "nowhere.npz", [0])
