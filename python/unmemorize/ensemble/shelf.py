"""The files of a store: which entries lie where, and which of them are whole."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unmemorize._files import UNFINISHED, sync_folder
from unmemorize.ensemble import pack
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
        for place in (*self._single(), *self._packed()):
            try:
                if isinstance(place, Damage):
                    raise StoreError(place.problem)
                entry = self._known.get(place) or Entry.open(place)
                entry.header.expect("entry", **self.header.to_dict())
            except FileNotFoundError:  # deleted since it was listed
                continue
            except ValueError as error:
                damaged[place.name] = str(error).removeprefix(f"{place}: ")
            else:
                self._known[place] = entry
                whole.setdefault(entry.id, entry)  # one model may lie in several files
        return sorted(whole.values(), key=lambda entry: entry.order), damaged

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

    def unfinished(self) -> list[str]:
        """Files that a killed writer left behind."""
        found = (path.name for name in (ENTRIES, PACKS) for path in (self.path / name).glob(f".*{UNFINISHED}"))
        return sorted(found)

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
