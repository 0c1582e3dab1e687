"""The application: its commands, and what a user sees when something goes wrong."""

import os
import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console

from unmemorize import __version__
from unmemorize.cli import (
    bench,
    compare,
    demo,
    ensemble,
    estimate,
    evaluate,
    forget_set,
    purge,
    report,
    score,
    train,
    tune,
    unlearn,
)

WRONG_VALUE = (ValueError, TypeError, IndexError, KeyError, ImportError)
WRONG_PATH = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
WRONG_USE = (*WRONG_VALUE, *WRONG_PATH)
FAILED = (RuntimeError, OSError)

app = typer.Typer(
    name="unmemorize",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (demo, train, score, forget_set, unlearn, evaluate, report, compare, tune, bench, purge, estimate):
    name = command.__name__.rsplit(".", 1)[-1].replace("_", "-")
    app.command(name)(command.command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"unmemorize {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Memorization-guided machine unlearning: measure, stratify, unlearn, audit, report."""


app.add_typer(ensemble.app, name="ensemble", no_args_is_help=True)


def run() -> None:
    """Run and exit; a user's slip is one line on standard error. `UNMEMORIZE_TRACEBACK=1` shows where it came from."""
    warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
    try:
        app()
    except (*WRONG_USE, *FAILED) as error:
        if os.environ.get("UNMEMORIZE_TRACEBACK"):
            raise
        _say(_one_line(error))
        sys.exit(2 if isinstance(error, WRONG_USE) else 1)


def _one_line(error: BaseException) -> str:
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(message).split()) or type(error).__name__


def _say(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"unmemorize: {message}")
