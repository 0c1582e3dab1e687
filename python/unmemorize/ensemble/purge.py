"""What a store was rid of: the training examples that no model in it may have been trained on.

A record is written before anything is deleted. From then on readers pass over every model that was trained on one of
its examples and writers refuse one, so that a purge that is killed has taken effect, and the next one ends its work.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmemorize._files import write_durably
from unmemorize.ensemble.header import seal, unseal
from unmemorize.errors import StoreError

FORMAT = "unmemorize.Ensemble.purge/1"
FOLDER = "purged"

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Purge:
    """What `Ensemble.purge` removes, or would.

    Attributes:
        ids: Training rows that are forgotten.
        dropped: ``id``, ``key``, ``kind`` and ``meta`` of each model that was trained on one of them. Those that came
            from ``unmemorize ensemble train`` are trained again by it, without these examples: what the store does not
            hold is what it trains.
        kept: How many models were trained on none of them.
        files: Damaged entries and leftovers of killed writers, which may hold anything, by name.
    """

    ids: tuple[int, ...]
    dropped: tuple[dict[str, Any], ...]
    kept: int
    files: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write the record, durably; the first of the same examples stands."""
        name = hashlib.sha256(np.array(self.ids, "<i8").tobytes()).hexdigest()[:32]
        path = folder / f"{name}.json"
        if not path.exists():
            write_durably(path, seal({"format": FORMAT, "ids": list(self.ids), "dropped": list(self.dropped)}))


def purged(store: Path, n: int) -> NDArray[np.bool_]:
    """Which of ``n`` training examples the store in this folder was rid of.

    Raises:
        StoreError: A record is damaged: it cannot be known what may be read.
    """
    gone = np.zeros(n, dtype=np.bool_)
    for path in (store / FOLDER).glob("[!.]*.json"):
        gone[ids_of(path, n)] = True
    return gone


def ids_of(path: Path, n: int) -> Ids:
    """The training rows that a record names.

    Raises:
        StoreError: It is damaged.
    """
    try:
        ids = np.array(unseal(path.read_bytes(), FORMAT)["ids"], dtype=np.int64)
        if ids.size and not (ids.min() >= 0 and ids.max() < n):
            raise ValueError(f"ids out of range for {n} examples")
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StoreError(f"{path}: damaged: {error!r}") from error
    return ids
