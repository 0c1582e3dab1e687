"""Results in, one self-contained HTML page and tables out; computes nothing.

Example:
    >>> import tempfile
    >>> from unmemorize import report
    >>> folder = tempfile.mkdtemp()
    >>> page = report.write(report.Results(title="Nothing yet", seeds={}, versions={}), folder)
    >>> page.name, report.read(folder).title
    ('report.html', 'Nothing yet')
"""

import json
from collections.abc import Iterable
from pathlib import Path

from unmemorize._files import write_durably
from unmemorize.errors import StoreError
from unmemorize.report import compare, tables
from unmemorize.report.terminal import terminal_table
from unmemorize.results import (
    ComparisonRow,
    DataSummary,
    EnsembleSummary,
    ForgetSetSummary,
    OriginalSummary,
    Outcome,
    PairedRow,
    Profile,
    ProxyRow,
    Results,
    Sample,
    StratumSummary,
    VerdictRow,
    png,
)

__all__ = [
    "ComparisonRow",
    "DataSummary",
    "EnsembleSummary",
    "ForgetSetSummary",
    "OriginalSummary",
    "Outcome",
    "PairedRow",
    "Profile",
    "ProxyRow",
    "Results",
    "Sample",
    "StratumSummary",
    "VerdictRow",
    "png",
    "read",
    "terminal_table",
    "write",
    "write_tables",
]

TABLES = {
    "comparison": tables.comparison,
    "strata": tables.strata,
    "costs": tables.costs,
    "verdicts": compare.verdicts,
    "paired": compare.paired,
    "proxies": tables.proxies,
}
WRITERS = {"csv": tables.Table.csv, "md": tables.Table.markdown, "tex": tables.Table.latex}


def write(results: Results, folder: str | Path) -> Path:
    """Write report.html and results.json; each is complete or, if this is interrupted, as it was before.

    Returns:
        The path of report.html.
    """
    from unmemorize.report.page import render

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    page = render(results)
    _write(folder / "results.json", json.dumps(results.to_dict(), ensure_ascii=False, allow_nan=False) + "\n")
    return _write(folder / "report.html", page)


def read(folder: str | Path) -> Results:
    """The results that `write` left in `folder`.

    Raises:
        FileNotFoundError: the folder holds no results.json.
        StoreError: the file is damaged; names it.
    """
    path = Path(folder) / "results.json"
    try:
        return Results.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; `report.write` makes it") from None
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path}: damaged: {error}; run again what wrote it") from error


def write_tables(results: Results, folder: str | Path, formats: Iterable[str] = ("csv", "md", "tex")) -> list[Path]:
    """Write every table that has rows, in each of `formats`: "csv", "md" or "tex".

    Raises:
        ValueError: unknown format.
    """
    folder, formats = Path(folder), list(formats)
    if unknown := [name for name in formats if name not in WRITERS]:
        raise ValueError(f"formats: no format {unknown[0]!r}; known are {', '.join(WRITERS)}")
    folder.mkdir(parents=True, exist_ok=True)
    built = {name: build(results) for name, build in TABLES.items()}
    return [
        _write(folder / f"{name}.{suffix}", WRITERS[suffix](table))
        for name, table in built.items()
        if table.rows
        for suffix in formats
    ]


def _write(path: Path, text: str) -> Path:
    write_durably(path, text.encode())
    return path
