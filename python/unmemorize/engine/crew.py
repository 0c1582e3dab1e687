"""Where tasks run: what the queue needs of it, and worker processes of this machine."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from unmemorize import _arrays
from unmemorize.engine.process import result_of
from unmemorize.engine.task import TaskError

ATTEMPTS = 2  # of a task whose worker was killed, by the system for lack of memory, say

# glibc would give the large tensors of a step back to the system, and have them anew, page by page, in the next. Other
# systems do not know these names; the user's own values come first.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; the most that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "UNMEMORIZE_WORKER"), "1")
# The same modules as here, but not this program's own __main__: a script needs no guard, a notebook works too.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from unmemorize.engine.process import main; main()"


class Executor(Protocol):
    """Where tasks run. The queue hands it orders and keeps the books; it decides where and when each is done.

    An order holds the arguments of `unmemorize.engine.process.answer`, which does it, writes its result to the order's
    path, durably, and says what became of it; `result_of` takes that answer apart. A context manager: what is not
    finished when its block ends is ended.
    """

    def submit(self, key: str, order: dict[str, Any]) -> Future[Any]:
        """The result of the order of task `key`, some time; it raises `TaskError`."""

    def __enter__(self) -> Self:
        """Itself; nothing need be started before the first order comes."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End what runs, start nothing more."""


class _KilledError(Exception):
    """A worker ended without an answer."""


class _Worker:
    def __init__(self, number: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_KEEP_MEMORY, **os.environ, **_ONE_THREAD, **_device_of(number)},
            start_new_session=True,  # Ctrl-C is for the parent, which then ends its workers
        )

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise _KilledError(f"exit status {self.kill()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> int:
        """End the process, whatever it is doing; its exit status."""
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Give the pipes back; no thread may be waiting for an answer."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent has nobody to go to
                    pipe.close()


def _device_of(number: int) -> dict[str, str]:
    """The one CUDA device that worker `number` sees: they take turns over those that this process may use."""
    torch = sys.modules.get("torch")
    count = torch.cuda.device_count() if torch else 0  # does not open a device
    if count < 2:
        return {}
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    return {"CUDA_VISIBLE_DEVICES": seen[number % count]}


class Crew:
    """Up to ``count`` worker processes. None outlives the ``with`` block, nor this process, however that ends.

    Args:
        count: Processes; None: as many as this process may use cores. Each is started when it is first needed.

    Raises:
        ValueError: Less than one process.
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"workers: expected at least 1, got {count}")
        self._threads = ThreadPoolExecutor(count or _arrays.threads(None), "unmemorize-worker")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._closed = False

    def submit(self, key: str, order: dict[str, Any]) -> Future[Any]:
        """The result of a task, once a worker is free and done with it; it raises `TaskError`."""
        return self._threads.submit(self._do, key, order)

    def _do(self, key: str, order: dict[str, Any]) -> Any:
        for _ in range(ATTEMPTS):
            worker = self._worker()
            try:
                answer = worker.ask(order)
                break
            except _KilledError as killed:
                self._own.worker, how = None, str(killed)
        else:
            raise TaskError(
                f"task {key}: its worker was killed {ATTEMPTS} times ({how}); out of memory? Then use fewer workers"
            )
        return result_of(key, answer)

    def _worker(self) -> _Worker:
        """The worker of this thread, started when it is first needed."""
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            with self._lock:
                if self._closed:
                    raise TaskError("the run was stopped")
                worker = self._own.worker = _Worker(len(self._workers))
                self._workers.add(worker)
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._closed = True
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()
