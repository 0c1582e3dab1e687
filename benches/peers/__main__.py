"""Compares unmemorize with its peers.

    python -m benches.peers                          every work, printed
    python -m benches.peers events influence         works with a name that holds one of these
    python -m benches.peers --write                  into docs/benchmarks.md as well (`make peers`)
    python -m benches.peers --quick                  small sizes: does everything still run, and agree?

Each work runs in a process of its own; ours with narrower vectors takes its turns in others. Inputs are from a seed
that is new in every run.
"""

import argparse
import datetime
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from . import machine, page
from .measure import WORKS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.peers", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="works with a name that holds one of these; none: all")
    parser.add_argument("--quick", action="store_true", help="small sizes, one turn")
    parser.add_argument("--write", action="store_true", help="keep the records and write docs/benchmarks.md")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the inputs; default: a new one")
    wanted = parser.parse_args()
    names = [name for name in WORKS if not wanted.names or any(part in name for part in wanted.names)]
    if not names:
        parser.error(f"names: none of {', '.join(map(repr, WORKS))} holds {' or '.join(map(repr, wanted.names))}")
    if wanted.quick and wanted.write:
        parser.error("--quick measures nothing that could be written")

    facts = machine.describe() | {"limits": machine.limits()} if wanted.write else {}
    for record in run_quick(names, wanted.seed) if wanted.quick else run(names, wanted.seed):
        print(page.summary(record, WORKS[record["work"]]), flush=True)
        if wanted.write:
            page.write(record, facts)


def run(names: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """The record of each work, measured in a process of its own."""
    for name in names:
        (record,) = child([name], seed)
        yield record | {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}


def run_quick(names: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """All of them in one process: most of the time of a small run is spent on imports."""
    yield from child(names, seed, quick=True)


def child(names: list[str], seed: int, **options: bool) -> list[dict[str, Any]]:
    plan = json.dumps({"works": names, "seed": seed, **options})
    command = [sys.executable, "-m", f"{__package__}.measure", plan]
    lines = subprocess.run(command, env=machine.environment(), check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in lines.stdout.splitlines()]


if __name__ == "__main__":
    main()
