"""One comparison from end to end: methods under a preset, over seeds, in one resumable folder."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unmemorize.engine import Executor
from unmemorize.experiment.comparison import tidy, values
from unmemorize.experiment.methods import WITHOUT_STRATA, Cell, grid
from unmemorize.experiment.pipeline import Begin, Experiment, Found, Progress
from unmemorize.experiment.presets import preset, tuned
from unmemorize.experiment.settings import Settings
from unmemorize.experiment.summary import caption, summarize
from unmemorize.experiment.tasks import recipe_of
from unmemorize.results import Results


@dataclass(frozen=True, eq=False)
class Compared:
    """What `compare` found."""

    found: Found
    results: Results  # what `unmemorize.report` lays out
    table: dict[str, NDArray[Any]]  # one row for each method, seed, group and metric, as `comparison.tidy` describes


def compare(
    folder: str | Path,
    settings: Settings,
    cells: Sequence[Cell],
    preset_name: str | Path,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    begin: Begin = lambda stage, tasks: None,
    progress: Progress | None = None,
    versions: Mapping[str, str] | None = None,
    command: str = "",
) -> Compared:
    """Compare methods with retraining, doing nothing as the floor and retraining as the ceiling.

    Interrupted or killed, the same call goes on where it was.

    Args:
        folder: of the experiment.
        settings: data, recipe, seeds and sizes.
        cells: the methods, of `grid`.
        preset_name: their hyper-parameters: a preset's name, or the path of one.
        workers: as of `Experiment`; so too `executor` and `progress`.
        executor: see there.
        begin: called as (stage, number of tasks) before each stage.
        progress: see there.
        versions: what it is made with, for the report.
        command: what it is made by, for the report.

    Raises:
        ValueError: the preset does not know a method.
        FileExistsError: the folder holds something else.
    """
    methods = tuned(_framed(cells, settings), preset_name, settings.recipe)  # a slip claims no folder
    study = Experiment(Path(folder), settings, workers=workers, executor=executor, progress=progress)
    found = study.run(methods, begin)
    begin("audit", 1)
    about = preset(preset_name)["study"]
    results = summarize(study, found, about, versions=dict(versions or {}), command=command, title=_title(study, about))
    hashes = {name: forget_set.hash for name, forget_set in found.forget_sets.items()}
    table = tidy(values(found), found.steps, settings, hashes, _provenance(study, results, about))
    return Compared(found, results, table)


def _framed(cells: Sequence[Cell], settings: Settings) -> list[Cell]:
    """Forget set by forget set: its floor, its methods, its ceiling."""
    floor, ceiling = (grid([name], scores=settings.scores, protocol=settings.protocol) for name in WITHOUT_STRATA)
    return [
        cell
        for at in floor
        for cell in (*floor, *cells, *ceiling)
        if cell.forgets(settings.protocol) == at.forgets(settings.protocol)
    ]


def _title(study: Experiment, about: Mapping[str, Any]) -> str:
    settings, recipe = study.settings, recipe_of(study.settings)
    return (
        f"Unlearning methods on {Path(settings.data).stem}: n = {len(study.data.train)}, |S| = {settings.size}, "
        f"T = {settings.models}, {recipe.epochs} epochs of {recipe.model}, {settings.runs} paired seeds, "
        f"{caption(settings, about)}"
    )


def _provenance(study: Experiment, results: Results, about: Mapping[str, Any]) -> dict[str, Any]:
    """What is the same in every row of the table."""
    recipe = recipe_of(study.settings)
    own = {"data_hash": study.data.hash, "n_train": len(study.data.train)}
    own |= {"network": recipe.model, "epochs": recipe.epochs}
    settings = {key: value for key, value in asdict(study.settings).items() if not isinstance(value, tuple)}
    tuning = {f"tuning_{key}": about[key] for key in ("mode", "protocol", "trials", "seed") if key in about}
    versions = {f"version_{key}": value for key, value in results.versions.items()}
    return own | settings | tuning | versions | {"command": results.command}
