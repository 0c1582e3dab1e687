"""Files that are there in full or not at all."""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".tmp"  # the suffix of what a killed writer leaves behind; readers pass it over


def write_durably(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write `content` to `path`: it survives a crash once this returns, and no reader ever sees a part of it.

    Args:
        path: the file; one that is there is replaced, at once and whole.
        content: its bytes, or pieces of them in order.

    Raises:
        OSError: the disk is full, the folder cannot be written, ...; what was at `path` before is untouched.
    """
    with durable_file(path) as file:
        for part in (content,) if isinstance(content, bytes) else content:
            file.write(part)


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at `path` when the block ends, as by `write_durably`; or never."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{UNFINISHED}")  # no two hosts draw the same name
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a failed write does not know of which file
            raise OSError(error.errno, f"{error.strerror}; not written", str(path)) from error
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename is only kept once its folder is synced."""
    if os.name == "nt":  # a folder cannot be opened there, and its entries are durable without
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
