"""One worker process: it imports what its tasks need once, works off what it is sent, and dies with its parent.

Orders come in on stdin and answers go out on stdout, one JSON object a line. Whatever a task prints goes to stderr.
"""

import json
import os
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from unmemorize.engine.task import TaskError, save, stored


def main() -> None:
    """Answer orders until the parent closes its end."""
    orders, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    inbox: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders, inbox), daemon=True).start()
    while True:
        answers.write(json.dumps(answer(**json.loads(inbox.get()))) + "\n")
        answers.flush()


def _listen(orders: TextIO, inbox: "SimpleQueue[str]") -> None:
    """Pass orders on; when the parent closed its end, or was killed, end at once, whatever is being worked on."""
    for line in orders:
        inbox.put(line)
    os._exit(0)


def answer(function: str, arguments: dict[str, Any], path: str, task_hash: str) -> dict[str, Any]:
    """Run a task, write its result to ``path`` and return it, or else what went wrong.

    What a worker wrote that was lost before it could say so is not done again.
    """
    try:
        with suppress(FileNotFoundError):
            return {"result": stored(path, task_hash)}
        return {"result": save(Path(path), task_hash, call(function, arguments))}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def result_of(key: str, answer: dict[str, Any]) -> Any:
    """The result in an answer.

    Raises:
        TaskError: The task failed; the note holds the traceback of its process.
    """
    if "error" in answer:
        failure = TaskError(f"task {key}: {answer['error']}")
        failure.add_note(answer["traceback"])
        raise failure
    return answer["result"]


def call(function: str, arguments: dict[str, Any]) -> Any:
    """Call ``package.module:name`` with one torch thread."""
    module, _, name = function.partition(":")
    target = getattr(import_module(module), name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    return target(**arguments)
