"""Results as tables: one description for the page, CSV, Markdown and LaTeX."""

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unmemorize.audit import Comparison
from unmemorize.report import text
from unmemorize.results import ComparisonRow, ForgetSetSummary, PairedRow, Results
from unmemorize.stats import Estimate

Cell = str | float | Estimate | None
UNITS: dict[str, Callable[[float], str]] = {
    "value": text.number,
    "rate": text.rate,
    "share": text.percent,
    "seconds": text.duration,
    "count": lambda number: text.number(number, 1),
}
FACTORS = {"forget": "S", "retain": "R", "test": "test", "mia": "MIA"}  # of 1 - Δ


@dataclass(frozen=True)
class Column:
    """A column: what it is called, which way is better, and how its numbers are written."""

    name: str
    better: str = ""  # "↑", "↓" or "" where neither is
    unit: str = "value"  # "name", "detail" (of the name before it) or one of UNITS

    @property
    def title(self) -> str:
        """Name and direction."""
        return f"{self.name} {self.better}".strip()


METHOD = (Column("algorithm", unit="name"), Column("plan", unit="detail"), Column("protocol", unit="name"))


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns. The page may draw a line above the rows in `starts`."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    starts: frozenset[int] = frozenset()
    caption: str = ""

    def csv(self) -> str:
        """Full precision; an estimate takes four columns: value, low, high, n."""
        wide = [any(isinstance(row[i], Estimate) for row in self.rows) for i in range(len(self.columns))]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        parts = ("", " low", " high", " n")
        writer.writerow([c.name + p for c, w in zip(self.columns, wide, strict=True) for p in (parts if w else ("",))])
        for row in self.rows:
            writer.writerow([value for cell, w in zip(row, wide, strict=True) for value in _values(cell, w)])
        return buffer.getvalue()

    def markdown(self) -> str:
        """A pipe table below its caption."""
        lines = [[column.title for column in self.columns], ["---"] * len(self.columns)]
        lines += [[written(cell, column) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]
        rows = ("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
        return "".join([self.caption and f"{self.caption}\n\n", *rows])

    def latex(self) -> str:
        """A booktabs tabular, its caption a comment."""
        lines = [f"% {_tex(self.caption)}"] if self.caption else []
        lines += [f"\\begin{{tabular}}{{{'l' * len(self.columns)}}}", "\\toprule"]
        lines.append(" & ".join(_tex(column.title) for column in self.columns) + r" \\")
        lines.append("\\midrule")
        for i, row in enumerate(self.rows):
            if i in self.starts and i:
                lines.append("\\addlinespace")
            cells = (written(cell, column) for cell, column in zip(row, self.columns, strict=True))
            lines.append(" & ".join(_tex(cell) for cell in cells) + r" \\")
        return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def written(cell: Cell, column: Column) -> str:
    """A cell in words, an estimate with its interval."""
    low, high = bounds(cell, column)
    return f"{value(cell, column)} [{low}, {high}]" if low else value(cell, column)


def value(cell: Cell, column: Column) -> str:
    """A cell in words, without its interval."""
    if isinstance(cell, str):
        return cell
    known = math.nan if cell is None else cell.value if isinstance(cell, Estimate) else cell
    return UNITS[column.unit](known)


def bounds(cell: Cell, column: Column) -> tuple[str, str]:
    """The ends of a cell's interval; empty where it has none."""
    if not isinstance(cell, Estimate) or not math.isfinite(cell.low):
        return "", ""
    return UNITS[column.unit](cell.low), UNITS[column.unit](cell.high)


def comparison(results: Results) -> Table:
    """Every method beside the oracles: ToW and ToW-MIA with their factors, and the run time."""
    columns = [*METHOD, Column("ToW", "↑"), Column("ToW-MIA", "↑")]
    columns += [Column(f"1−Δ {name}", "↑") for name in FACTORS.values()]
    columns += [Column("run time", "↓", "seconds"), Column("share of retraining", "↓", "share")]
    rows: list[tuple[Cell, ...]] = []
    for row in (*results.oracles, *results.comparison):
        judged = _judged(row.evaluation.whole if row.evaluation else None)
        rows.append((*method(row), *judged, row.seconds, row.retrain_share))
    return Table(tuple(columns), tuple(rows), starts(rows), results.caption)


def costs(results: Results) -> Table:
    """What every method takes: what is made once for all requests, and the parts of a request's run time."""
    kinds = sorted(dict.fromkeys(kind for row in results.comparison for kind in row.costs), key="unlearning".__eq__)
    columns = [*METHOD, Column("made once for all requests", unit="name"), Column("once", "↓", "seconds")]
    columns += [Column("once, share of retraining", "↓", "share"), *(Column(kind, "↓", "seconds") for kind in kinds)]
    columns += [Column("request", "↓", "seconds"), Column("request, share of retraining", "↓", "share")]
    rows: list[tuple[Cell, ...]] = [
        (
            *(*method(row), ", ".join(row.once) or text.ABSENT, sum(row.once.values()), row.once_share),
            *(*(row.costs.get(kind) for kind in kinds), row.seconds, row.retrain_share),
        )
        for row in results.comparison
        if row.costs
    ]
    return Table(tuple(columns), tuple(rows), starts(rows), results.caption)


def strata(results: Results) -> Table:
    """ToW and ToW-MIA of every method on each stratum alone."""
    judged = [row.evaluation.strata for row in results.comparison if row.evaluation]
    names = list(dict.fromkeys(name for strata in judged for name in strata))
    columns = [*METHOD]
    columns += [Column(f"{metric}, {name}", "↑") for metric in ("ToW", "ToW-MIA") for name in names]
    rows: list[tuple[Cell, ...]] = []
    for row in (*results.oracles, *results.comparison):
        known = row.evaluation.strata if row.evaluation else {}
        rows.append((*method(row), *_by_stratum(known, names)))
    return Table(tuple(columns), tuple(rows), starts(rows), results.caption)


def proxies(results: Results) -> Table:
    """Every proxy beside the exact score: correlation, recall of flipped labels, overlap of strata, cost."""
    names = list(dict.fromkeys(name for row in results.proxies for name in row.overlap))
    columns = [Column("score", unit="name"), Column("Spearman", "↑"), Column("recall of flips", "↑")]
    columns += [Column(f"overlap, {name}", "↑", "rate") for name in names]
    columns += [Column("run time", "↓", "seconds"), Column("share of exact cost", "↓", "share")]
    rows: list[tuple[Cell, ...]] = []
    if (e := results.ensemble) is not None:
        rows.append(("exact (ceiling)", e.reliability, e.recall_at_flips, *(None for _ in names), e.seconds, 1.0))
    for row in results.proxies:
        overlap = (row.overlap.get(name) for name in names)
        rows.append((row.name, row.spearman, row.recall_at_flips, *overlap, row.seconds, row.cost_share))
    return Table(tuple(columns), tuple(rows), frozenset({1} if results.ensemble else {}))


def strata_sizes(forget_set: ForgetSetSummary) -> Table:
    """The strata of one manifest."""
    columns = [Column(name, unit="name") for name in ("stratum", "examples", "flipped", "score range")]
    rows = tuple((s.name, text.count(s.size), text.count(s.flipped), _range(s.low, s.high)) for s in forget_set.strata)
    return Table(tuple(columns), rows)


def outcome(results: Results) -> Table:
    """Accuracy and membership on each part before and after, of the one model of `results.outcome`."""
    names = ("accuracy before", "accuracy after", "non-member before", "non-member after")
    columns = [Column("on", unit="name"), *(Column(name, unit="rate") for name in names)]
    rows: list[tuple[Cell, ...]] = []
    if (o := results.outcome) is not None:
        parts = dict.fromkeys([*o.before.accuracy, *o.before.mia])
        measured = (o.before.accuracy, o.after.accuracy, o.before.mia, o.after.mia)
        rows = [(_part(part), *(values.get(part) for values in measured)) for part in parts]
    return Table(tuple(columns), tuple(rows))


def history(results: Results) -> Table:
    """The steps of `results.outcome`, as `unlearn.run` recorded them: what each forgot, and the accuracies after it."""
    steps = results.outcome.history if results.outcome else ()
    names = list(dict.fromkeys(name for step in steps for name in step.get("accuracy", {})))
    columns = [Column("step", unit="name"), Column("examples", unit="name"), Column("run time", "↓", "seconds")]
    columns += [Column(f"accuracy, {_part(name)}", unit="rate") for name in names]
    rows: list[tuple[Cell, ...]] = []
    for i, step in enumerate(steps):
        what = ", ".join(str(step[key]) for key in ("stratum", "algorithm") if step.get(key))
        what = f"request {step['request']}, {what}" if "request" in step else what
        accuracy = step.get("accuracy", {})
        seconds = float(step.get("seconds", math.nan))
        rows.append(
            (f"{i + 1}: {what}", text.count(step.get("size")), seconds, *(accuracy.get(name) for name in names))
        )
    return Table(tuple(columns), tuple(rows))


def method(row: ComparisonRow | PairedRow) -> tuple[str, str, str]:
    """The cells under METHOD."""
    return row.algorithm, text.plan_name(row), row.protocol or text.ABSENT


def best_row(results: Results) -> ComparisonRow | None:
    """The row with the highest ToW; retraining itself does not compete, nor do rows that forget other examples."""
    if len(results.oracles) > 1:
        return None
    rows = [row for row in results.comparison if row.algorithm != "retrain" and math.isfinite(row.tow.value)]
    return max(rows, key=lambda row: row.tow.value, default=None)


def _range(low: float, high: float) -> str:
    return f"{text.number(low, 2)} to {text.number(high, 2)}" if math.isfinite(low) else text.ABSENT


def _part(name: str) -> str:
    """A key of a measurement in words: "forget/low" is the low stratum of the forget set."""
    part, _, stratum = name.partition("/")
    return f"{part} set, {stratum}" if stratum else f"{part} set"


def _judged(judged: Comparison | None) -> tuple[Cell, ...]:
    if judged is None:
        return (None,) * (2 + len(FACTORS))
    return (judged.tow, judged.tow_mia, *(judged.factors.get(name) for name in FACTORS))


def _by_stratum(known: dict[str, Comparison], names: list[str]) -> tuple[Cell, ...]:
    tow = tuple(known[name].tow if name in known else None for name in names)
    return tow + tuple(known[name].tow_mia if name in known else None for name in names)


def starts(rows: list[tuple[Cell, ...]]) -> frozenset[int]:
    """Where another algorithm begins."""
    return frozenset(i for i, row in enumerate(rows) if i and row[0] != rows[i - 1][0])


def _values(cell: Cell, wide: bool) -> list[Any]:
    if isinstance(cell, Estimate):
        return [repr(cell.value), repr(cell.low), repr(cell.high), cell.n]
    first = "" if cell is None else cell if isinstance(cell, str) else repr(cell)
    return [first, "", "", ""] if wide else [first]


_TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
    "−": "$-$",
    "–": "--",
}


def _tex(cell: str) -> str:
    return "".join(_TEX.get(c, c) for c in cell.replace("RUM^F", "\0")).replace("\0", r"RUM$^F$")
