"""The command line: one file per command, each of which parses, calls the library and writes."""

import sys


def main() -> None:
    """Run the command that `sys.argv` names; exit with 0, 1 (failed), 2 (wrong use) or 130 (Ctrl-C)."""
    try:
        from unmemorize.cli.app import run
    except ImportError as error:
        print(f'unmemorize: {error}; the command line needs: pip install "unmemorize[cli]"', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    run()
