"""`unmemorize ensemble`: the store of subset models, as a file on disk."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from unmemorize import Ensemble, data, score_files
from unmemorize.cli import ensemble_train
from unmemorize.cli.files import read_source_ids
from unmemorize.cli.options import Config, Out, ValShare
from unmemorize.ensemble import export_models, import_models, published_memorization

app = typer.Typer(help="Models that were each trained on a known subset: keep them, check them, carry them.")

app.command("train")(ensemble_train.command)

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


@app.command()
def subset(
    store: Folder,
    out: Out,
    models: Annotated[list[str] | None, typer.Option("--model", help="Id or key of a model to keep.")] = None,
    ids: Annotated[Path | None, typer.Option(help="Training rows to keep, one a line.")] = None,
    config: Config = None,
) -> None:
    """Copy some models, or what all say of some training examples, to a new store."""
    rows = None if ids is None else read_source_ids(ids)
    part = Ensemble.open(store).subset(out, models=models or None, ids=rows)
    typer.echo(f"{out}: {len(part)} models of {part.header.n_train} training examples")


@app.command("export")
def export_(
    store: Folder,
    out: Annotated[Path, typer.Option("--out", help="File to write: .npz, .parquet or .arrow.")],
    config: Config = None,
) -> None:
    """Write a store as matrices for NumPy, or as a table of one row a model for Arrow."""
    typer.echo(str(export_models(Ensemble.open(store), out)))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What export wrote, or an .npz that others published.")],
    out: Annotated[Path, typer.Option("--out", help="Store to write; or a file for scores: .csv, .parquet or .npz.")],
    data_name: Annotated[str | None, typer.Option("--data", help="Data set that published scores are of.")] = None,
    val_share: ValShare = 0.1,
    data_hash: Annotated[str | None, typer.Option(help="Of a store's data, if the file does not say.")] = None,
    recipe_hash: Annotated[str | None, typer.Option(help="Of a store's recipe, if the file does not say.")] = None,
    config: Config = None,
) -> None:
    """Read a table or matrices of models into a store, or published scores (memorization, tr_mem) into a score file."""
    if data_name is None:
        store = import_models(file, out, data_hash=data_hash, recipe_hash=recipe_hash)
        typer.echo(f"{out}: {len(store)} models of {store.header.n_train} training examples")
    else:
        train = data.load(data_name, val_share=val_share).train
        score = published_memorization(file, train.source_ids, labels=train.labels)
        columns = {"id": train.ids.numpy(), "source_id": train.source_ids, "memorization": score}
        score_files.write(out, columns)
        typer.echo(f"{out}: scores of {np.isfinite(score).sum()} of {len(score)} training examples")
