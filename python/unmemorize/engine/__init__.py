"""Many tasks in local worker processes; what is done is never done again, whatever is killed."""

from unmemorize.engine.queue import Task, TaskError, run

__all__ = ["Task", "TaskError", "run"]
