"""The store: who was trained on what, and what each model said."""

import uuid
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays
from unmemorize._files import UNFINISHED, sync_folder, write_durably
from unmemorize.ensemble import record
from unmemorize.ensemble.design import strayed
from unmemorize.ensemble.entry import Entry, Model, encode, pack_events
from unmemorize.ensemble.header import Header
from unmemorize.ensemble.purge import Purge
from unmemorize.ensemble.shelf import ENTRIES, Shelf
from unmemorize.events import LearningEvents

KINDS = ("reference", "unlearned", "oracle")

_KEYS = uuid.UUID("6f1c2b0e-8a43-5f0e-9d7b-0a1f6c1d52e3")  # the namespace of keys: one key, one file name, everywhere
_HASHES = ("data_hash", "recipe_hash")


@dataclass(frozen=True)
class Verified:
    """What `Store.verify` found.

    Attributes:
        whole: Ids of the entries that are what was written, in order.
        damaged: What is wrong with each of the others, by its file name.
        unfinished: Files that a killed writer left behind; they were never acknowledged and may be deleted.
        strayed: What is wrong with each entry, by its id, that was not trained on what its design says.
    """

    whole: tuple[str, ...]
    damaged: dict[str, str]
    unfinished: tuple[str, ...]
    strayed: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether no entry is damaged or strayed."""
        return not (self.damaged or self.strayed)


class Store:
    """An append-only folder with one entry a model. Make one with `create`, open it with `open`.

    Any number of processes and hosts may append at once: each entry is a file of its own, which appears whole or not
    at all and is durable when `append` returns. A damaged entry is named in a warning and left out. The order of the
    models follows from their keys, seeds and contents, so every score has the same bits whatever the order of
    appending. Reading writes nothing.

    Attributes:
        path: The folder.
        header: Sizes and hashes, the same for all entries.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self._shelf = Shelf(path, header)

    @classmethod
    def create(
        cls,
        path: str | Path,
        n_train: int,
        n_test: int,
        *,
        data_hash: str | None = None,
        recipe_hash: str | None = None,
    ) -> Self:
        """Make an empty store; one that is there already with the same sizes and hashes is opened.

        Args:
            path: A new or empty folder.
            n_train: Training examples (n), at least 1.
            n_test: Test examples (m).
            data_hash: Of the data set, its order included.
            recipe_hash: Of the training recipe.

        Raises:
            FileExistsError: The folder holds something else.
            ValueError: A size is out of range, or a store of other data or another recipe is there.
        """
        path, header = Path(path), Header(index(n_train), index(n_test), data_hash, recipe_hash)
        if Header.file(path).exists():
            Header.load(path).expect(str(path), **header.to_dict())
        elif path.exists() and any(file.name != ENTRIES and file.suffix != UNFINISHED for file in path.iterdir()):
            raise FileExistsError(f"{path}: holds files but no ensemble; name an empty or a new folder")
        else:
            (path / ENTRIES).mkdir(parents=True, exist_ok=True)
            header.save(path)
            sync_folder(path.parent)
        return cls(path, header)

    @classmethod
    def open(cls, path: str | Path, *, data_hash: str | None = None, recipe_hash: str | None = None) -> Self:
        """Open a store.

        Args:
            path: Its folder, which may be read-only.
            data_hash: If given, the store must be of this data set.
            recipe_hash: If given, the store must be of this recipe.

        Raises:
            FileNotFoundError: There is no store.
            StoreError: Its header is damaged.
            ValueError: It is of other data or another recipe.
        """
        header = Header.load(Path(path))
        given = {"data_hash": data_hash, "recipe_hash": recipe_hash}
        header.expect(str(path), **{name: value for name, value in given.items() if value is not None})
        return cls(Path(path), header)

    def append(
        self,
        member: ArrayLike,
        correct: ArrayLike,
        test_correct: ArrayLike,
        *,
        phi: ArrayLike | None = None,
        test_phi: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        events: LearningEvents | None = None,
        kind: str = "reference",
        forget_hash: str | None = None,
        meta: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        """Add what one model was trained on and what it says; durable when this returns.

        Args:
            member: bool (n,), what the model was trained on.
            correct: bool (n,), which training examples it gets right.
            test_correct: bool (m,), which test examples it gets right.
            phi: floating (n,), log-odds of the true label; rounded to float16, beyond its +-65504 to that.
            test_phi: floating (m,), the same of the test examples.
            probs: floating (n, C), softmax; rounded to float16, 2 n C bytes.
            events: Learning events of this training run.
            kind: ``reference``, ``unlearned`` or ``oracle``.
            forget_hash: Hash of the forget set of an unlearned model or an oracle.
            meta: What fits in JSON. A whole number ``seed`` orders the models; a ``data_hash`` or ``recipe_hash`` must
                be the store's.
            key: A name of the caller's choice: a model that is appended again under its key counts once, and takes
                the place of a damaged entry.

        Returns:
            The id of the entry.

        Raises:
            TypeError: A dtype is wrong, or ``meta`` is not JSON.
            ValueError: A shape or value is wrong, the model is of other data or was trained on purged examples, or the
                key is another model's.
            OSError: The disk is full, ...; the store is as it was.
        """
        n, m = self.header.n_train, self.header.n_test
        _check_kind(kind)
        if events is not None and len(events.seen) != n:
            raise ValueError(f"events: expected {n} examples to match this store, got {len(events.seen)}")
        model = Model(header=self.header, kind=kind, key=key, forget_hash=forget_hash, meta=dict(meta or {}))
        self.header.expect(
            f"{self.path} (against meta)",
            **{name: value for name, value in model.meta.items() if name in _HASHES and getattr(self.header, name)},
        )
        arrays: dict[str, NDArray[Any] | None] = {
            "member": record.bits(member, "member", n),
            "correct": record.bits(correct, "correct", n),
            "test_correct": record.bits(test_correct, "test_correct", m),
            "phi": None if phi is None else record.log_odds(phi, "phi", n),
            "test_phi": None if test_phi is None else record.log_odds(test_phi, "test_phi", m),
            "probs": None if probs is None else record.softmax(probs, n),
            "events": None if events is None else pack_events(events),
        }
        return self._publish(model, {name: values for name, values in arrays.items() if values is not None})

    def _publish(self, model: Model, arrays: Mapping[str, NDArray[Any]]) -> str:
        name = str(uuid.uuid4() if model.key is None else uuid.uuid5(_KEYS, model.key))
        gone = self.purged & np.unpackbits(arrays["member"], count=self.header.n_train, bitorder="little").view(
            np.bool_
        )
        if gone.any():
            raise ValueError(
                f"member: {gone.sum()} of its examples were purged from {self.path}, the first is {gone.argmax()}; "
                "train without them"
            )
        if model.key is None or not self._shelf.holds(name, model, arrays["member"]):
            write_durably(self._shelf.file(name), encode(model, arrays))
        return name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __len__(self) -> int:
        """How many whole entries there are, of all kinds."""
        return len(self.entries())

    def __iter__(self) -> Iterator[Entry]:
        """The whole entries, of all kinds, in order."""
        return iter(self.entries())

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The whole entries of a kind, or of all, in order; each damaged one is named in a warning and left out.

        Every byte of an entry is checked when it is first met; the arrays are read when asked for. Memory O(T).
        """
        if kind is not None:
            _check_kind(kind)
        whole, damaged = self._shelf.read()
        for name, problem in damaged.items():
            warnings.warn(f"{self.path}: {name}: {problem}; it is left out", stacklevel=3)
        return [entry for entry in whole if kind in (None, entry.kind)]

    def verify(self, *, designs: bool = False) -> Verified:
        """Check every byte of every entry anew and report on each.

        Args:
            designs: Draw the designs that the entries name in ``meta`` (see `Design.meta`) anew, and compare. Time
                O(T n log n), memory O(n).
        """
        whole, damaged = self._shelf.read(anew=True)
        unfinished = tuple(path.name for path in self._shelf.unfinished())
        stray = strayed(whole, self.purged) if designs else {}
        return Verified(tuple(entry.id for entry in whole), damaged, unfinished, stray)

    def describe(self) -> dict[str, Any]:
        """Sizes, hashes, entries of each kind, how many hold what, bytes, damaged entries; fits in JSON."""
        whole, damaged = self._shelf.read()
        return {
            "path": str(self.path),
            **self.header.to_dict(),
            **{kind: sum(entry.kind == kind for entry in whole) for kind in KINDS},
            **{name: sum(name in entry.arrays for entry in whole) for name in ("phi", "test_phi", "probs", "events")},
            "bytes": sum(entry.place.size for entry in whole),
            "purged": int(self.purged.sum()),
            "damaged": damaged,
        }

    @property
    def purged(self) -> NDArray[np.bool_]:
        """Bool (n,): the examples that `purge` rid the store of. No model in it was trained on one of them."""
        return self._shelf.purged()

    def purge(self, ids: ArrayLike, *, dry_run: bool = False) -> Purge:
        """Drop every model that was trained on one of these examples, and never take one again.

        Damaged entries, which may hold anything, and what killed writers left are dropped too. It takes effect at once
        for all readers; killed, it ends its work when it is called again, with any ids. Files are deleted, not
        overwritten: what a disk or a backup keeps of them is beyond this. What the other models say of these examples
        stays: they never saw them.

        Args:
            ids: Training rows, each once.
            dry_run: Say what would be dropped, and change nothing.

        Returns:
            What was dropped, with what is needed to train it again without these examples.

        Raises:
            IndexError: An id is out of range.
            ValueError: An id occurs twice.
        """
        rows = np.sort(_arrays.distinct(ids, "ids", self.header.n_train))
        return self._shelf.purge(rows, dry_run=dry_run)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind: no kind {kind!r}; known are {', '.join(KINDS)}")
