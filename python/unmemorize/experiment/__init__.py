"""Experiments: many trainings and unlearnings from one set of settings, in one folder, resumable."""

from unmemorize.experiment.methods import Steps, method, preset, presets
from unmemorize.experiment.pipeline import Experiment, Found, NotMemorizedError, Scores, write_scores
from unmemorize.experiment.settings import Cell, Settings
from unmemorize.experiment.summary import data_summary, forget_set_summary, summarize

__all__ = [
    "Cell",
    "Experiment",
    "Found",
    "NotMemorizedError",
    "Scores",
    "Settings",
    "Steps",
    "data_summary",
    "forget_set_summary",
    "method",
    "preset",
    "presets",
    "summarize",
    "write_scores",
]
