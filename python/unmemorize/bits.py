"""Boolean matrices, one bit an element."""

from os import PathLike
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core


class BitMatrix:
    """A boolean matrix of one bit an element: one row a model, one column an example.

    Attributes:
        core: The compiled matrix.

    Example:
        >>> member = BitMatrix.pack(np.array([[True, False, True]]))
        >>> member.shape
        (1, 3)
        >>> member.unpack()
        array([[ True, False,  True]])
    """

    __slots__ = ("core",)

    def __init__(self, core: _core.BitMatrix) -> None:
        self.core = core

    @classmethod
    def pack(cls, values: ArrayLike | Self, *, n_threads: int | None = None, name: str = "values") -> Self:
        """Packs a boolean array or tensor (T, n); a BitMatrix is returned as it is.

        Args:
            values: bool (T, n).
            n_threads: Threads to use; None means all that the process may use.
            name: What error messages call ``values``.

        Raises:
            TypeError: If the values are not bool.
            ValueError: If they are not a matrix.
        """
        if isinstance(values, cls):
            return values
        return cls(_core.BitMatrix.pack(_arrays.bytes_bool(values, name), _arrays.threads(n_threads)))

    @classmethod
    def from_packed(cls, packed: NDArray[np.uint8], columns: int) -> Self:
        """From uint8 (T, ceil(columns / 8)), as ``np.packbits(values, axis=1, bitorder="little")`` gives it.

        Raises:
            ValueError: If the shape does not fit, or bits beyond the last column are set.
        """
        rows, dtype = _arrays.to_numpy(packed, "packed")
        if rows.ndim != 2 or dtype != "uint8":
            raise ValueError(f"packed: expected uint8 of shape (T, bytes), got {dtype} of shape {rows.shape}")
        return cls(_core.BitMatrix.from_packed(np.ascontiguousarray(rows), _arrays.count(columns, "columns", 0)))

    def packed(self) -> NDArray[np.uint8]:
        """The inverse of `from_packed`: uint8 (T, ceil(n / 8)), the first column in the lowest bit."""
        return self.core.packed()

    def unpack(self, *, n_threads: int | None = None) -> NDArray[np.bool_]:
        """The matrix as bool (T, n)."""
        return self.core.unpack(_arrays.threads(n_threads))

    def transpose(self, *, n_threads: int | None = None) -> Self:
        """The matrix with one row an example and one column a model, (n, T)."""
        return type(self)(self.core.transpose(_arrays.threads(n_threads)))

    def counts(self, *, n_threads: int | None = None) -> NDArray[np.int64]:
        """How many are True in each row: int64 (T,)."""
        return self.core.counts(_arrays.threads(n_threads))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (models) and columns (examples)."""
        return self.core.shape

    def save(self, path: str | PathLike[str]) -> None:
        """Writes a safetensors file: whole, or not at all."""
        self.core.save(path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            StoreError: If it is damaged, cut short or of another kind.
        """
        return cls(_core.BitMatrix.load(path))

    def __or__(self, other: Self) -> Self:
        """Where either matrix is True.

        Raises:
            ValueError: If the shapes differ.
        """
        if not isinstance(other, BitMatrix):
            return NotImplemented
        if self.shape != other.shape:
            raise ValueError(f"other: expected shape {self.shape}, got {other.shape}")
        return self.from_packed(self.packed() | other.packed(), self.shape[1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BitMatrix) and self.core == other.core

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"BitMatrix(shape={self.shape})"
