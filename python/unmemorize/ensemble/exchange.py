"""Stores as files of other tools: NumPy's .npz, Parquet, Arrow; and the .npz of matrices that others publish."""

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from unmemorize._files import durable_file
from unmemorize.ensemble.entry import Entry
from unmemorize.ensemble.queries import Ensemble

PUBLISHED = {"trainset_mask": "member", "trainset_correctness": "correct", "testset_correctness": "test_correct"}
"""What the code published by Feldman & Zhang calls the matrices, and what they are called here."""

_BITS = ("member", "correct", "test_correct")
_REALS = ("phi", "test_phi", "probs")

Row = tuple[dict[str, Any], dict[str, Any]]  # what is said of a model, and its arrays


def export_models(store: Ensemble, path: str | Path) -> Path:
    """Write the whole entries of a store to one file, whole or not at all. Memory: one model.

    Args:
        store: The store.
        path: ``.npz``: bool ``member`` and ``correct`` (T, n), ``test_correct`` (T, m); float16 ``phi`` (T, n),
            ``test_phi`` (T, m) and ``probs`` (T, n, C) if all models have them; ``models`` (T,), what is said of each
            as JSON. ``.parquet`` or ``.arrow`` (pyarrow's file format): one row a model, with lists of booleans and of
            float16, null if a model has none. Learning events stay behind.

    Raises:
        ValueError: Another suffix, no entries, or softmax of different numbers of classes.
        ImportError: pyarrow is not installed.
    """
    path, entries = Path(path), store.entries()
    write = _format_of(path)
    if not entries:
        raise ValueError(f"{store.path}: holds no entries to export")
    if len({entry.arrays["probs"][1] for entry in entries if "probs" in entry.arrays}) > 1:
        raise ValueError(f"{store.path}: its models have softmax of different numbers of classes")
    with durable_file(path) as file:
        write(file, entries)
    return path


def import_models(
    path: str | Path, folder: str | Path, *, data_hash: str | None = None, recipe_hash: str | None = None
) -> Ensemble:
    """Read a file that `export_models` wrote, or an .npz of matrices that others published, into a store.

    Run again, or after it was killed, it adds what is missing. Memory: one model.

    Args:
        path: The file. An .npz needs bool ``member``, ``correct`` and ``test_correct``, or, as Feldman & Zhang's code
            names them, ``trainset_mask``, ``trainset_correctness`` and ``testset_correctness``.
        folder: The store, made if it is not there.
        data_hash: Of the data set: the store's if the file does not say, else to be compared.
        recipe_hash: Of the recipe, likewise.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or something else, or of other data or another recipe.
        ImportError: pyarrow is not installed.
    """
    path, store = Path(path), None
    _format_of(path)
    for index, (said, arrays) in enumerate(_read(path)):
        for name, value in (("data_hash", data_hash), ("recipe_hash", recipe_hash)):
            if said.get(name) is None:
                said[name] = value
            elif value not in (None, said[name]):
                raise ValueError(f"{path}: {name} is {said[name]!r}, expected {value!r}")
        if store is None:
            n, m = arrays["member"].size, arrays["test_correct"].size
            store = Ensemble.create(folder, n, m, data_hash=said["data_hash"], recipe_hash=said["recipe_hash"])
        key = said.get("key") or said.get("id") or f"{path.stem}-{index:05d}"
        about: dict[str, Any] = {name: said[name] for name in ("kind", "forget_hash", "meta") if name in said}
        store.append(**arrays, **about, key=key)
    if store is None:
        raise ValueError(f"{path}: holds no models")
    return store


def _format_of(path: Path) -> Callable[[BinaryIO, Sequence[Entry]], None]:
    if path.suffix not in _FORMATS:
        raise ValueError(f"{path}: expected a file in {', '.join(_FORMATS)}, got {path.suffix or 'no suffix'!r}")
    return _FORMATS[path.suffix]


def _read(path: Path) -> Iterator[Row]:
    """Each model in turn; whatever is wrong with the file is a ValueError."""
    reader = _read_npz if path.suffix == ".npz" else _read_arrow
    with path.open("rb") as file:
        try:
            yield from reader(file, path.suffix)
        except (ImportError, MemoryError, GeneratorExit):
            raise
        except Exception as error:  # zipfile, zlib, NumPy and pyarrow each have their own for a damaged file
            raise ValueError(f"{path}: damaged, or not of models: {error}") from error


def _said(entry: Entry) -> str:
    return json.dumps({"id": entry.id, **json.loads(entry.to_json())})


