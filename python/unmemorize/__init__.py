"""Memorization-guided machine unlearning: measure, stratify, unlearn, audit, report.

Importing this package needs NumPy only; the names that need PyTorch are loaded when they are first used.
"""

from importlib import import_module
from typing import Any

from unmemorize import stats
from unmemorize.bits import BitMatrix
from unmemorize.ensemble import (
    Ensemble,
    Memorization,
    influence,
    influence_topk,
    memorization,
)
from unmemorize.events import LearningEvents
from unmemorize.forget_set import ForgetSet
from unmemorize.partition import strata

__version__ = "0.1.0"

_LAZY = {  # name -> module; None: the name is the module
    "Context": "unmemorize.train",
    "Data": "unmemorize.data",
    "Examples": "unmemorize.data",
    "RUM": "unmemorize.rum",
    "evaluate": "unmemorize.audit",
    "audit": None,
    "data": None,
    "engine": None,
    "experiment": None,
    "models": None,
    "report": None,
    "rum": None,
    "train": None,
    "unlearn": None,
}

__all__ = [
    "BitMatrix",
    "Ensemble",
    "ForgetSet",
    "LearningEvents",
    "Memorization",
    "influence",
    "influence_topk",
    "memorization",
    "stats",
    "strata",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'unmemorize' has no attribute {name!r}")
    home = _LAZY[name]
    value = import_module(f"unmemorize.{name}") if home is None else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
