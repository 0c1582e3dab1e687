"""One worker process: it imports what its tasks need once, works off what it is sent, and dies with its parent."""

import json
import os
import signal
import sys
import threading
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from unmemorize._files import write_durably


def work(inbox: Connection, alive: Connection) -> None:
    """Receive (key, function, arguments, hash, path), write the result to path, send (key, result, error, trace)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_die_with_parent, args=(alive,), daemon=True).start()
    while True:
        try:
            key, function, arguments, digest, path = inbox.recv()
        except EOFError:
            return
        try:
            result = call(function, arguments)
            write_durably(Path(path), json.dumps({"task": digest, "result": result}).encode())
            inbox.send((key, result, "", ""))
        except Exception as error:
            inbox.send((key, None, f"{type(error).__name__}: {error}", traceback.format_exc()))


def call(function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call "package.module:name" with one torch thread."""
    module, _, name = function.partition(":")
    target = getattr(import_module(module), name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    result: dict[str, Any] = target(**arguments)
    return result


def _die_with_parent(alive: Connection) -> None:
    """Only the parent holds the other end, so it closes when the parent is gone, also by kill -9."""
    try:
        alive.recv()
    except EOFError:
        os._exit(1)