def _write_npz(file: BinaryIO, entries: Sequence[Entry]) -> None:
    held = [name for name in _REALS if all(name in entry.arrays for entry in entries)]
    with zipfile.ZipFile(file, "w") as archive:
        for name in (*_BITS, *held):
            first = getattr(entries[0], name)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as out:
                shape = (len(entries), *first.shape)
                about = {"descr": npy.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
                npy.write_array_header_2_0(out, about)
                for entry in entries:
                    out.write(getattr(entry, name).tobytes())
        with archive.open(zipfile.ZipInfo("models.npy"), "w") as out:
            npy.write_array(out, np.array([_said(entry) for entry in entries]), allow_pickle=False)


def _read_npz(file: BinaryIO, _: str) -> Iterator[Row]:
    with zipfile.ZipFile(file) as archive:
        there = {Path(name).stem for name in archive.namelist()}
        names = {PUBLISHED.get(name, name): name for name in there}
        lacking = [name for name in _BITS if name not in names]
        if lacking:
            raise ValueError(f"no {', '.join(lacking)}; it holds {', '.join(sorted(there))}")
        columns = {name: _rows(archive, names[name]) for name in (*_BITS, *_REALS) if name in names}
        counts = {name: next(rows) for name, rows in columns.items()}
        if len(set(counts.values())) > 1:
            raise ValueError("rows: " + ", ".join(f"{count} of {name}" for name, count in counts.items()))
        models: Iterator[Any] = repeat("{}")
        if "models" in names:
            with archive.open("models.npy") as part:
                models = iter(npy.read_array(part, allow_pickle=False).tolist())
        for values in zip(*columns.values(), strict=True):
            yield json.loads(next(models)), dict(zip(columns, values, strict=True))


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    """How many rows an array of an .npz file has, then the rows, one at a time."""
    with archive.open(f"{name}.npy") as part:
        read = npy.read_array_header_1_0 if npy.read_magic(part) == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(part)
        if fortran or dtype.hasobject or len(shape) < 2:
            raise ValueError(f"{name}: expected a matrix, row by row, got {dtype} of shape {shape}")
        yield shape[0]
        for _ in range(shape[0]):
            content = part.read(math.prod(shape[1:]) * dtype.itemsize)
            yield np.frombuffer(content, dtype).reshape(shape[1:])


def _write_arrow(file: BinaryIO, entries: Sequence[Entry]) -> None:
    arrow = _pyarrow()
    with arrow.ipc.new_file(file, _schema(arrow)) as writer:
        for entry in entries:
            writer.write_batch(_batch(arrow, entry))


def _write_parquet(file: BinaryIO, entries: Sequence[Entry]) -> None:
    arrow = _pyarrow()
    with arrow.parquet.ParquetWriter(file, _schema(arrow)) as writer:
        for entry in entries:
            writer.write_batch(_batch(arrow, entry))


def _schema(arrow: Any) -> Any:
    bits, reals = arrow.list_(arrow.bool_()), arrow.list_(arrow.float16())
    types = {"model": arrow.string(), **dict.fromkeys(_BITS, bits), **dict.fromkeys(_REALS, reals)}
    return arrow.schema(types | {"probs": arrow.list_(reals)})


def _batch(arrow: Any, entry: Entry) -> Any:
    """One row; Arrow packs bits as the entry does."""

    def listed(values: Any) -> Any:
        return arrow.ListArray.from_arrays(np.array([0, len(values)], np.int32), values)

    columns = {"model": arrow.array([_said(entry)])}
    for name in _BITS:
        count = entry.header.n_test if name == "test_correct" else entry.header.n_train
        packed = arrow.py_buffer(entry.array(name))
        columns[name] = listed(arrow.BooleanArray.from_buffers(arrow.bool_(), count, [None, packed]))
    for name in _REALS:
        if name in entry.arrays:
            values = entry.array(name)
            flat = arrow.array(values.reshape(-1))
            if values.ndim == 2:
                ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
                flat = arrow.ListArray.from_arrays(ends, flat)
            columns[name] = listed(flat)
    schema = _schema(arrow)
    return arrow.record_batch([columns.get(field.name, arrow.nulls(1, field.type)) for field in schema], schema=schema)


def _read_arrow(file: BinaryIO, suffix: str) -> Iterator[Row]:
    arrow = _pyarrow()
    if suffix == ".parquet":
        batches = arrow.parquet.ParquetFile(file).iter_batches(batch_size=1)
    else:
        reader = arrow.ipc.open_file(file)
        batches = map(reader.get_batch, range(reader.num_record_batches))
    for batch in batches:
        arrays = {}
        for name in (*_BITS, *_REALS):
            column = batch.column(name)
            if column.null_count:
                continue
            values = column.flatten()
            rows = len(values)
            if name == "probs":
                values = values.flatten()
            array = values.to_numpy(zero_copy_only=False)
            arrays[name] = array.reshape(rows, -1) if name == "probs" else array
        yield json.loads(batch.column("model")[0].as_py()), arrays


def _pyarrow() -> Any:
    try:
        import pyarrow.ipc
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ImportError('Parquet and Arrow files need pyarrow: pip install "unmemorize[cli]"') from error
    return pyarrow


_FORMATS: dict[str, Callable[[BinaryIO, Sequence[Entry]], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".arrow": _write_arrow,
}
