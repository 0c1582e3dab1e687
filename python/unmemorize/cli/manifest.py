"""The manifest that every command leaves beside what it writes: enough to run it again."""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unmemorize._files import write_durably

PACKAGES = ("unmemorize", "numpy", "torch", "scikit-learn", "safetensors", "torchvision")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def command_line() -> str:
    """The command as it was given."""
    return " ".join(["unmemorize", *sys.argv[1:]])


def write(folder: Path, **content: Any) -> Path:
    """Write folder/manifest.json: the command, versions, machine, time, and `content`."""
    path = folder / "manifest.json"
    manifest = {
        "command": command_line(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "platform": platform.platform(),
        **content,
    }
    write_durably(path, (json.dumps(manifest, indent=2) + "\n").encode())
    return path
