"""The options that several commands share, and `--config`, which every command takes."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file become defaults; what stands on the command line wins."""
    if path is None:
        return None
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise typer.BadParameter(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: not TOML: {error}") from None
    known = {
        name.removeprefix("--"): parameter.name
        for parameter in context.command.params
        for name in parameter.opts
        if parameter.name != "config"
    }
    for key in values:
        if key not in known:
            raise typer.BadParameter(f"{path}: no option {key!r}; known are {', '.join(sorted(known))}")
    context.default_map = {str(known[key]): value for key, value in values.items()}
    return path


Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.toml", callback=_read_config, is_eager=True, help="Options from a file."),
]
DataName = Annotated[str, typer.Option("--data", help="A data set's name, a folder of class folders, or an .npz file.")]
Noise = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of training labels to flip.")]
ValShare = Annotated[
    float, typer.Option(min=0.0, max=0.99, help="Share of a training set without a validation set that becomes one.")
]
Normalize = Annotated[bool, typer.Option(help="Centre and scale each channel by its statistics.")]
DataSeed = Annotated[int, typer.Option(min=0, help="Seed of the label flips.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything else that is random.")]
WithTwins = Annotated[bool, typer.Option("--with-twins", help="Forget identical images too, wherever they are.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int,
    typer.Option(min=1, help="PyTorch's threads on the CPU; with 1 the numbers do not depend on the machine's cores."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; default: one for each usable core.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="Network of a checkpoint that does not name it: a known name, or module:function of yours."
    ),
]
Algorithms = Annotated[str | None, typer.Option(help="Unlearning algorithms, by comma; default: all of them.")]
Plans = Annotated[
    str, typer.Option(help="Plans that ship (vanilla, shuffle, rum, reversed, published, ...) and FILE.toml, by comma.")
]
CutBy = Annotated[str, typer.Option("--scores", help="What cuts the strata: exact and names of proxies, by comma.")]
Protocol = Annotated[
    str,
    typer.Option(
        help="fixed-S: all forget one set, chosen by exact score; paper: each score chooses a set and cuts it."
    ),
]
Models = Annotated[int, typer.Option(min=4, help="Subset models of the ensemble.")]
Mode = Annotated[
    str,
    typer.Option(help="What a trial is judged by: oracle (retrained models), or validation (no oracle, no test set)."),
]


def listed(names: str) -> tuple[str, ...]:
    """The names of an option that takes several, by comma; one that is given twice counts once.

    Raises:
        ValueError: there is none.
    """
    found = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise ValueError(f"expected names, by comma, got {names!r}")
    return found
