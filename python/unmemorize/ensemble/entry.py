"""One entry of a store: what one model was trained on and what it says, in one file, or in a piece of a packed one.

The file is a valid safetensors file. Its last array, ``digest``, is the BLAKE2b hash of every byte before it, so a file
that was cut short or altered anywhere is known for what it is.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from unmemorize.ensemble.header import Header
from unmemorize.errors import StoreError
from unmemorize.events import LearningEvents

FORMAT = "unmemorize.Ensemble.entry/1"
SUFFIX = ".safetensors"

ArrayPlace = tuple[np.dtype[Any], tuple[int, ...], int]  # type, shape, and first byte within the entry

_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("u1"), "F16": np.dtype("<f2")}
_DIGEST = 16  # bytes
_PIECE = 1 << 20  # bytes read at a time
_SAID = ("kind", "key", "forget_hash", "meta")


@dataclass(frozen=True)
class Place:
    """Where the bytes of an entry are: a file of its own, or a piece of a packed one.

    Attributes:
        path: The file.
        id: Of the entry.
        first: Its first byte.
        size: How many.
        stamp: Tells a file from one that took its place.
    """

    path: Path
    id: str
    first: int
    size: int
    stamp: tuple[int, int] = (0, 0)

    @classmethod
    def file(cls, path: Path) -> Self:
        """All of ``path``.

        Raises:
            FileNotFoundError: There is no such file.
        """
        found = path.stat()
        stamp = (found.st_ino, found.st_mtime_ns)
        return cls(path, path.name.removesuffix(SUFFIX), 0, found.st_size, stamp)

    def read(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        """The first ``size`` bytes of it from its open file, a piece at a time."""
        file.seek(self.first)
        for start in range(0, size, _PIECE):
            yield file.read(min(_PIECE, size - start))

    @property
    def name(self) -> str:
        """The name of the file, and of the piece of it."""
        return self.path.name if self.path.suffix == SUFFIX else f"{self.path.name}: {self.id}"

    def __str__(self) -> str:
        return str(self.path.with_name(self.name))


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What is said of a model besides the arrays.

    Attributes:
        header: Data set and recipe.
        kind: ``reference``, ``unlearned`` or ``oracle``.
        key: The name under which it was appended, or None.
        forget_hash: Hash of the forget set of an unlearned model or an oracle, or None.
        meta: Whatever else fits in JSON.
    """

    header: Header
    kind: str = "reference"
    key: str | None = None
    forget_hash: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text, the same for the same contents."""
        return json.dumps({**self.header.to_dict(), **{name: getattr(self, name) for name in _SAID}}, sort_keys=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry(Model):
    """A model of a store. Every byte of it was checked when it was opened; arrays are read when asked for.

    Attributes:
        place: Where its bytes are.
        digest: Hash of the contents, in hexadecimal digits.
        arrays: Type, shape and first byte of each array.
    """

    place: Place
    digest: str
    arrays: dict[str, ArrayPlace] = field(repr=False)

    @classmethod
    def open(cls, place: Place) -> Self:
        """Check every byte at ``place`` and read what it says of the model. Memory O(1).

        Raises:
            StoreError: It is damaged, cut short or something else.
            FileNotFoundError: There is no such file.
        """
        digest = hashlib.blake2b(digest_size=_DIGEST)
        held = place.size - _DIGEST
        with place.path.open("rb") as file:
            for piece in place.read(file, held):
                digest.update(piece)
            if file.read(_DIGEST) != digest.digest():
                raise StoreError(
                    f"{place}: damaged: cut short or altered, its {place.size} bytes do not match their checksum"
                )
            file.seek(place.first)
            try:
                length = int.from_bytes(file.read(8), "little")
                if length > place.size:
                    raise ValueError(f"a header of {length} bytes")
                said = _parse(file.read(length), 8 + length, place.size)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
                raise StoreError(f"{place}: not an entry of an ensemble: {error!r}") from error
        return cls(place=place, digest=digest.hexdigest(), **said)

    @property
    def id(self) -> str:
        """Its name in the store."""
        return self.place.id

    def content(self) -> Iterator[bytes]:
        """Its bytes, a piece at a time. Memory O(1).

        Raises:
            StoreError: They are not those that were checked when it was opened.
        """
        digest = hashlib.blake2b(digest_size=_DIGEST)
        with self.place.path.open("rb") as file:
            for piece in self.place.read(file, self.place.size - _DIGEST):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != self.digest:
            raise StoreError(f"{self.place}: damaged since it was opened")
        yield digest.digest()

    @property
    def order(self) -> tuple[str, int, str]:
        """Where it stands: by key, then seed, then contents; never by when or where it was appended."""
        seed = self.meta.get("seed")
        return self.key or "", seed if isinstance(seed, int) else -1, self.digest

    def array(self, name: str) -> NDArray[Any]:
        """An array as it is stored; bits are packed, eight to a byte, the first in the lowest. Memory: the array's.

        Raises:
            KeyError: The entry holds no such array.
            StoreError: The file was cut short since it was opened.
        """
        if name not in self.arrays:
            raise KeyError(f"{self.place}: holds no {name}; it holds {', '.join(sorted(self.arrays))}")
        dtype, shape, first = self.arrays[name]
        with self.place.path.open("rb") as file:
            file.seek(self.place.first + first)
            values = np.fromfile(file, dtype, math.prod(shape))
        if values.size != math.prod(shape):
            raise StoreError(f"{self.place}: damaged: cut short within {name}")
        return values.reshape(shape)

    def _bits(self, name: str, n: int) -> NDArray[np.bool_]:
        return np.unpackbits(self.array(name), count=n, bitorder="little").view(np.bool_)

    @property
    def member(self) -> NDArray[np.bool_]:
        """Bool (n,): which examples the model was trained on."""
        return self._bits("member", self.header.n_train)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Bool (n,): which training examples it gets right."""
        return self._bits("correct", self.header.n_train)

    @property
    def test_correct(self) -> NDArray[np.bool_]:
        """Bool (m,): which test examples it gets right."""
        return self._bits("test_correct", self.header.n_test)

    @property
    def phi(self) -> NDArray[np.float16] | None:
        """float16 (n,): log-odds of the true label, or None."""
        return self.array("phi") if "phi" in self.arrays else None

    @property
    def test_phi(self) -> NDArray[np.float16] | None:
        """float16 (m,): log-odds of the true label, or None."""
        return self.array("test_phi") if "test_phi" in self.arrays else None

    @property
    def probs(self) -> NDArray[np.float16] | None:
        """float16 (n, C): softmax, or None."""
        return self.array("probs") if "probs" in self.arrays else None

    @property
    def events(self) -> LearningEvents | None:
        """The learning events of the training run, or None."""
        if "events" not in self.arrays:
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.safetensors"
            self.array("events").tofile(path)
            return LearningEvents.load(path)


