"""`unmemorize ensemble`: the store of subset models, as a file on disk."""

import json
from pathlib import Path
from typing import Annotated

import typer

from unmemorize import Ensemble
from unmemorize.cli.options import Config, Out

app = typer.Typer(help="Models that were each trained on a known subset: keep them, check them, carry them.")

Folder = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.")]


@app.command()
def describe(store: Folder, config: Config = None) -> None:
    """Print sizes, hashes, how many models hold what, bytes, and what is damaged, as JSON."""
    typer.echo(json.dumps(Ensemble.open(store).describe(), indent=2))


@app.command()
def verify(
    store: Folder,
    designs: Annotated[bool, typer.Option("--designs", help="Draw the designs anew and compare.")] = False,
    config: Config = None,
) -> None:
    """Check every byte of every entry; exit with 1 if one is damaged, or was not trained on what its design says."""
    found = Ensemble.open(store).verify(designs=designs)
    for name, problem in (*found.damaged.items(), *found.strayed.items()):
        typer.echo(f"{name}: {problem}")
    typer.echo(f"{len(found.whole)} whole, {len(found.damaged)} damaged, {len(found.unfinished)} unfinished")
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def merge(
    store: Folder,
    others: Annotated[list[Path], typer.Argument(metavar="OTHERS...", help="Stores to copy from.")],
    config: Config = None,
) -> None:
    """Copy the entries of other stores that this one does not have; they are left as they are."""
    ours = Ensemble.open(store)
    before = len(ours)
    for other in others:
        ours.merge(other)
    typer.echo(f"{store}: {len(ours)} models, {len(ours) - before} of them new")


@app.command()
def pack(
    store: Folder,
    out: Out,
    size: Annotated[int, typer.Option(min=1, metavar="MIB", help="Size of a file, at most, in MiB.")] = 1024,
    config: Config = None,
) -> None:
    """Copy a store into few files, to carry elsewhere; it is read like any other."""
    packed = Ensemble.open(store).pack(out, size=size << 20)
    typer.echo(f"{out}: {len(packed)} models in {len(list((out / 'packs').iterdir()))} files")
