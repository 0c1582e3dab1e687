"""Many tasks in worker processes; what is done is never done again, whatever is killed."""

from unmemorize.engine.crew import Crew, Executor
from unmemorize.engine.queue import run
from unmemorize.engine.ray import RayCluster
from unmemorize.engine.task import Task, TaskError

__all__ = ["Crew", "Executor", "RayCluster", "Task", "TaskError", "run"]
