"""The comparison for a terminal."""

from rich import box
from rich.table import Table

from unmemorize.report import text
from unmemorize.report.tables import best_row
from unmemorize.results import Results


def terminal_table(results: Results) -> Table:
    """The comparison for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, caption=results.caption or None)
    for title in ("algorithm", "plan", "ToW ↑", "ToW-MIA ↑", "cost ↓"):
        table.add_column(title, overflow="fold", justify="left" if title in ("algorithm", "plan") else "right")
    for row in results.oracles:
        shown = (text.plan_name(row), text.compact(row.tow), text.compact(row.tow_mia))
        table.add_row(row.algorithm, *shown, text.ABSENT, style="dim", end_section=row is results.oracles[-1])
    best = best_row(results)
    for i, row in enumerate(results.comparison):
        new = i == 0 or results.comparison[i - 1].algorithm != row.algorithm
        table.add_row(
            row.algorithm if new else "",
            text.plan_name(row),
            text.compact(row.tow),
            text.compact(row.tow_mia),
            text.percent(row.retrain_share.value) if row.retrain_share else text.ABSENT,
            style="bold" if row is best else None,
        )
    return table
