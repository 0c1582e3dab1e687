"""Tuned hyper-parameters as data, and the methods they make."""

import tomllib
from importlib.resources import files
from typing import Any

from unmemorize import unlearn
from unmemorize.ensemble import Ensemble
from unmemorize.experiment.settings import PLANS, Cell
from unmemorize.rum import RUM

Steps = list[dict[str, Any]]  # hyper-parameters, one table for each step of the plan


def presets() -> list[str]:
    """Names of the presets that ship with the package."""
    folder = files("unmemorize") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def preset(name: str) -> dict[str, Any]:
    """A preset: `study` says how it was tuned, `cells` holds the steps of each method by its key.

    Raises:
        ValueError: no preset has this name.
    """
    if name not in presets():
        raise ValueError(f"preset: no preset {name!r}; known are {', '.join(presets())}")
    return tomllib.loads((files("unmemorize") / "presets" / f"{name}.toml").read_text(encoding="utf-8"))


def method(cell: Cell, steps: Steps, *, ensemble: Ensemble | None = None, seed: int = 0) -> Any:
    """The algorithm or RUM plan that `cell` names, with the hyper-parameters of each step.

    Args:
        cell: algorithm, plan and scores.
        steps: one table for "vanilla", one for each stratum otherwise, lowest stratum first.
        ensemble: where `out_of_sample` takes its targets from.
        seed: draws the random parts of plan "shuffle".

    Raises:
        ValueError: unknown plan or algorithm, or a wrong number of steps.
    """
    extra = {} if ensemble is None else {"ensemble": ensemble}
    algorithms = [unlearn.make(cell.algorithm, **table, **extra) for table in steps]
    if cell.plan == "vanilla":
        if len(algorithms) != 1:
            raise ValueError(f"steps: expected 1 for plan 'vanilla', got {len(algorithms)}")
        return algorithms[0]
    if cell.plan == "shuffle":
        return RUM.shuffle(algorithms, seed)
    if cell.plan == "rum":
        return RUM.refine(algorithms)
    raise ValueError(f"plan: no plan {cell.plan!r}; known are {', '.join(PLANS)}")
