"""`unmemorize purge`: nothing in a run folder that was made from a forgotten example is left, or it is named."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from unmemorize import Ensemble, LearningEvents, data, report
from unmemorize._files import UNFINISHED, write_durably
from unmemorize.cli.files import read_source_ids, rows_of
from unmemorize.cli.options import Config, DataSeed, Noise, Normalize, ValShare
from unmemorize.data import Data
from unmemorize.experiment import Settings
from unmemorize.results import Results


def command(
    folder: Annotated[Path, typer.Argument(help="A run folder, or another of a single data set.")],
    ids: Annotated[Path, typer.Option(help="What to forget: a CSV file with source ids.")],
    data_name: Annotated[str | None, typer.Option("--data", help="Data set; a run folder knows its own.")] = None,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    config: Config = None,
) -> None:
    """Drop every subset model, learning event, score and thumbnail of forgotten examples; name what is left to do.

    Interrupted, the same command ends its work. Subset models are trained again, without these examples, by
    `unmemorize ensemble train`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    if data_name is None:
        of = _own_data(folder)
    else:
        of = data.load(data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed)
    rows = np.unique(rows_of(read_source_ids(ids), of))
    said = [
        *_stores(folder, of, rows, dry_run),
        *_events(folder, of, rows, dry_run),
        *_scores(folder, of, rows, dry_run),
        *_thumbnails(folder, of, rows, dry_run),
        *_left(folder),
    ]
    for line in said:
        typer.echo(line)
    typer.echo(f"{'would forget' if dry_run else 'forgot'} {len(rows)} examples of {of.name!r}")


def _own_data(folder: Path) -> Data:
    if not (folder / "settings.json").exists():
        raise ValueError(f"{folder}: does not say which data it is of; give --data as it was loaded")
    own = Settings.load(folder)
    return data.load(own.data, val_share=own.val_share, normalize=own.normalize, noise=own.noise, seed=own.data_seed)


def _stores(folder: Path, of: Data, rows: np.ndarray, dry_run: bool) -> list[str]:
    said = []
    for header in sorted(folder.rglob("ensemble.json")):
        store = Ensemble.open(header.parent)
        if store.header.n_train != len(of.train) or store.header.data_hash not in (None, of.hash):
            said.append(f"{store.path}: left alone, of other data")
            continue
        found = store.purge(rows, dry_run=dry_run)
        if not dry_run:  # what is not in the store is not done
            for entry in found.dropped:
                (folder / "tasks" / f"{entry['key']}.json").unlink(missing_ok=True)
        names = ", ".join(entry["key"] or entry["id"] for entry in found.dropped)
        said.append(f"{store.path}: {len(found.dropped)} models dropped, to be trained again, {found.kept} kept"
                    + (f": {names}" if names else ""))  # fmt: skip
        said += [f"{store.path}: {name} dropped, damaged or unfinished" for name in found.files]
    return said


def _events(folder: Path, of: Data, rows: np.ndarray, dry_run: bool) -> list[str]:
    said = []
    for path in sorted(folder.rglob("events*.safetensors")):
        events = LearningEvents.load(path)
        held = int((events.seen[rows] > 0).sum()) if len(events) == len(of.train) else 0
        if held:
            said.append(f"{path}: learning events of {held} examples dropped")
            if not dry_run:
                events.forget(rows).save(path)
    return said


def _scores(folder: Path, of: Data, rows: np.ndarray, dry_run: bool) -> list[str]:
    said, gone = [], {str(number) for number in of.train.source_ids[rows]}
    for path in sorted(folder.rglob("scores.csv")):
        lines = list(csv.reader(StringIO(path.read_text(encoding="utf-8"))))
        if not lines or "source_id" not in lines[0]:
            continue
        at = lines[0].index("source_id")
        kept = [line for line in lines if len(line) <= at or line[at] not in gone]
        if len(kept) < len(lines):
            said.append(f"{path}: scores of {len(lines) - len(kept)} examples dropped")
            if not dry_run:
                text = StringIO()
                csv.writer(text, lineterminator="\n").writerows(kept)
                write_durably(path, text.getvalue().encode())
    return said


def _thumbnails(folder: Path, of: Data, rows: np.ndarray, dry_run: bool) -> list[str]:
    said, gone = [], set(rows.tolist())
    for path in sorted(folder.rglob("results.json")):
        results = report.read(path.parent)
        kept = _without(results, gone)
        count = _images(results) - _images(kept)
        if count:
            said.append(f"{path.with_name('report.html')}: {count} images dropped")
        if count and not dry_run:
            report.write(kept, path.parent)
    return said


def _without(results: Results, gone: set[int]) -> Results:
    sets = tuple(
        replace(
            forget_set,
            strata=tuple(
                replace(stratum, samples=tuple(sample for sample in stratum.samples if sample.id not in gone))
                for stratum in forget_set.strata
            ),
        )
        for forget_set in results.forget_sets
    )
    return replace(results, forget_sets=sets)


def _images(results: Results) -> int:
    return sum(len(stratum.samples) for forget_set in results.forget_sets for stratum in forget_set.strata)


def _left(folder: Path) -> list[str]:
    """What this command cannot mend: networks and the states of trainings, which were made from every example."""
    networks = [
        path
        for pattern in ("model*.safetensors", "state.safetensors", f".*{UNFINISHED}")
        for path in sorted(folder.rglob(pattern))
    ]
    return [f"{path}: left; made from the examples: unlearn or remove it" for path in networks]
