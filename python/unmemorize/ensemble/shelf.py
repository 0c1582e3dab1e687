"""The files of a store: which entries lie where, and which of them are whole."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unmemorize._files import UNFINISHED, sync_folder, write_durably
from unmemorize.ensemble import pack, purge
from unmemorize.ensemble.entry import SUFFIX, Entry, Model, Place
from unmemorize.ensemble.header import Header
from unmemorize.ensemble.pack import Damage
from unmemorize.errors import StoreError

ENTRIES, PACKS = "entries", "packs"  # folders: one file a model, and many models a file


class Shelf:
    """The files of the store in ``path``. Reading writes nothing."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = path, header
        self._known: dict[Place, Entry] = {}  # found whole since the store was opened
        self._packs: dict[Path, list[Place | Damage]] = {}  # their contents; a pack never changes
        self._asked: dict[bytes, dict[Place, bool]] = {}  # whether an entry was trained on purged examples

    def file(self, name: str) -> Path:
        """The file of its own that an entry has, if it is not packed."""
        return self.path / ENTRIES / f"{name}{SUFFIX}"

    def folder(self, name: str) -> Path:
        """A folder of the store, made if it is not there."""
        folder = self.path / name
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            sync_folder(self.path)
        return folder

    def read(self, *, anew: bool = False) -> tuple[list[Entry], dict[str, str]]:
        """The whole entries in order, and what is wrong with each of the others by its name.

        Every byte of an entry is checked when it is first met, or ``anew``.
        """
        if anew:
            self._known.clear()
            self._packs.clear()
        whole: dict[str, Entry] = {}
        damaged = {}
        gone = self.purged()
        for place, entry, problem in self._found():
            if entry is None or problem:
                damaged[place.name] = problem
            elif not self._touches(entry, gone):
                whole.setdefault(entry.id, entry)  # one model may lie in several files
        return sorted(whole.values(), key=lambda entry: entry.order), damaged

    def _found(self) -> Iterator[tuple[Place | Damage, Entry | None, str]]:
        """Every place, its entry if that is whole, and what is wrong with it if it is not one of this store."""
        for place in (*self._single(), *self._packed()):
            entry = None
            try:
                if isinstance(place, Damage):
                    raise StoreError(place.problem)
                entry = self._known.get(place) or Entry.open(place)
                entry.header.expect("entry", **self.header.to_dict())
            except FileNotFoundError:  # deleted since it was listed
                continue
            except ValueError as error:
                yield place, entry, str(error).removeprefix(f"{place}: ")
            else:
                self._known[place] = entry
                yield place, entry, ""

    def purged(self) -> NDArray[np.bool_]:
        """Bool (n,): the examples that the store was rid of."""
        return purge.purged(self.path, self.header.n_train)

    def purges_of(self, other: "Shelf") -> None:
        """Take over what another store of the same data was rid of."""
        for path in sorted((other.path / purge.FOLDER).glob("[!.]*.json")):
            write_durably(self.folder(purge.FOLDER) / path.name, path.read_bytes())

    def _touches(self, entry: Entry, gone: NDArray[np.bool_]) -> bool:
        """Whether a model was trained on one of these examples; asked once of each entry."""
        if not gone.any():
            return False
        packed = np.packbits(gone, bitorder="little")
        asked = self._asked.setdefault(packed.tobytes(), {})
        if entry.place not in asked:
            asked[entry.place] = bool((entry.array("member") & packed).any())
        return asked[entry.place]

    def purge(self, ids: purge.Ids, *, dry_run: bool) -> purge.Purge:
        """Drop every model that was trained on one of ``ids``; see `Store.purge`."""
        gone = self.purged()
        gone[ids] = True
        kept: dict[Path, list[Entry]] = defaultdict(list)
        dropped, touched, unknown = {}, set(), {}
        for place, entry, problem in self._found():
            if entry is not None and (problem or not self._touches(entry, gone)):  # of another store: not our business
                kept[place.path].append(entry)
                continue
            touched.add(place.path)
            if entry is None:
                unknown[place.name] = problem
            else:
                dropped[entry.id] = {name: getattr(entry, name) for name in ("id", "key", "kind", "meta")}
        leftovers = self.unfinished()
        names = (*unknown, *(path.name for path in leftovers))
        left = {entry.id for entries in kept.values() for entry in entries}
        found = purge.Purge(tuple(ids.tolist()), tuple(dropped.values()), len(left), names)
        if not dry_run:
            found.save(self.folder(purge.FOLDER))
            for path in touched:
                if kept[path]:
                    write_durably(path.with_name(f"{uuid.uuid4()}{pack.SUFFIX}"), pack.encode(kept[path]))
            for path in (*touched, *leftovers):
                path.unlink(missing_ok=True)
            for folder in {path.parent for path in (*touched, *leftovers)}:
                sync_folder(folder)
        return found

    def holds(self, name: str, model: Model, member: NDArray[np.uint8]) -> bool:
        """Whether ``model`` is here under this name; a damaged entry does not count.

        Raises:
            ValueError: Another model is.
        """
        packed = [place for place in self._packed() if isinstance(place, Place) and place.id == name]
        for place in (*_places([self.file(name)]), *packed):
            try:
                there = Entry.open(place)
            except (FileNotFoundError, StoreError):
                continue
            same = (there.kind, there.forget_hash) == (model.kind, model.forget_hash)
            if not (same and np.array_equal(there.array("member"), member)):
                raise ValueError(
                    f"key: {there.key!r} is taken by another model in {self.path}; give each model its own"
                )
            return True
        return False

    def unfinished(self) -> list[Path]:
        """Files that a killed writer left behind."""
        return sorted(path for name in (ENTRIES, PACKS) for path in (self.path / name).glob(f".*{UNFINISHED}"))

    def _single(self) -> Iterator[Place]:
        return _places(sorted((self.path / ENTRIES).glob(f"[!.]*{SUFFIX}")))

    def _packed(self) -> Iterator[Place | Damage]:
        for path in sorted((self.path / PACKS).glob(f"[!.]*{pack.SUFFIX}")):
            if path not in self._packs:
                with suppress(FileNotFoundError):
                    self._packs[path] = list(pack.places(path))
            yield from self._packs.get(path, ())


def _places(paths: Iterable[Path]) -> Iterator[Place]:
    """Those that are there: a file may be deleted after it was listed."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield Place.file(path)
