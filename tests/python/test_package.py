"""The package as a whole: what importing it costs, and what it offers."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import unmemorize

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_needs_numpy_only() -> None:
    code = "import sys, unmemorize, unmemorize.events, unmemorize.stats, unmemorize.forget_set, unmemorize.ensemble\n"
    code += (
        "print(sorted({'torch', 'scipy', 'sklearn', 'matplotlib', 'pyarrow'} & {m.split('.')[0] for m in sys.modules}))"
    )
    assert python(code) == "[]"


def test_a_missing_extra_is_named_with_the_pip_command() -> None:
    code = "import sys; sys.modules['torch'] = None; import unmemorize\n"
    code += "try: unmemorize.train\nexcept ImportError as error: print(error)"
    assert 'pip install "unmemorize[train]"' in python(code)


@pytest.mark.parametrize("name", unmemorize.__all__)
def test_every_public_name_is_there_and_described(name: str) -> None:
    assert getattr(unmemorize, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'memorisation'"):
        _ = unmemorize.memorisation


def test_one_version() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert cargo == unmemorize.__version__ == version("unmemorize")
