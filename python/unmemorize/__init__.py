"""Memorization-guided machine unlearning: measure, stratify, unlearn, audit, report.

Importing this package needs NumPy only: every name is loaded when it is first used, and only some need PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unmemorize import (
        audit,
        data,
        engine,
        ensemble,
        experiment,
        loops,
        models,
        proxies,
        report,
        score_files,
        stats,
        train,
        unlearn,
    )
    from unmemorize.audit.evaluate import evaluate
    from unmemorize.bits import BitMatrix
    from unmemorize.data import Data, Examples
    from unmemorize.ensemble import (
        Ensemble,
        Memorization,
        hybrid_memorization,
        influence,
        influence_topk,
        memorization,
        soft_memorization,
    )
    from unmemorize.events import LearningEvents
    from unmemorize.forget_set import ForgetSet
    from unmemorize.partition import strata
    from unmemorize.rum import RUM
    from unmemorize.train import Context

__version__ = "0.1.0"

_HOME = {  # public name -> its module; None: the name is a module itself
    "BitMatrix": "bits",
    "Context": "train",
    "Data": "data",
    "Ensemble": "ensemble",
    "Examples": "data",
    "ForgetSet": "forget_set",
    "LearningEvents": "events",
    "Memorization": "ensemble",
    "RUM": "rum",
    "audit": None,
    "data": None,
    "engine": None,
    "ensemble": None,
    "evaluate": "audit",
    "experiment": None,
    "hybrid_memorization": "ensemble",
    "influence": "ensemble",
    "influence_topk": "ensemble",
    "memorization": "ensemble",
    "loops": None,
    "models": None,
    "proxies": None,
    "report": None,
    "score_files": None,
    "soft_memorization": "ensemble",
    "stats": None,
    "strata": "partition",
    "train": None,
    "unlearn": None,
}

_EXTRA = {"torch": "train", "safetensors": "train", "matplotlib": "cli", "jinja2": "cli", "rich": "cli"}

__all__ = [
    "RUM",
    "BitMatrix",
    "Context",
    "Data",
    "Ensemble",
    "Examples",
    "ForgetSet",
    "LearningEvents",
    "Memorization",
    "audit",
    "data",
    "engine",
    "ensemble",
    "evaluate",
    "experiment",
    "hybrid_memorization",
    "influence",
    "influence_topk",
    "loops",
    "memorization",
    "models",
    "proxies",
    "report",
    "score_files",
    "soft_memorization",
    "stats",
    "strata",
    "train",
    "unlearn",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unmemorize' has no attribute {name!r}")
    try:
        module = import_module(f"unmemorize.{_HOME[name] or name}")
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise ImportError(
            f'unmemorize.{name} needs {error.name}: pip install "unmemorize[{_EXTRA[error.name]}]"'
        ) from error
    value = getattr(module, name) if _HOME[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
