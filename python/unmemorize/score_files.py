"""Scores as files: CSV, Parquet or .npz, one column a score, with the ids of the user's own data set."""

import csv
from collections.abc import Callable, Mapping
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize._files import write_durably

IDS = "source_id"
Columns = dict[str, NDArray[Any]]


def read(path: str | Path) -> Columns:
    """Every column of a file; its suffix tells what it is.

    Args:
        path: a .csv file in UTF-8 with a header, a .parquet file (needs pyarrow), or an .npz file of arrays (n,).

    Returns:
        Arrays (n,) by name: int64 where a CSV column is all whole numbers, float64 where it is numbers, else text.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown suffix, a damaged file, or columns of different lengths.
        ImportError: a Parquet file, and pyarrow is not installed.
    """
    path = Path(path)
    reader: Callable[[Path], Columns] = _known(path, _READERS)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    columns = reader(path)
    first = next(iter(columns), None)
    for name, values in columns.items():
        if values.ndim != 1 or len(values) != len(columns[first or name]):
            raise ValueError(
                f"{path}: column {name!r} has shape {values.shape}, {first!r} has {columns[first or name].shape}; "
                "expected one value a row"
            )
    return columns


def write(path: str | Path, columns: Mapping[str, ArrayLike]) -> Path:
    """Write columns of one length, whole or not at all; `read` gives them back, floating ones to the last bit.

    Raises:
        ValueError: an unknown suffix, or columns of different lengths.
        ImportError: a Parquet file, and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> path = write(Path(tempfile.mkdtemp()) / "scores.csv", {"source_id": [4, 7], "memorization": [0.1, 0.9]})
        >>> column(path, "memorization", [7, 5, 4])
        array([0.9, nan, 0.1])
    """
    path = Path(path)
    writer: Callable[[Columns], bytes] = _known(path, _WRITERS)
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    if len({values.shape for values in arrays.values()}) != 1 or next(iter(arrays.values())).ndim != 1:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
        raise ValueError(f"{path}: expected columns of one length, got {shapes or 'none'}")
    write_durably(path, writer(arrays))
    return path


def column(path: str | Path, name: str, source_ids: ArrayLike, *, ids: str | None = IDS) -> NDArray[np.float64]:
    """One score for each of `source_ids`, in their order.

    A file may hold more examples than that (those of another split) or fewer.

    Args:
        path: what `read` takes.
        name: the column.
        source_ids: int (n,), ids in the user's own data set: `Examples.source_ids`.
        ids: the column of ids; None: row i of the file is example i of the whole data set, as in published .npz files.

    Returns:
        float64 (n,), NaN where the file has no row for an example.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such column, not numbers, an id that occurs twice, or none of `source_ids` in the file.
        ImportError: a Parquet file, and pyarrow is not installed.
    """
    return matched(read(path), name, source_ids, ids=ids, what=str(path))


def matched(
    columns: Columns, name: str, source_ids: ArrayLike, *, ids: str | None = IDS, what: str = "columns"
) -> NDArray[np.float64]:
    """As `column`, of columns that were read already; `what` names them in messages."""
    for needed in (name, ids):
        if needed is not None and needed not in columns:
            raise ValueError(f"{what}: no column {needed!r}; it has {', '.join(columns)}")
    values = columns[name]
    if not np.issubdtype(values.dtype, np.number) and values.dtype != np.bool_:
        raise ValueError(f"{what}: column {name!r}: expected numbers, got {values.dtype}, the first {values[0]!r}")
    own = np.arange(len(values)) if ids is None else _whole(columns[ids], f"{what}: column {ids!r}")
    order = np.argsort(own, kind="stable")
    twice = int((np.diff(own[order]) == 0).sum())
    if twice:
        raise ValueError(f"{what}: {twice} examples occur more than once; keep one row of each")
    wanted = np.asarray(source_ids)
    place = np.searchsorted(own[order], wanted).clip(max=max(len(own) - 1, 0))
    found = own[order][place] == wanted if len(own) else np.zeros(len(wanted), dtype=np.bool_)
    if not found.any():
        raise ValueError(f"{what}: none of its {len(own)} examples is among the {len(wanted)} asked for")
    return np.where(found, values[order][place].astype(np.float64), np.nan)


def text_columns(path: Path) -> dict[str, list[str]]:
    """A CSV file with a header, by column, as it is written.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no header, or a line of another length.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8: {error}") from None
    if not lines:
        raise ValueError(f"{path}: empty; expected a header and one line for each example")
    for number, line in enumerate(lines, 1):
        if len(line) != len(lines[0]):
            raise ValueError(f"{path}: line {number} has {len(line)} fields, the header has {len(lines[0])}")
    names = [name.strip() for name in lines[0]]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: the header names a column twice: {', '.join(names)}")
    return {name: [line[k].strip() for line in lines[1:]] for k, name in enumerate(names)}


def _read_csv(path: Path) -> Columns:
    return {name: _parsed(texts) for name, texts in text_columns(path).items()}


def _parsed(texts: list[str]) -> NDArray[Any]:
    for kind in (np.int64, np.float64):
        try:
            return np.array(texts).astype(kind)
        except (ValueError, OverflowError):
            continue
    return np.array(texts)


def _read_npz(path: Path) -> Columns:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # zipfile, zlib and NumPy each have their own for a damaged file
        raise ValueError(f"{path}: damaged or not an .npz file: {error}") from error


def _read_parquet(path: Path) -> Columns:
    parquet, _ = _pyarrow()
    try:
        table = parquet.read_table(path)
        return {name: table[name].to_numpy() for name in table.column_names}
    except Exception as error:  # of pyarrow's own, of the system, of names that are no text
        raise ValueError(f"{path}: damaged or not a Parquet file: {error}") from error


def _csv(columns: Columns) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return text.getvalue().encode()


def _npz(columns: Columns) -> bytes:
    content = BytesIO()
    np.savez_compressed(content, **columns)  # type: ignore[arg-type]
    return content.getvalue()


def _parquet(columns: Columns) -> bytes:
    parquet, arrow = _pyarrow()
    content = BytesIO()
    parquet.write_table(arrow.table(dict(columns)), content)
    return content.getvalue()


_READERS: dict[str, Callable[[Path], Columns]] = {".csv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
_WRITERS: dict[str, Callable[[Columns], bytes]] = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}


def _known(path: Path, by_suffix: Mapping[str, Any]) -> Any:
    if path.suffix not in by_suffix:
        raise ValueError(f"{path}: expected a file in {', '.join(by_suffix)}, got {path.suffix or 'no suffix'!r}")
    return by_suffix[path.suffix]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ImportError('Parquet files need pyarrow: pip install "unmemorize[cli]"') from error
    return parquet, pyarrow


def _whole(values: NDArray[Any], what: str) -> NDArray[np.int64]:
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{what}: expected whole numbers, got {values.dtype}")
    return values.astype(np.int64)
