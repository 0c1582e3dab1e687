"""What an experiment found, as the results that the report lays out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unmemorize import partition, stats
from unmemorize.data import Data
from unmemorize.experiment import comparison
from unmemorize.experiment.methods import FIXED, PAPER
from unmemorize.experiment.pipeline import Experiment, Found, Scores
from unmemorize.experiment.settings import Settings
from unmemorize.experiment.tasks import recipe_of
from unmemorize.forget_set import ForgetSet
from unmemorize.results import (
    DataSummary,
    EnsembleSummary,
    ForgetSetSummary,
    OriginalSummary,
    Profile,
    ProxyRow,
    Results,
    Sample,
    StratumSummary,
    png,
)
from unmemorize.stats import Estimate

SAMPLES = 12  # images shown of each stratum
PROTOCOL = {
    FIXED: "Protocol fixed-S: one forget set, chosen by exact score. A plan may cut its strata by a proxy; every "
    "method is judged on the strata of the exact score.",
    PAPER: "Protocol paper: each score chooses a forget set of its own and cuts it, and a method is judged on its "
    "strata, against oracles that were retrained without it. Methods of different scores forget different examples: "
    "compare within one score only.",
}


def summarize(
    study: Experiment,
    found: Found,
    tuning: Mapping[str, Any],
    *,
    versions: dict[str, str],
    command: str = "",
    title: str = "",
) -> Results:
    """Every number of the report.

    Args:
        study: the experiment.
        found: what its stages returned.
        tuning: where the hyper-parameters come from, the table `study` of a preset.
        versions: what it was made with.
        command: what it was made by.
        title: for people; it holds what the numbers depend on.
    """
    of, settings = study.data, study.settings
    exact, values = next(iter(found.forget_sets.values())), comparison.values(found)
    return Results(
        title=title or f"{len(exact.ids)} of {len(of.train)} {settings.data} examples unlearned",
        seeds=settings.seeds(),
        versions=versions,
        command=command,
        data=data_summary(of, settings.noise),
        original=_original(study, found),
        ensemble=_ensemble(study, found),
        profile=_profile(of, found.scores, exact),
        proxies=_proxies(study, found),
        forget_sets=tuple(forget_set_summary(name, s, of) for name, s in found.forget_sets.items()),
        caption=caption(settings, tuning),
        comparison=comparison.rows(values, found.steps, settings.protocol),
        paired=comparison.paired(values, settings.protocol),
        verdicts=comparison.verdicts(values, settings.protocol),
        notes=_notes(study.settings, tuning),
    )


def caption(settings: Settings, tuning: Mapping[str, Any]) -> str:
    """What every row of the comparison depends on."""
    protocol = tuning.get("protocol", FIXED)  # a study that names none is older than the other one
    tuned = f"{tuning.get('mode', 'oracle')}-tuned" + (f" under {protocol}" if protocol != settings.protocol else "")
    recipe = tuning.get("recipe", settings.recipe)
    elsewhere = f" with recipe {recipe}" if recipe != settings.recipe else ""
    return f"protocol {settings.protocol}, {tuned}{elsewhere}, {tuning['trials']} trials a method"


def data_summary(of: Data, noise: float = 0.0) -> DataSummary:
    """Sizes and hash of a data set."""
    sizes = (len(of.train), len(of.val), len(of.test))
    return DataSummary(of.name, *sizes, of.n_classes, noise, int(of.flipped.sum()), of.hash)


def forget_set_summary(name: str, forget_set: ForgetSet, of: Data) -> ForgetSetSummary:
    """A manifest with some images of each stratum, the most memorized first."""
    rule = ", ".join(f"{key} {str(value)[:16]}" for key, value in forget_set.rule.items())
    strata = tuple(_stratum(forget_set, k, of) for k in range(len(forget_set.names)))
    return ForgetSetSummary(name, rule, forget_set.hash, strata)


def _stratum(forget_set: ForgetSet, k: int, of: Data) -> StratumSummary:
    inside = forget_set.strata == k
    ids = forget_set.ids[inside]
    scores = np.full(len(ids), np.nan) if forget_set.scores is None else forget_set.scores[inside]
    order = np.argsort(-scores, kind="stable")
    labels = of.train.labels.cpu().numpy()
    samples = tuple(
        Sample(
            id=int(of.train.source_ids[row]),
            label=str(labels[row]),
            true_label=str(of.true_labels[row]),
            score=float(score),
            png=png(of.train.images[row].cpu().numpy()),
        )
        for row, score in zip(ids[order][:SAMPLES], scores[order][:SAMPLES], strict=True)
    )
    low, high = (float(scores.min()), float(scores.max())) if len(ids) else (np.nan, np.nan)
    return StratumSummary(forget_set.names[k], len(ids), int(of.flipped[ids].sum()), low, high, samples)


def _original(study: Experiment, found: Found) -> OriginalSummary:
    accuracy = {
        split: stats.t_interval([result[split] for result in found.originals]) for split in ("train", "val", "test")
    }
    recipe = recipe_of(study.settings)
    return OriginalSummary(recipe.model, study.settings.recipe, accuracy, _seconds(found.originals))


def _ensemble(study: Experiment, found: Found) -> EnsembleSummary:
    return EnsembleSummary(
        models=study.settings.models,
        ratio=study.settings.ratio,
        design="balanced",
        reliability=found.scores.reliability,
        recall_at_flips=recall_of_flips(found.scores.exact, study.data.flipped),
        seconds=sum(result["seconds"] for result in found.references),
    )


def _profile(of: Data, scores: Scores, exact: ForgetSet) -> Profile:
    stratum = np.full(len(of.train), -1)
    stratum[exact.ids] = exact.strata
    return Profile(of.train.source_ids, scores.exact, scores.std_error, scores.proxies, of.flipped, stratum)


def _proxies(study: Experiment, found: Found) -> tuple[ProxyRow, ...]:
    """Learning events cost nothing beyond the training run that they watch: their cost is that run's overhead."""
    scores, flipped = found.scores, study.data.flipped
    exact_seconds = sum(result["seconds"] for result in found.references)
    exact = next(iter(found.forget_sets.values()))
    spent = {name: scores.seconds.get(name, found.originals[0]["events_seconds"]) for name in scores.proxies}
    return tuple(
        ProxyRow(
            name,
            stats.spearman(scores.exact, proxy, seed=study.settings.seed_of("bootstrap")),
            recall_of_flips(proxy, flipped),
            _overlap(exact, proxy),
            spent[name],
            spent[name] / exact_seconds,
        )
        for name, proxy in scores.proxies.items()
    )


