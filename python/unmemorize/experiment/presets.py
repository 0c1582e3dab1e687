"""Tuned hyper-parameters as data: TOML files, those that ship with the package and the user's own."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from unmemorize import unlearn
from unmemorize._files import write_durably
from unmemorize.experiment.methods import Cell, Steps


def presets() -> list[str]:
    """Names of the presets that ship with the package."""
    folder = files("unmemorize") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def preset(name: str | Path) -> dict[str, Any]:
    """A preset: `study` says how it was tuned, `cells` holds the steps of each method by its key.

    Args:
        name: of one that ships with the package, or the path of a .toml file that `unmemorize tune` wrote.

    Raises:
        ValueError: no preset has this name, or the file is none.
        FileNotFoundError: no such file.
    """
    shipped = str(name) in presets()
    if not shipped and Path(name).suffix != ".toml":
        raise ValueError(f"preset: no preset {str(name)!r}; known are {', '.join(presets())}, or a .toml file of yours")
    path = files("unmemorize") / "presets" / f"{name}.toml" if shipped else Path(name)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: not TOML: {error}") from None
    if missing := {"study", "cells"} - found.keys():
        raise ValueError(f"{name}: no preset, as it has no table {min(missing)!r}")
    if not all(isinstance(found[table], dict) for table in ("study", "cells")):
        raise ValueError(f"{name}: no preset, as 'study' and 'cells' are to be tables")
    if missing := {"objective", "trials", "runs", "seed"} - found["study"].keys():
        raise ValueError(f"{name}: no preset, as its table 'study' has no {min(missing)!r}")
    return found


def tuned(cells: Iterable[Cell], preset_name: str | Path, recipe: str) -> dict[Cell, Steps]:
    """The steps of each method from a preset; the floor, the ceiling and plans with steps of their own need none there.

    Raises:
        ValueError: the preset does not know one of `cells`, or nobody knows its algorithm.
    """
    known: Mapping[str, Steps] = preset(preset_name)["cells"]
    fixed: dict[str, Steps] = {"nothing": [{}], "retrain": [{"recipe": recipe}]}
    found = {}
    for cell in cells:
        whole = Cell(cell.algorithm, cell.plan).key  # of a plan by no score there may be one entry for all forget sets
        steps = fixed.get(cell.algorithm) or cell.rules.get("steps") or known.get(cell.key) or known.get(whole)
        if steps is None:
            unlearn.find(cell.algorithm)  # one that nobody knows is said to be that
            raise ValueError(lacks(preset_name, cell.key))
        found[cell] = steps
    return found


def lacks(name: str | Path, key: str) -> str:
    """What to say of a method that is not in a preset: which of those that ship have it, or what else there is."""
    others = [other for other in presets() if key in preset(other)["cells"]]
    mend = f"{' and '.join(others)} has it" if others else f"it has {', '.join(preset(name)['cells'])}"
    return f"preset {str(name)!r}: has no {key!r}; {mend}"


def write_preset(path: Path, study: Mapping[str, Any], cells: Mapping[str, Mapping[str, Any]]) -> None:
    """A preset as TOML: how it was tuned, then each method's steps and what they reached."""
    lines = ["[study]", *(f"{key} = {_toml(value)}" for key, value in study.items()), "", "[cells]"]
    for key, found in cells.items():
        tables = [", ".join(f"{name} = {_toml(value)}" for name, value in step.items()) for step in found["steps"]]
        lines += [f"{key} = [  # {found['value']:.4f}", *(f"    {{ {table} }}," for table in tables), "]"]
    write_durably(path, ("\n".join(lines) + "\n").encode())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # a string, a number or a boolean is written alike in TOML and JSON
