"""The tables of a comparison that pair methods by seed, and the whole of it on one Markdown page."""

from unmemorize.report import tables, text
from unmemorize.report.tables import METHOD, Cell, Column, Table
from unmemorize.results import Results

AGAINST = {"nothing": "nothing", "vanilla": "vanilla", "shuffle": "shuffle", "exact": "by exact"}


def paired(results: Results) -> Table:
    """ToW of every method minus that of others with the same seeds."""
    known = [name for name in AGAINST if any(name in row.differences for row in results.paired)]
    columns = [*METHOD, *(Column(f"ToW − {AGAINST[name]}", "↑") for name in known)]
    columns += [Column("on par with exact", unit="name")] if "exact" in known else []
    rows: list[tuple[Cell, ...]] = []
    for row in results.paired:
        last = ({None: text.ABSENT, True: "yes", False: "not shown"}[row.on_par],) if "exact" in known else ()
        rows.append((*tables.method(row), *(row.differences.get(name) for name in known), *last))
    return Table(tuple(columns), tuple(rows), tables.starts(rows), results.caption)


def verdicts(results: Results) -> Table:
    """Of every algorithm: does it forget, towards retraining, and gain where most is memorized?"""
    columns = [
        Column("algorithm", unit="name"),
        Column("protocol", unit="name"),
        Column("accuracy on S − nothing", "↓"),
    ]
    columns += [Column("1−Δ S − nothing", "↑"), Column("ToW, highest stratum − nothing", "↑")]
    columns += [Column("as documented", unit="name")]
    rows = tuple(
        (
            *(", ".join(filter(None, (row.algorithm, row.scores))), row.protocol or text.ABSENT),
            *(row.change, row.nearer, row.gain, f"no: {row.reason}" if row.reason else "yes"),
        )
        for row in results.verdicts
    )
    return Table(tuple(columns), rows, caption=results.caption)


def markdown(results: Results) -> str:
    """The whole comparison on one page."""
    parts = [f"# {results.title}\n", f"`{results.command}`\n", *(f"{note}\n" for note in results.notes)]
    for title, table in (
        ("How close to retraining", tables.comparison(results)),
        ("Each stratum alone", tables.strata(results)),
        ("Does it do what it is made for?", verdicts(results)),
        ("Paired by seed", paired(results)),
        ("What it costs", tables.costs(results)),
    ):
        if table.rows:
            parts += [f"## {title}\n", table.markdown()]
    return "\n".join(parts)
