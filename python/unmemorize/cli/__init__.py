"""The command line: one file per command, each of which parses, calls the library and writes."""

import sys


def main() -> None:
    """Run the command that `sys.argv` names; exit with 0, 1 (failed) or 2 (wrong use)."""
    try:
        from unmemorize.cli.app import run
    except ImportError as error:
        sys.exit(f'unmemorize: {error}; the command line needs: pip install "unmemorize[cli]"')
    run()
