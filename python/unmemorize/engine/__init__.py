"""Many tasks in local worker processes; what is done is never done again, whatever is killed."""

from unmemorize.engine.queue import run
from unmemorize.engine.task import Task, TaskError

__all__ = ["Task", "TaskError", "run"]
