"""One model's record in one file: JSON that describes named arrays, then the arrays, each with a checksum."""

import json
import os
import uuid
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmemorize._files import sync_folder
from unmemorize.errors import StoreError

MAGIC = b"unmemorize ensemble entry 1\n"
ALIGNMENT = 64  # bytes; arrays may be mapped and used in place
HEADER_LIMIT = 100_000_000  # bytes; a longer header is damage


def encode(arrays: dict[str, NDArray[Any]], record: dict[str, Any]) -> bytes:
    """The bytes of an entry file."""
    described, parts, offset = {}, [], 0
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        padding = -len(raw) % ALIGNMENT
        described[name] = {"dtype": array.dtype.newbyteorder("<").str, "shape": array.shape, "offset": offset,
                           "crc32": zlib.crc32(raw)}  # fmt: skip
        parts += [raw, bytes(padding)]
        offset += len(raw) + padding
    header = json.dumps({"record": record, "arrays": described, "bytes": offset}, sort_keys=True).encode()
    start = len(MAGIC) + 16
    header += b" " * (-(start + len(header)) % ALIGNMENT)
    lengths = len(header).to_bytes(8, "little") + zlib.crc32(header).to_bytes(8, "little")
    return b"".join([MAGIC, lengths, header, *parts])


def fingerprint(content: bytes) -> dict[str, Any]:
    """Of the bytes that `encode` gave; see `Entry.fingerprint`."""
    start = len(MAGIC) + 16
    length = int.from_bytes(content[len(MAGIC) : len(MAGIC) + 8], "little")
    described: dict[str, Any] = json.loads(content[start : start + length])["arrays"]
    return described


def publish(path: Path, content: bytes) -> bool:
    """Make `content` appear at `path`, whole and durable, if nothing is there yet; False: another writer was first.

    Raises:
        OSError: the disk is full, ...; nothing appears.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


@dataclass(frozen=True)
class Entry:
    """One model's record, read on demand; each array is checked against its checksum when it is read."""

    path: Path

    @property
    def id(self) -> str:
        """The name of the entry in its store."""
        return self.path.stem

    @cached_property
    def _described(self) -> tuple[dict[str, Any], int]:
        """The header and where the arrays begin."""
        start = len(MAGIC) + 16
        with self.path.open("rb") as file:
            head = file.read(start)
            if len(head) < start or not head.startswith(MAGIC):
                raise StoreError(f"{self.path}: damaged: not an ensemble entry")
            length, crc = (int.from_bytes(head[k : k + 8], "little") for k in (len(MAGIC), len(MAGIC) + 8))
            header = file.read(length) if length <= HEADER_LIMIT else b""
            size = file.seek(0, os.SEEK_END)
        if len(header) != length or zlib.crc32(header) != crc:
            raise StoreError(f"{self.path}: damaged: its header is torn or changed")
        content: dict[str, Any] = json.loads(header)
        if size != start + length + content["bytes"]:
            raise StoreError(f"{self.path}: damaged: expected {start + length + content['bytes']} bytes, got {size}")
        return content, start + length

    @property
    def record(self) -> dict[str, Any]:
        """Kind, hashes and metadata."""
        record: dict[str, Any] = self._described[0]["record"]
        return record

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Dtype, shape and checksum of each array: what the model said, whenever and wherever it was written."""
        described: dict[str, Any] = self._described[0]["arrays"]
        return described

    @property
    def names(self) -> list[str]:
        """The arrays that this entry holds."""
        return list(self._described[0]["arrays"])

    def array(self, name: str) -> NDArray[Any]:
        """An array of the entry, mapped from its file, read-only.

        Raises:
            KeyError: the entry holds no such array.
            StoreError: the bytes are not those that were written.
        """
        header, start = self._described
        if name not in header["arrays"]:
            raise KeyError(f"{self.path}: holds no {name}; it holds {', '.join(self.names)}")
        about = header["arrays"][name]
        shape = tuple(about["shape"])
        mapped: NDArray[Any] = np.memmap(self.path, about["dtype"], "r", start + about["offset"], shape) \
            if np.prod(shape, dtype=np.int64) else np.empty(shape, about["dtype"])  # fmt: skip
        if zlib.crc32(np.ascontiguousarray(mapped)) != about["crc32"]:
            raise StoreError(f"{self.path}: damaged: {name} has changed since it was written")
        return mapped.view(np.ndarray)

    def check(self) -> None:
        """Read everything.

        Raises:
            StoreError: something is damaged.
        """
        for name in self.names:
            self.array(name)
