"""A progress bar on the terminal, where rich is installed."""

from collections.abc import Iterator, Sequence


def track(items: Sequence[int], what: str) -> Iterator[int]:
    """`items`, with a bar on standard error that shows elapsed and remaining time; without one if it is no terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
    except ImportError:
        yield from items
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(items, description=what)
