"""The manifest that every command leaves beside what it writes: enough to run it again."""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unmemorize import _arrays
from unmemorize._files import write_durably

PACKAGES = ("unmemorize", "numpy", "torch", "scikit-learn", "safetensors", "torchvision", "optuna")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> str:
    """The processor, its usable cores, and the GPUs."""
    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch else []
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return ", ".join([f"{_arrays.threads(None)} cores of {name}", *gpus])


def command_line() -> str:
    """The command as it was given."""
    return " ".join(["unmemorize", *sys.argv[1:]])


def claim(folder: Path, **identity: Any) -> dict[str, Any]:
    """Make `folder` for a run that `identity` tells from all others; run again, it is the same run.

    Raises:
        FileExistsError: a manifest there is of another run.
    """
    identity = json.loads(json.dumps(identity, default=str))
    path = folder / "manifest.json"
    found = json.loads(path.read_text(encoding="utf-8")).get("identity", {}) if path.exists() else identity
    for key in sorted(identity.keys() | found.keys()):
        if found.get(key) != identity.get(key):
            raise FileExistsError(
                f"{folder}: holds another run, with {key} {found.get(key)!r} where this one has {identity.get(key)!r}; "
                "name another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    return identity


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
