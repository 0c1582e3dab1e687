"""The study of the proxies as tables, one long table of numbers, and a figure."""

from typing import Any

import numpy as np
from matplotlib import rc_context

from unmemorize.report import text
from unmemorize.report.profile_plot import density, strata_bars
from unmemorize.report.tables import Cell, Column, Table
from unmemorize.report.theme import COLOUR, RC, drawn, to_file
from unmemorize.stats import Estimate
from unmemorize.study import Row, Study

PANELS = 6  # proxies drawn, the best ones


def agreement(study: Study, target: str) -> Table:
    """Every proxy against one score: correlations, strata, flipped labels, cost."""
    rows = study.of(target)
    strata = list(rows[0].agreement.overlap)
    columns = [Column("proxy", unit="name"), Column("Spearman", "↑"), Column("Spearman, examples", "↑")]
    columns += [Column("Pearson", "↑"), Column("Kendall", "↑")]
    columns += [Column(f"strata shared, {name}", "↑", "rate") for name in strata]
    columns += [Column("recall of flips", "↑"), Column("average precision of flips", "↑")]
    columns += [Column("run time", "↓", "seconds"), Column("forward passes", "↓", "count")]
    columns += [Column("backward passes", "↓", "count")]
    columns += [Column("share of a training", "↓", "share"), Column("share of exact scoring", "↓", "share")]
    ceiling = study.ceiling.get(target)
    first = [("(ceiling: reliability)", None, ceiling, *[None] * (len(columns) - 3))] if ceiling else []
    return Table(tuple(columns), (*first, *(_agreement(row) for row in rows)), frozenset({len(first)}))


def _agreement(row: Row) -> tuple[Cell, ...]:
    found, price = row.agreement, row.price
    spearman, pearson, kendall = (found.correlation[name] for name in ("spearman", "pearson", "kendall"))
    return (
        row.proxy, spearman.runs, spearman.examples, pearson.runs, kendall.runs, *found.overlap.values(),
        found.recall_of_flips, found.average_precision, price.seconds, price.forwards, price.backwards,
        price.of_training, price.of_exact,
    )  # fmt: skip


def early(study: Study, target: str) -> Table:
    """Spearman's correlation of every proxy, read after a part of the epochs."""
    rows = study.of(target)
    columns = [Column("proxy", unit="name")]
    shares = sorted({share for row in rows for share in row.early})
    columns += [Column(f"after {text.percent(share)} of the epochs", "↑") for share in shares]
    return Table(tuple(columns), tuple((row.proxy, *(row.early.get(share) for share in shares)) for row in rows))


def gains(study: Study) -> Table:
    """Combined proxies against the best single one, out of sample."""
    columns = [Column("score", unit="name"), Column("combined", unit="name"), Column("Spearman, combined", "↑")]
    columns += [Column("Spearman, best single", "↑"), Column("which", unit="name"), Column("difference, runs", "↑")]
    columns += [Column("difference, examples", "↑")]
    rows: list[tuple[Cell, ...]] = [
        (target, which, g.combined, g.single, g.chosen, g.difference, g.difference_examples)
        for target, by in study.gains.items()
        for which, g in by.items()
    ]
    return Table(tuple(columns), tuple(rows))


def markdown(study: Study, command: str, notes: tuple[str, ...] = ()) -> str:
    """The whole study on one page."""
    parts = [f"# {study.title}\n", f"`{command}`\n", *(f"{note}\n" for note in notes)]
    for target in study.targets:
        parts += [f"## Against {target}\n", agreement(study, target).markdown()]
        parts += [f"### How early: Spearman with {target}\n", early(study, target).markdown()]
    parts += ["## Combined, out of sample\n", gains(study).markdown()]
    return "\n".join(parts)


def numbers(study: Study) -> dict[str, np.ndarray]:
    """Every estimate in long form: target, proxy, share of the epochs, statistic, over, value, low, high, n."""
    lines: list[tuple[str, str, float, str, str, Estimate]] = []
    for row in study.rows:
        at = (row.target, row.proxy)
        for name, found in row.agreement.correlation.items():
            lines += [(*at, 1.0, name, "runs", found.runs), (*at, 1.0, name, "examples", found.examples)]
        for name, value in row.agreement.overlap.items():
            lines.append((*at, 1.0, f"strata shared, {name}", "runs", value))
        flips = {"recall of flips": row.agreement.recall_of_flips}
        flips |= {"average precision of flips": row.agreement.average_precision}
        lines += [(*at, 1.0, name, "runs", value) for name, value in flips.items() if value]
        lines += [(*at, share, "spearman", "runs", value) for share, value in row.early.items() if share < 1]
    for target, ceiling in study.ceiling.items():
        lines.append((target, "(ceiling)", 1.0, "spearman", "halves", ceiling))
    for target, by in study.gains.items():
        for which, g in by.items():
            at = (target, f"combined: {which}")
            lines += [(*at, 1.0, "spearman", "runs", g.combined), (*at, 1.0, "difference", "runs", g.difference)]
            lines.append((*at, 1.0, "difference", "examples", g.difference_examples))
    keys = ("target", "proxy", "share", "statistic", "over")
    columns = {key: np.array([line[i] for line in lines]) for i, key in enumerate(keys)}
    return columns | {key: np.array([getattr(line[5], key) for line in lines]) for key in ("value", "low", "high", "n")}


def profiles(
    study: Study, score: np.ndarray, proxies: dict[str, np.ndarray], flipped: np.ndarray, stratum: np.ndarray
) -> bytes:
    """Rank by each of the best proxies of one run against the first score of the study, as an SVG file.

    Args:
        study: gives the order of the proxies.
        score: (n,) the first target; NaN is left out.
        proxies: (n,) each.
        flipped: bool (n,): marked with a cross.
        stratum: int (n,): 0, 1, 2 of the low, medium and high examples, -1 of the others; a bar on the right.
    """
    target = study.targets[0]
    names = [row.proxy for row in study.of(target)][:PANELS]
    known = np.isfinite(score)
    with rc_context(RC):
        figure = drawn(10.5, 3.2 * -(-len(names) // 3))
        panels: list[Any] = list(figure.subplots(-(-len(names) // 3), 3, squeeze=False, sharex=True).flat)
        for axes, name in zip(panels, names, strict=False):
            order = np.argsort(proxies[name][known], kind="stable")
            rank = np.empty(len(order))
            rank[order] = np.arange(len(order)) / max(1, len(order) - 1) * 100
            density(axes, rank, score[known])
            wrong = flipped[known]
            axes.plot(rank[wrong], score[known][wrong], "x", color=COLOUR["flip"], markersize=3, markeredgewidth=0.8)
            strata_bars(axes, score[known], stratum[known], ("low", "medium", "high"))
            axes.set_xlim(-3, 103)
            axes.set_title(name, fontsize=10.5)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        figure.supxlabel("rank by the proxy, per cent", fontsize=10.5)
        figure.supylabel(target, fontsize=10.5)
        return to_file(figure)
