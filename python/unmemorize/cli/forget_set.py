"""`unmemorize forget-set`: which examples to forget, in which strata."""

from pathlib import Path
from typing import Annotated

import typer
from rich import print as say

from unmemorize import ForgetSet, data, score_files
from unmemorize.cli.files import name_twins, read_source_ids, rows_of
from unmemorize.cli.options import Config, DataName, DataSeed, Noise, Normalize, Seed, ValShare, WithTwins


def command(
    data_name: DataName,
    out: Annotated[Path, typer.Option("--out", help="Manifest to write (.json).")],
    ids: Annotated[Path | None, typer.Option(help="Your own list: a CSV file with source ids.")] = None,
    scores: Annotated[Path | None, typer.Option(help="Scores by source_id: .csv, .parquet or .npz.")] = None,
    by: Annotated[str, typer.Option(help="The score's column; higher = more memorized.")] = "memorization",
    size: Annotated[int, typer.Option(min=1, help="Examples to forget, all strata together.")] = 135,
    strata: Annotated[int, typer.Option(min=1, help="Number of strata by score: of --ids any, else 2 or 3.")] = 3,
    medium: Annotated[str, typer.Option(help="What the medium stratum is nearest to: median or a number.")] = "median",
    with_twins: WithTwins = False,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    config: Config = None,
) -> None:
    """Choose a forget set by score, at random, or from a list of ids, and write its manifest."""
    of = data.load(data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed)
    labels = of.train.labels.cpu().numpy()
    score = None if scores is None else score_files.column(scores, by, of.train.source_ids)
    if ids is not None:
        rows = rows_of(read_source_ids(ids), of)
        own = None if score is None else score[rows]
        chosen = ForgetSet.from_ids(rows, score=own, strata=strata if score is not None else 1, labels=labels,
                                    data_hash=of.hash)  # fmt: skip
    elif score is not None:
        middle = "median" if medium == "median" else float(medium)
        chosen = ForgetSet.by_score(score, size, strata=strata, medium=middle, labels=labels, data_hash=of.hash)
    else:
        chosen = ForgetSet.random(len(of.train), size, seed=seed, labels=labels, data_hash=of.hash)
    (chosen,), notes = name_twins([chosen], of, with_twins)
    out.parent.mkdir(parents=True, exist_ok=True)
    chosen.save(out)
    sizes = ", ".join(f"{name} {len(chosen.stratum(name))}" for name in chosen.names)
    say(f"{out}: {len(chosen.ids)} of {len(of.train)} examples ({sizes}), hash {chosen.hash[:12]}")
    for note in notes:
        say(note)
