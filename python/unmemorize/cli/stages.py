"""Progress of the stages of a long command: one line each, with elapsed and remaining time."""

from time import perf_counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining


class Stages:
    """A context manager; `begin` names a stage, `update` moves its bar, and the seconds of each are kept."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
        )
        self._current: TaskID | None = None
        self._started = perf_counter()
        self._name = ""
        self.seconds: dict[str, float] = {}

    def begin(self, name: str, total: int = 1) -> None:
        """Close the stage before and open `name`."""
        self._end()
        self._name, self._started = name, perf_counter()
        self._current = self._bars.add_task(name, total=total)

    def update(self, done: int, total: int) -> None:
        """Move the bar of the current stage."""
        if self._current is not None:
            self._bars.update(self._current, completed=done, total=total)

    def say(self, message: str) -> None:
        """A line above the bars."""
        self._bars.console.print(message)

    def _end(self) -> None:
        if self._current is None:
            return
        task = self._bars.tasks[self._bars.task_ids.index(self._current)]
        self._bars.update(self._current, completed=task.total)
        self._bars.stop_task(self._current)
        self.seconds[self._name] = perf_counter() - self._started
        self._current = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._end()
        self._bars.stop()