def pack_events(events: LearningEvents) -> NDArray[np.uint8]:
    """Learning events as the bytes of the file that they save."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.safetensors"
        events.save(path)
        return np.fromfile(path, np.uint8)


def encode(model: Model, arrays: Mapping[str, NDArray[Any]]) -> Iterator[bytes | memoryview]:
    """The pieces of the file, none of them copied.

    Args:
        model: What is said of the model.
        arrays: uint8 or float16, by name.
    """
    names = {dtype: name for name, dtype in _DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "model": model.to_json()}}
    stored: list[bytes | memoryview] = []
    end = 0
    for name, values in sorted(arrays.items(), key=lambda item: -item[1].itemsize):  # the widest first: all aligned
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        header[name] = {"dtype": names[values.dtype], "shape": values.shape, "data_offsets": [end, end + values.nbytes]}
        stored.append(values.reshape(-1).view(np.uint8).data)
        end += values.nbytes
    header["digest"] = {"dtype": "U8", "shape": [_DIGEST], "data_offsets": [end, end + _DIGEST]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for piece in [len(text).to_bytes(8, "little"), text, *stored]:
        digest.update(piece)
        yield piece
    yield digest.digest()


def _parse(text: bytes, start: int, size: int) -> dict[str, Any]:
    """The fields of an `Entry` from the header of its file of ``size`` bytes, whose arrays begin at byte ``start``."""
    described = json.loads(text)
    metadata = described.pop("__metadata__")
    if metadata["format"] != FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}, expected {FORMAT!r}")
    said = json.loads(metadata["model"])
    if not (isinstance(said["key"], str | None) and isinstance(said["meta"], dict)):
        raise TypeError("its key is not text or its metadata not a table")
    header = Header.from_dict(said)
    arrays = {name: _place(name, at, start, size) for name, at in described.items()}
    n, m = header.n_train, header.n_test
    for name, type_name, rows, dimensions in (
        ("member", "U8", -(-n // 8), 1),
        ("correct", "U8", -(-n // 8), 1),
        ("test_correct", "U8", -(-m // 8), 1),
        ("phi", "F16", n, 1),
        ("test_phi", "F16", m, 1),
        ("probs", "F16", n, 2),
    ):
        if name in arrays or type_name == "U8":
            dtype, shape, _ = arrays[name]
            if dtype != _DTYPES[type_name] or len(shape) != dimensions or shape[0] != rows:
                raise ValueError(f"its array {name!r} is not {type_name} of {rows} rows")
    return {"header": header, "arrays": arrays, **{name: said[name] for name in _SAID}}


def _place(name: str, at: Mapping[str, Any], start: int, size: int) -> ArrayPlace:
    dtype, shape = _DTYPES[at["dtype"]], tuple(at["shape"])
    first, end = at["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, first, end)):
        raise TypeError(f"the shape or place of its array {name!r} is not in whole numbers")
    if not (first <= end <= size - start and end - first == math.prod(shape) * dtype.itemsize):
        raise ValueError(f"its array {name!r} does not fit")
    return dtype, shape, start + first
