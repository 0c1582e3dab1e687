import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("traintools", reason="the extra bench is not installed")
ROOT = Path(__file__).parents[2]


def test_all_peers_agree_with_ours_on_small_inputs():
    command = [sys.executable, "-m", "benches.peers", "--quick", "--seed", "7"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert sum(not line.startswith(" ") for line in done.stdout.splitlines()) == 31, "a line for each work"
