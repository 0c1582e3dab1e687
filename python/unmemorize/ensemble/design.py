"""A design as a record: kept with every model, it gives the member bits again."""

import json
import zlib
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays
from unmemorize.ensemble.designs import DESIGNS, ROWS, Row
from unmemorize.ensemble.entry import Entry


@dataclass(frozen=True, eq=False)
class Design:
    """A design by its name and arguments.

    Args:
        name: One of `DESIGNS`.
        n: Training examples.
        models: Subsets (T).
        ratio: Share of the examples (of the candidates, for ``targeted``) in each subset; None: the design's own.
        seed: Of the draw; None: the design's own.
        ids: Candidates of ``targeted``, or the forget set of ``leave_out``.

    Example:
        >>> design = Design("balanced", 1000, 10)
        >>> member, meta = design.member(), design.meta(3)
        >>> again, row = Design.from_meta(meta)
        >>> bool((again.member()[row] == member[3]).all())
        True
    """

    name: str
    n: int
    models: int
    ratio: float | None = None
    seed: int | None = None
    ids: ArrayLike | None = None

    def __post_init__(self) -> None:
        if self.name not in DESIGNS:
            raise ValueError(f"design: no design {self.name!r}; known are {', '.join(DESIGNS)}")

    @property
    def _options(self) -> dict[str, Any]:
        options = {"ratio": self.ratio, "seed": self.seed, "ids": self.ids}
        return {name: value for name, value in options.items() if value is not None}

    def member(self) -> NDArray[np.bool_]:
        """Bool (T, n), True: in the subset. Memory O(T n)."""
        return DESIGNS[self.name](self.n, self.models, **self._options)

    def rows(self) -> Iterator[Row]:
        """The rows of `member` in order, one at a time. Memory O(n)."""
        return ROWS[self.name](self.n, self.models, **self._options)

    def meta(self, row: int) -> dict[str, Any]:
        """What to give `Ensemble.append` as (a part of) ``meta`` for the model of this row."""
        if not 0 <= row < self.models:
            raise IndexError(f"row: {row} is out of range for a design of {self.models} models")
        said = {"name": self.name, "n": self.n, "models": self.models, **self._options, "row": row}
        if self.ids is not None:
            said["ids"] = _squeeze(_arrays.integers(self.ids, "ids", "(k,)"), self.n)
        return {"design": said}

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> tuple[Self, int]:
        """The design and the row that an entry's ``meta`` names.

        Raises:
            ValueError: It names none, or what it names is no design.
        """
        try:
            said = dict(meta["design"])
            row = said.pop("row")
            if "ids" in said:
                said["ids"] = _expand(said["ids"], said["n"])
            return cls(**said), row
        except (LookupError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(f"no design: {error}") from error


def strayed(entries: Iterable[Entry], purged: NDArray[np.bool_]) -> dict[str, str]:
    """What is wrong with each entry, by its id, that was not trained on what the design that it names says.

    Args:
        entries: Of one store. Those that name no design are passed over.
        purged: bool (n,), examples that the store was rid of: a model that was trained again does without them.

    Returns:
        A sentence for each stray. Every row of a design is drawn once; memory O(n) beside the entries.
    """
    found, groups = {}, defaultdict(list)
    for entry in entries:
        if "design" in entry.meta:
            try:
                design, row = Design.from_meta(entry.meta)
                if (design.n, type(row)) != (len(purged), int) or not 0 <= row < design.models:
                    raise ValueError(f"row {row} of a design of {design.n} examples and {design.models} models")
            except ValueError as error:
                found[entry.id] = str(error)
            else:
                groups[json.dumps(design.meta(0), sort_keys=True)].append((row, design, entry))
    for group in groups.values():
        wanted = defaultdict(list)
        for row, _, entry in group:
            wanted[row].append(entry)
        for row, member in zip(range(max(wanted) + 1), group[0][1].rows(), strict=False):
            packed = np.packbits(member & ~purged, bitorder="little")
            for entry in wanted[row]:
                if not np.array_equal(entry.array("member"), packed):
                    found[entry.id] = f"is not row {row} of the design that it names"
    return found


def _squeeze(ids: NDArray[np.int64], n: int) -> str:
    """A set of ids as text: n bits, deflated, in base 64."""
    bits = np.zeros(n, dtype=np.bool_)
    bits[ids] = True
    return b64encode(zlib.compress(np.packbits(bits, bitorder="little").tobytes())).decode("ascii")


def _expand(text: str, n: int) -> NDArray[np.int64]:
    """The inverse of `_squeeze`; never more than n bits, whatever it is given."""
    packed = zlib.decompressobj().decompress(b64decode(text, validate=True), -(-n // 8))
    if len(packed) != -(-n // 8):
        raise ValueError(f"ids: {len(packed)} bytes of bits for {n} examples")
    return np.flatnonzero(np.unpackbits(np.frombuffer(packed, np.uint8), count=n, bitorder="little"))
