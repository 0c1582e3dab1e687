"""The files that people hand to the commands: ids, scores, checkpoints."""

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from torch import nn

from unmemorize import models, score_files, train
from unmemorize.data import Data
from unmemorize.forget_set import ForgetSet, twins, with_twins


def read_source_ids(path: Path) -> np.ndarray:
    """Indices in the user's own data set: one a line, or the column `source_id` (else the first) of a CSV file."""
    columns = score_files.text_columns(path)
    first = next(iter(columns))
    texts = columns.get("source_id", columns[first])
    if "source_id" not in columns and _whole(first):  # no header: the first line is an id too
        texts = [first, *texts]
    for text in texts:
        if not _whole(text):
            raise ValueError(f"{path}: expected whole numbers, got {text!r}")
    return np.array([int(text) for text in texts], dtype=np.int64)


def rows_of(source_ids: np.ndarray, of: Data) -> np.ndarray:
    """Training rows of indices in the user's own data set.

    Raises:
        IndexError: an index is not in the training split.
    """
    order = np.argsort(of.train.source_ids, kind="stable")
    place = np.searchsorted(of.train.source_ids[order], source_ids).clip(max=len(order) - 1)
    rows = order[place]
    missing = source_ids[of.train.source_ids[rows] != source_ids]
    if len(missing):
        raise IndexError(
            f"ids: {len(missing)} of {len(source_ids)} are not in the training split of {len(of.train)} examples "
            f"of {of.name!r}, the first is {missing[0]}"
        )
    return np.asarray(rows, dtype=np.int64)


def name_twins(requests: list[ForgetSet], of: Data, add: bool) -> tuple[list[ForgetSet], list[str]]:
    """The requests, with the twins of their images if they are to be added, and what there is to say of twins."""
    notes, taken = [], {row for one in requests for row in one.ids.tolist()}
    images, labels = of.train.images, of.train.labels
    for k, one in enumerate(requests):
        found = {row: [twin for twin in rows if twin not in taken] for row, rows in twins(one, images).items()}
        pairs = [(row, twin) for row, rows in found.items() for twin in rows]
        if pairs:
            named = ", ".join(f"{of.train.source_ids[row]} = {of.train.source_ids[twin]}" for row, twin in pairs[:10])
            what = (
                "were added"
                if add
                else "stay in the training set, so these images are not forgotten; --with-twins adds"
            )
            notes.append(f"{len(pairs)} identical twins of images to forget {what} (source ids {named}"
                         f"{', ...' if len(pairs) > 10 else ''})")  # fmt: skip
        if add:
            requests[k] = with_twins(one, images, labels, but=taken)
            taken |= {twin for _, twin in pairs}
    return requests, notes


def read_model(path: Path, of: Data, name: str | None) -> tuple[nn.Module, dict[str, str]]:
    """The network of a checkpoint and what the checkpoint says of itself.

    Raises:
        ValueError: the checkpoint names no network and neither does the user, or it was trained on other data.
    """
    state, origin = train.load_checkpoint(path)
    name = name or origin.get("model")
    if not name:
        raise ValueError(f"{path}: does not name its network; give it with --model")
    if origin.get("data_hash", of.hash) != of.hash:
        raise ValueError(
            f"{path}: trained on data with hash {origin['data_hash'][:12]}, but {of.name!r} as loaded here has hash "
            f"{of.hash[:12]}; give the same --data, --noise and --data-seed"
        )
    model = _own(name) if ":" in name else models.build(name, of)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: does not fit network {name!r}: {error}") from None
    return model, origin


def _own(name: str) -> nn.Module:
    """The network that the user's own "module:function" returns."""
    module, _, function = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        model = getattr(import_module(module), function)()
    except Exception as error:  # whatever the user's own code raises
        raise ValueError(f"--model {name}: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"--model {name}: expected an nn.Module, got {type(model).__name__}")
    return model


def _whole(text: str) -> bool:
    """A whole number that fits 64 bits, written in plain digits."""
    return re.fullmatch(r"-?[0-9]{1,18}", text) is not None
