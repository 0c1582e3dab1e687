"""Memorization scores as the papers' code and Feldman & Zhang publish them: an .npz of the whole training set."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, score_files

NAMES = ("memorization", "tr_mem")
"""What the array of scores is called: by the papers' code, by Feldman & Zhang."""

LABELS = "tr_labels"


def published_memorization(
    path: str | Path, source_ids: ArrayLike, *, labels: ArrayLike | None = None, complete: bool = False
) -> NDArray[np.float64]:
    """Published scores of the examples of a training split, whatever was held out of it for validation.

    Args:
        path: An .npz with ``memorization`` or ``tr_mem`` (N,), in the order of the whole data set. Other arrays, such
            as the influence matrix beside it, are not read.
        source_ids: int (n,), ids in the whole data set: ``data.train.source_ids``.
        labels: int (n,), to be compared with ``tr_labels`` if the file has them: is it of this data set, in this order?
        complete: Whether an example without a score is an error.

    Returns:
        float64 (n,), NaN where the file has no score.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, holds no scores, is of other labels, or is not ``complete``; says how many.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in (*NAMES, LABELS) if name in archive}
            held = ", ".join(archive.files)
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise ValueError(f"{path}: damaged or not an .npz file: {error}") from error
    name = next((name for name in NAMES if name in found and found[name].ndim == 1), None)
    if name is None:
        raise ValueError(f"{path}: holds no scores ({' or '.join(NAMES)}, one for each example); it holds {held}")
    score = score_files.matched(found, name, source_ids, ids=None, what=str(path))
    if labels is not None and LABELS in found:
        theirs = score_files.matched(found, LABELS, source_ids, ids=None, what=str(path))
        other = int((theirs != _arrays.integers(labels, "labels", "(n,)")).sum())
        if other:
            raise ValueError(f"{path}: {other} of {len(score)} labels are not those of this data set in this order")
    missing = int(np.isnan(score).sum())
    if complete and missing:
        raise ValueError(f"{path}: {missing} of {len(score)} examples have no score")
    return score
