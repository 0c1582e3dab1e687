"""Audits: how close an unlearned model is to one that never saw the forget set. No module here needs PyTorch itself."""

from unmemorize.audit.evaluate import (
    METRICS,
    Comparison,
    Evaluation,
    Measurement,
    compare,
    evaluate,
    measure,
)
from unmemorize.audit.svc_mia import class_balanced, svc_mia
from unmemorize.audit.tow import Tow, TowMia, tow, tow_mia

__all__ = [
    "METRICS",
    "Comparison",
    "Evaluation",
    "Measurement",
    "Tow",
    "TowMia",
    "class_balanced",
    "compare",
    "evaluate",
    "measure",
    "svc_mia",
    "tow",
    "tow_mia",
]
