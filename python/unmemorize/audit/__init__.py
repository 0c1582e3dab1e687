"""Audits: how close an unlearned model is to one that never saw the forget set. No module here needs PyTorch itself."""

from unmemorize.audit.epsilon import EpsilonInterval, epsilon, epsilon_interval
from unmemorize.audit.evaluate import (
    METRICS,
    Comparison,
    Evaluation,
    Measurement,
    compare,
    evaluate,
    measure,
)
from unmemorize.audit.klom import klom
from unmemorize.audit.lira import ULira, lira, u_lira
from unmemorize.audit.rmia import rmia
from unmemorize.audit.roc import Roc, Sweep, roc
from unmemorize.audit.svc_mia import class_balanced, svc_mia
from unmemorize.audit.tow import Tow, TowMia, tow, tow_interval, tow_mia

__all__ = [
    "METRICS",
    "Comparison",
    "EpsilonInterval",
    "Evaluation",
    "Measurement",
    "Roc",
    "Sweep",
    "Tow",
    "TowMia",
    "ULira",
    "class_balanced",
    "compare",
    "epsilon",
    "epsilon_interval",
    "evaluate",
    "klom",
    "lira",
    "measure",
    "rmia",
    "roc",
    "svc_mia",
    "tow",
    "tow_interval",
    "tow_mia",
    "u_lira",
]
