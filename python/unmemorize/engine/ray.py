"""Tasks on a Ray cluster: the same orders, the same result files, on as many machines as there are."""

import os
import sys
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from unmemorize.engine.process import answer, result_of
from unmemorize.engine.task import TaskError

RETRIES = 3  # of a task whose worker or node was lost


class RayCluster:
    """Runs tasks on a Ray cluster; a task whose worker process or node is lost is given to another.

    Every node has this package installed and sees the same folders (a shared file system): a task writes its own
    result. What was written before a node was lost is not done again.

    Args:
        address: Of the cluster, ``auto`` for the one that this machine belongs to; None: the one that the environment
            variable ``RAY_ADDRESS`` names, or else one of this machine alone, for as long as the ``with`` block lasts.
            A connection that is open already is used, and left open.
        cpus: Cores of a task.
        gpus: GPUs of a task; a fraction lets several tasks share one.

    Raises:
        ImportError: Ray is not installed.
        ValueError: A share is out of range.

    Example:
        >>> RayCluster(gpus=-1)
        Traceback (most recent call last):
        ValueError: gpus: expected 0 or more, got -1
    """

    def __init__(self, address: str | None = None, *, cpus: float = 1.0, gpus: float = 0.0) -> None:
        for name, value in (("cpus", cpus), ("gpus", gpus)):
            if not value >= 0:
                raise ValueError(f"{name}: expected 0 or more, got {value}")
        try:
            import ray
        except ImportError as error:
            raise ImportError('ray is missing: pip install "unmemorize[ray]"') from error
        self._ray, self._address = ray, address
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_do)
        self._running: dict[Future[Any], Any] = {}
        self._connected = False

    def submit(self, key: str, order: dict[str, Any]) -> Future[Any]:
        """The result of a task, once the cluster is done with it; it raises `TaskError`."""
        reference = self._task.remote(order, str(Path.cwd()), sys.path)
        result: Future[Any] = Future()
        self._running[result] = reference

        def settle(answered: Future[Any]) -> None:
            self._running.pop(result, None)
            try:
                result.set_result(result_of(key, answered.result()))
            except TaskError as failed:
                result.set_exception(failed)
            except BaseException as lost:
                how = f"{type(lost).__name__}: {lost}"
                result.set_exception(
                    TaskError(f"task {key}: not done by the cluster, {RETRIES} retries included: {how}")
                )

        reference.future().add_done_callback(settle)
        return result

    def __enter__(self) -> Self:
        if not self._ray.is_initialized():
            self._ray.init(address=self._address, log_to_driver=False)
            self._connected = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for reference in list(self._running.values()):
            self._ray.cancel(reference, force=True)
        if self._connected:
            self._ray.shutdown()
            self._connected = False


def _do(order: dict[str, Any], folder: str, modules: list[str]) -> dict[str, Any]:
    """Do an order in a worker of Ray, which finds the same files and modules as the caller."""
    os.chdir(folder)
    sys.path += [entry for entry in modules if entry not in sys.path]
    os.environ["UNMEMORIZE_WORKER"] = "1"
    return answer(**order)