def _overlap(exact: ForgetSet, proxy: np.ndarray) -> dict[str, float]:
    """Share of each stratum's examples that the proxy puts into the same stratum of the same set."""
    other = exact.restrata(proxy)
    return {name: float(np.isin(exact.stratum(name), other.stratum(name)).mean()) for name in exact.names}


def _notes(settings: Settings, tuning: Mapping[str, Any]) -> tuple[str, ...]:
    runs, again, attacks = settings.runs, settings.unlearnings, settings.attacks
    own = {"seed": settings.seed, "data_seed": settings.data_seed}
    same = all(tuning.get(name, tuning["seed"]) == value for name, value in own.items())
    seen = ", so the test images were seen in tuning" if tuning.get("mode", "oracle") == "oracle" else ""
    where = f"{'the flips and models shown here' if same else 'other flips and models'}, the same split{seen}"
    if tuning.get("data", settings.data) != settings.data:
        where = f"on another data set, {tuning['data']}"
    nested = f", {again} unlearning and {attacks} evaluation seeds of each averaged" if again * attacks > 1 else ""
    return (
        PROTOCOL[settings.protocol],
        f"Runs: the {runs} runs of a method differ in the original and in the unlearning{nested}; the attack on each "
        "meets the same members. Differences are paired by run.",
        f"Hyper-parameters: {tuning['objective']}, {tuning['trials']} trials for each method on {tuning['runs']} runs "
        f"with seed {tuning['seed']} under protocol {tuning.get('protocol', FIXED)}: {where}.",
        "Intervals are t-intervals over the runs and may reach beyond 1. That of the oracles against each other is a "
        "guide: its values share models.",
        "Run times are of one request. What serves every request on a model, as the scores that cut strata and the "
        f"{settings.models} subset models behind exact scores and the targets of out_of_sample, is made once and never "
        "in them: it stands under What it costs.",
    )


def recall_of_flips(score: np.ndarray, flipped: np.ndarray) -> Estimate | None:
    """Share of the flipped labels among as many highest scores, ties as in a forget set; with a 95% interval."""
    k = int(flipped.sum())
    if not k:
        return None
    highest = partition.highest(score, k)
    return stats.proportion_interval(int(flipped[highest].sum()), k)


def _seconds(results: list[dict[str, Any]]) -> Estimate:
    return stats.t_interval([result["seconds"] for result in results])
