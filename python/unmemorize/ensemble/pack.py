"""Many entries in one file, to carry elsewhere: a tar file, from which ``tar x`` gives the entries' own files again.

Each header of a tar file holds its own checksum, and so does each entry: what is damaged is known, the rest is read.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unmemorize.ensemble.entry import SUFFIX as ENTRY_SUFFIX
from unmemorize.ensemble.entry import Entry, Place

SUFFIX = ".tar"

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 16  # bytes read at a time


@dataclass(frozen=True)
class Damage:
    """A piece of a pack that holds no entry."""

    path: Path
    first: int
    problem: str

    @property
    def name(self) -> str:
        """The name of the file, and of the piece of it."""
        return f"{self.path.name}, byte {self.first}"


def packed_size(entry: Entry) -> int:
    """Bytes that an entry takes in a pack."""
    return _BLOCK + entry.place.size + -entry.place.size % _BLOCK


def groups(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    """The entries in order, in groups of at most ``size`` bytes each; an entry that is larger is a group by itself."""
    group: list[Entry] = []
    held = 2 * _BLOCK  # the end of the file
    for entry in entries:
        if group and held + packed_size(entry) > size:
            yield group
            group, held = [], 2 * _BLOCK
        group.append(entry)
        held += packed_size(entry)
    if group:
        yield group


def encode(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The pieces of a pack, the same for the same entries. Memory O(1)."""
    for entry in entries:
        about = tarfile.TarInfo(entry.id + ENTRY_SUFFIX)
        about.size = entry.place.size
        yield about.tobuf(tarfile.GNU_FORMAT)
        yield from entry.content()
        yield bytes(-about.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def places(path: Path) -> Iterator[Place | Damage]:
    """Where the entries of a pack are, and what is wrong elsewhere. Only headers are read.

    After a damaged header the next whole one is looked for; what tar files hold besides is passed over.
    """
    size, first, lost = path.stat().st_size, 0, False
    with path.open("rb") as file:
        while first < size or not lost:
            file.seek(first)
            header = file.read(_BLOCK)
            if header and not any(header) and not any(map(any, iter(partial(file.read, _PIECE), b""))):
                return  # zeros to the end
            try:
                about = tarfile.TarInfo.frombuf(header, "ascii", "strict")
                if not 0 <= about.size <= size - first - _BLOCK:
                    raise ValueError(f"{about.size} bytes")
            except (tarfile.HeaderError, ValueError):
                if not lost:
                    yield Damage(path, first, f"damaged: cut short or altered, {size} bytes in all")
                lost, first = True, first + _BLOCK
            else:
                if re.fullmatch(rf"[\w-]+{re.escape(ENTRY_SUFFIX)}", about.name):  # no way out of the folder
                    yield Place(path, about.name.removesuffix(ENTRY_SUFFIX), first + _BLOCK, about.size)
                lost, first = False, first + _BLOCK + about.size + -about.size % _BLOCK
