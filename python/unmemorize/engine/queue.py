"""The queue: which tasks are done, which worker does what, and what happens when one is killed."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from unmemorize import _arrays
from unmemorize.engine.worker import work
from unmemorize.errors import StoreError

ATTEMPTS = 2  # of a task whose worker was killed, by the system for lack of memory, say
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Progress = Callable[[int, int, str, dict[str, Any]], None]


class TaskError(RuntimeError):
    """A task failed; the note holds the traceback of its process."""


@dataclass(frozen=True)
class Task:
    """One call in a worker process.

    Args:
        key: a unique name, safe in a file name.
        function: "package.module:name"; it returns what JSON can hold.
        arguments: what JSON can hold; they are part of the task's identity.
    """

    key: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 over function and arguments."""
        return hashlib.sha256(json.dumps([self.function, self.arguments], sort_keys=True).encode()).hexdigest()


def run(
    tasks: Sequence[Task],
    folder: str | Path,
    *,
    shared: dict[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Do the tasks that are not done, in spawned local processes with one torch thread each.

    A result is written to `folder/<key>.json` when its task ends, so that a run that was killed goes on where it was.
    The results do not depend on the number of workers.

    Args:
        tasks: what to do.
        folder: where results are kept.
        shared: further arguments of every task that are not part of its identity, such as where its files lie.
        workers: processes; None: as many as this process may use cores.
        progress: called as (done, total, key, result) for each task, those done before included.

    Returns:
        The result of each task by its key.

    Raises:
        ValueError: two tasks have one key, or a stored result is of another task with this key.
        TaskError: a task failed, or its worker was killed twice; the other results are kept.
        StoreError: a stored result is damaged.

    Example:
        >>> import tempfile
        >>> run([Task("six", "math:prod", {"iterable": [2, 3]})], tempfile.mkdtemp(), workers=1)  # doctest: +SKIP
        {'six': 6}
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    keys = [task.key for task in tasks]
    if len(set(keys)) < len(keys):
        raise ValueError(f"tasks: {len(keys)} tasks have {len(set(keys))} keys; give each its own")
    results: dict[str, dict[str, Any]] = {}

    def done(key: str, result: dict[str, Any]) -> None:
        results[key] = result
        if progress is not None:
            progress(len(results), len(tasks), key, result)

    todo = []
    for task in tasks:
        path = folder / f"{task.key}.json"
        if path.exists():
            done(task.key, _read(path, task))
        else:
            todo.append(task)
    if todo:
        count = min(workers or _arrays.threads(None), len(todo))
        with _crew(count) as crew:
            _work_off(todo, crew, folder, shared or {}, done)
    return results


def _read(path: Path, task: Task) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_bytes())
        digest, result = stored["task"], stored["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: damaged result: {error}; remove it and run again") from error
    if digest != task.hash:
        raise ValueError(f"{path}: holds the result of another task ({digest[:12]}) than {task.key} ({task.hash[:12]}) "
                         "with other arguments; use another folder, or remove it")  # fmt: skip
    content: dict[str, Any] = result
    return content


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    inbox: Connection
    alive: Connection  # closed when this process dies, which ends the worker
    task: Task | None = None

    @classmethod
    def start(cls) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        inbox, theirs = context.Pipe()
        watched, alive = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(theirs, watched), daemon=True)
        with _environment(ONE_THREAD):
            process.start()
        theirs.close()
        watched.close()
        return cls(process, inbox, alive)

    def stop(self) -> None:
        self.inbox.close()
        self.alive.close()
        self.process.terminate()
        self.process.join()


@contextmanager
def _crew(count: int) -> Iterator[list[_Worker]]:
    crew = [_Worker.start() for _ in range(count)]
    try:
        yield crew
    finally:
        for worker in crew:
            worker.stop()


def _work_off(
    todo: list[Task],
    crew: list[_Worker],
    folder: Path,
    shared: dict[str, Any],
    done: Callable[[str, dict[str, Any]], None],
) -> None:
    waiting, killed = list(reversed(todo)), dict.fromkeys((task.key for task in todo), 0)
    left = len(todo)
    while left:
        for worker in crew:
            if worker.task is None and waiting:
                _send(worker, waiting.pop(), folder, shared)
        for inbox in wait([worker.inbox for worker in crew if worker.task]):
            worker = next(w for w in crew if w.inbox is inbox)
            task = worker.task
            assert task is not None
            try:
                key, result, error, trace = worker.inbox.recv()
            except (EOFError, OSError):  # killed
                killed[task.key] += 1
                if killed[task.key] >= ATTEMPTS:
                    raise TaskError(
                        f"task {task.key}: its worker was killed {ATTEMPTS} times (out of memory?)"
                    ) from None
                worker.stop()
                crew[crew.index(worker)] = _Worker.start()
                waiting.append(task)
                continue
            worker.task = None
            if error:
                failure = TaskError(f"task {key}: {error}")
                failure.add_note(trace)
                raise failure
            left -= 1
            done(key, result)


def _send(worker: _Worker, task: Task, folder: Path, shared: dict[str, Any]) -> None:
    path = str(folder / f"{task.key}.json")
    worker.task = task
    with suppress(OSError):  # the worker is gone: its pipe says so to `wait`
        worker.inbox.send((task.key, task.function, {**shared, **task.arguments}, task.hash, path))


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
