"""The store as something to carry: merged, packed into few files, cut to some models or some examples."""

import hashlib
import uuid
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from unmemorize import _arrays
from unmemorize._files import write_durably
from unmemorize.ensemble import pack
from unmemorize.ensemble.entry import Entry
from unmemorize.ensemble.shelf import PACKS
from unmemorize.ensemble.store import Store


class PortableStore(Store):
    """A store that can be copied, as a whole or in part. What it is copied from is left as it is.

    A copy that was killed goes on where it was if it is asked for again.
    """

    def merge(self, other: str | Path | Store) -> Self:
        """Copy the entries of another store that this one does not have.

        Models that were trained on examples that this one was rid of are left out, with a warning.

        Raises:
            ValueError: The other store is of other data, another recipe or other sizes, or has another model under a
                key of this one; then nothing is copied.
        """
        theirs = other if isinstance(other, Store) else Store.open(other)
        theirs.header.expect(str(theirs.path), **self.header.to_dict())
        for entry in self._lacking(theirs.entries()):
            write_durably(self._shelf.file(entry.id), entry.content())
        return self

    def _lacking(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those that are not here; all are checked before anything is copied."""
        gone = np.packbits(self.purged, bitorder="little")
        lacking = [entry for entry in entries if not self._shelf.holds(entry.id, entry, entry.array("member"))]
        clean = [entry for entry in lacking if not (entry.array("member") & gone).any()]
        if len(clean) < len(lacking):
            warnings.warn(
                f"{self.path}: {len(lacking) - len(clean)} models were trained on purged examples; they are left out",
                stacklevel=3,
            )
        return clean

    def _like(self, path: str | Path) -> Self:
        """A store of the same data, rid of the same examples."""
        store = type(self).create(path, **self.header.to_dict())
        store._shelf.purges_of(self._shelf)
        return store

    def pack(self, path: str | Path, *, size: int = 1 << 30) -> Self:
        """Copy the entries into few files, to carry elsewhere: a store like any other, with the same answers.

        Each file is a tar file: ``tar x`` unpacks it, and so does merging the packed store into an empty one.

        Args:
            path: A new or empty folder, or a store of the same sizes and hashes: then what it lacks is added.
            size: Bytes of a file, at most; an entry that is larger has a file for itself.

        Returns:
            The packed store.

        Raises:
            ValueError: As `merge`.
        """
        store = self._like(path)
        for group in pack.groups(store._lacking(self.entries()), _arrays.count(size, "size")):
            write_durably(store._shelf.folder(PACKS) / f"{uuid.uuid4()}{pack.SUFFIX}", pack.encode(group))
        return store

    def subset(
        self,
        path: str | Path,
        *,
        models: Iterable[str] | None = None,
        ids: ArrayLike | None = None,
        data_hash: str | None = None,
    ) -> Self:
        """Copy some of the models, or what they say of some of the training examples.

        Args:
            path: A new or empty folder, or a store of the subset's sizes and hashes: then what it lacks is added.
            models: Ids or keys of entries; None: all.
            ids: Rows of training examples (k,), each once: they become rows 0 to k - 1; None: all, as they are.
            data_hash: Of these examples in this order; None: one that follows from this store's and ``ids``.

        Returns:
            The new store. With ``ids``, entries without a key get their id for one, and lose the design and the hashes
            that their metadata name: those are of the whole set. Memory: one model.

        Raises:
            KeyError: A model is not here.
            IndexError: An id is out of range.
            ValueError: An id occurs twice, or as `merge`.
        """
        chosen = self.entries() if models is None else self._named(set(models))
        if ids is None:
            store = self._like(path)
            for entry in store._lacking(chosen):
                write_durably(store._shelf.file(entry.id), entry.content())
            return store
        rows = _arrays.distinct(ids, "ids", self.header.n_train)
        if data_hash is None and self.header.data_hash is not None:
            data_hash = hashlib.sha256(self.header.data_hash.encode() + rows.astype("<i8").tobytes()).hexdigest()
        store = type(self).create(
            path, len(rows), self.header.n_test, data_hash=data_hash, recipe_hash=self.header.recipe_hash
        )
        for entry in chosen:
            store.append(
                entry.member[rows],
                entry.correct[rows],
                entry.test_correct,
                phi=None if entry.phi is None else entry.phi[rows],
                test_phi=entry.test_phi,
                probs=None if entry.probs is None else entry.probs[rows],
                events=None if entry.events is None else entry.events.take(rows),
                kind=entry.kind,
                forget_hash=entry.forget_hash,
                meta={name: value for name, value in entry.meta.items() if name not in ("design", "data_hash")},
                key=entry.key or entry.id,
            )
        return store

    def _named(self, names: set[str]) -> list[Entry]:
        chosen = [entry for entry in self.entries() if names & {entry.id, entry.key}]
        missing = sorted(names - {name for entry in chosen for name in (entry.id, entry.key)})
        if missing:
            raise KeyError(
                f"models: {len(missing)} of {len(names)} are not in {self.path}, the first is {missing[0]!r}"
            )
        return chosen
