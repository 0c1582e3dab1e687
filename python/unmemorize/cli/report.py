"""`unmemorize report`: the page and the tables from a run's results."""

from pathlib import Path
from typing import Annotated

import typer
from rich import print as say

from unmemorize import report
from unmemorize.cli.options import Config


def command(
    folder: Annotated[Path, typer.Argument(help="Folder that holds results.json.")],
    tables: Annotated[bool, typer.Option(help="Write the comparison as CSV, Markdown and LaTeX too.")] = False,
    config: Config = None,
) -> None:
    """Write report.html anew from results.json."""
    results = report.read(folder)
    say(str(report.write(results, folder)))
    if tables:
        paths = report.write_tables(results, folder)
        say("\n".join(map(str, paths)) or "no tables: these results hold no comparison")
