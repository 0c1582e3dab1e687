"""Experiments: many trainings and unlearnings from one set of settings, in one folder, resumable."""

from unmemorize.experiment.compare import Compared, compare
from unmemorize.experiment.methods import Cell, Steps, grid, method
from unmemorize.experiment.pipeline import Experiment, Found, NotMemorizedError, Scores, write_scores
from unmemorize.experiment.presets import preset, presets, tuned, write_preset
from unmemorize.experiment.settings import Settings
from unmemorize.experiment.summary import data_summary, forget_set_summary, summarize

__all__ = [
    "Cell",
    "Compared",
    "Experiment",
    "Found",
    "NotMemorizedError",
    "Scores",
    "Settings",
    "Steps",
    "compare",
    "data_summary",
    "forget_set_summary",
    "grid",
    "method",
    "preset",
    "presets",
    "summarize",
    "tuned",
    "write_preset",
    "write_scores",
]
