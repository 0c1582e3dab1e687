"""`unmemorize evaluate`: unlearned models against retrained ones."""

import json
import warnings
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from torch import nn

from unmemorize import Context, ForgetSet, data, report
from unmemorize import evaluate as compare
from unmemorize._files import write_durably
from unmemorize.cli import manifest
from unmemorize.cli.files import read_model
from unmemorize.cli.options import (
    Config,
    DataName,
    DataSeed,
    Device,
    ModelName,
    Noise,
    Normalize,
    Out,
    Seed,
    Threads,
    ValShare,
)
from unmemorize.data import Data


def command(
    unlearned: Annotated[list[Path], typer.Option(help="An unlearned checkpoint; repeat for more seeds.")],
    oracle: Annotated[list[Path], typer.Option(help="A checkpoint retrained without the forget set; repeat.")],
    forget_set: Annotated[Path, typer.Option(help="The manifest of what was forgotten.")],
    data_name: DataName,
    out: Out,
    model_name: ModelName = None,
    noise: Noise = 0.0,
    val_share: ValShare = 0.1,
    normalize: Normalize = True,
    data_seed: DataSeed = 0,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 1,
    config: Config = None,
) -> None:
    """Compare accuracies and membership with retraining: evaluation.json and a table."""
    torch.set_num_threads(threads)
    ctx = Context(device=device, seed=seed)
    of = data.load(
        data_name, val_share=val_share, normalize=normalize, noise=noise, seed=data_seed, device=str(ctx.device)
    )
    forget = ForgetSet.load(forget_set)
    identity = manifest.claim(
        out,
        command="evaluate",
        data_hash=of.hash,
        forget_hash=forget.hash,
        seed=seed,
        unlearned=unlearned,
        oracle=oracle,
    )
    ours, oracles = ([_read(path, of, model_name, forget) for path in paths] for paths in (unlearned, oracle))
    evaluation = compare(ours, oracles, of, forget, ctx)
    path = out / "evaluation.json"
    write_durably(path, (json.dumps(evaluation.to_dict(), indent=2) + "\n").encode())
    manifest.write(out, identity=identity)
    row = report.ComparisonRow("unlearned", evaluation=evaluation)
    results = report.Results(title="", seeds={}, versions={}, comparison=(row,))
    Console().print(report.terminal_table(results), path)


def _read(path: Path, of: Data, name: str | None, forget: ForgetSet) -> nn.Module:
    """A checkpoint's network; one that forgot another set is refused, one that forgot nothing is warned of."""
    model, origin = read_model(path, of, name)
    forgot = origin.get("forget_hash")
    if forgot is None:
        warnings.warn(f"{path}: does not say what it forgot; it is taken as it is", stacklevel=2)
    elif forgot != forget.hash:
        raise ValueError(f"{path}: forgot set {forgot[:12]}, the manifest is of set {forget.hash[:12]}; give its own")
    return model
