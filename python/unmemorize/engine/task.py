"""A task and the file that holds its result."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmemorize._files import write_durably
from unmemorize.errors import StoreError


class TaskError(RuntimeError):
    """A task failed; if it raised, the note holds the traceback of its process."""


@dataclass(frozen=True)
class Task:
    """One call in a worker process.

    Args:
        key: A name of its own: letters, digits, ``. _ - + =``, at most 200, not beginning with ``.``.
        function: ``package.module:name``, importable; it returns what fits in JSON.
        arguments: What fits in JSON; they are part of the task's identity.

    Raises:
        ValueError: The key or the name of the function is malformed.
    """

    key: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w+=-][\w.+=-]{0,199}", self.key):
            raise ValueError(f"key: expected up to 200 letters, digits, '.', '_', '-', '+', '=', got {self.key!r}")
        if not re.fullmatch(r"[\w.]+:\w+", self.function):
            raise ValueError(f"function: expected 'package.module:name', got {self.function!r}")

    @property
    def hash(self) -> str:
        """SHA-256 over function and arguments."""
        identity = json.dumps([self.function, dict(self.arguments)], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()

    def file(self, folder: Path) -> Path:
        """Where its result is kept."""
        return folder / f"{self.key}.json"

    def load(self, folder: Path) -> Any:
        """Its result, if it is done.

        Raises:
            FileNotFoundError: It is not.
            StoreError: The stored result is damaged.
            ValueError: The stored result is that of another task.
        """
        return stored(self.file(folder), self.hash)


def stored(path: str | Path, task_hash: str) -> Any:
    """The result of a task, as `Task.load` describes."""
    try:
        kept = json.loads(Path(path).read_bytes())
        found, result = kept["task"], kept["result"]
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(f"{path}: damaged result: {error!r}; remove it and run again") from error
    if found != task_hash:
        raise ValueError(
            f"{path}: holds the result of task {found[:12]}, expected {task_hash[:12]}: same key, other arguments; "
            "use another folder, or remove it"
        )
    return result


def save(path: Path, task_hash: str, result: object) -> Any:
    """Write the result of a task, durably, and return it as `Task.load` will.

    Raises:
        TypeError: It does not fit in JSON.
    """
    text = json.dumps({"task": task_hash, "result": result})
    write_durably(path, text.encode())
    return json.loads(text)["result"]
