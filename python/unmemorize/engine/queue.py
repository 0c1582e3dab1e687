"""Which tasks are done, and doing the others."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from unmemorize.engine.crew import Crew, Executor
from unmemorize.engine.task import Task

Progress = Callable[[int, int, str, Any], None]


def run(
    tasks: Sequence[Task],
    folder: str | Path,
    *,
    shared: Mapping[str, Any] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do the tasks that are not done yet, in worker processes of one thread each.

    A result is written to ``folder/<key>.json`` when its task ends, so a run that was interrupted or killed goes on
    where it was. Results do not depend on the number of workers, nor on the order of the tasks.

    Args:
        tasks: What to do, first things first.
        folder: Where results are kept; made if it is not there.
        shared: Further arguments of every task that are not part of its identity: where its files lie, for instance.
        workers: Processes; None: as many as this process may use cores.
        executor: Where to run in place of `workers` processes of this machine; the caller opens and closes it.
        progress: Called as (done, total, key, result) for each task, those done before included.

    Returns:
        The result of each task by its key, in the order of the tasks.

    Raises:
        ValueError: Two tasks have one key, or the stored result of a key is that of another task.
        TaskError: A task failed (the note holds its traceback), or its worker was killed twice. No further task is
            started, the ones that are running are ended, and the finished results are kept; so too with Ctrl-C.
        StoreError: A stored result is damaged.

    Example:
        >>> import tempfile
        >>> run([Task("letters", "json:dumps", {"obj": "abc"})], tempfile.mkdtemp(), workers=1)
        {'letters': '"abc"'}
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for key, count in Counter(task.key for task in tasks).items():
        if count > 1:
            raise ValueError(f"tasks: {count} have the key {key!r}; give each its own")
    results: dict[str, Any] = {}

    def done(task: Task, result: Any) -> None:
        results[task.key] = result
        if progress is not None:
            progress(len(results), len(tasks), task.key, result)

    todo = []
    for task in tasks:
        try:
            done(task, task.load(folder))
        except FileNotFoundError:
            todo.append(task)
    with nullcontext(executor) if executor else Crew(workers) as crew:
        futures = {crew.submit(task.key, _order(task, folder, shared or {})): task for task in todo}
        for future in as_completed(futures):
            done(futures[future], future.result())
    return {task.key: results[task.key] for task in tasks}


def _order(task: Task, folder: Path, shared: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker is told."""
    return {
        "function": task.function,
        "arguments": {**shared, **task.arguments},
        "path": str(task.file(folder).resolve()),
        "task_hash": task.hash,
    }
