"""Every method against retraining, seed by seed: tidy values, means with intervals, paired differences, verdicts."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmemorize import audit
from unmemorize.audit import Comparison, Evaluation, Measurement
from unmemorize.experiment import costs
from unmemorize.experiment.methods import FIXED, FORGET_SET, PAPER, Cell, Steps
from unmemorize.experiment.pipeline import Found
from unmemorize.experiment.settings import Settings
from unmemorize.results import ComparisonRow, PairedRow, VerdictRow
from unmemorize.stats import Estimate, t_interval

Seeds = NDArray[np.float64]  # (training seeds, unlearning seeds, evaluation seeds)
Values = dict[tuple[str, str], Seeds]  # by group of the forget set and metric

SHARES = ("forget", "retain", "test", "mia")
METRICS = {  # name -> better direction; "" where the best is to be as the oracles are
    "tow": "↑",
    "tow_mia": "↑",
    **{f"1-|Δ {share}|": "↑" for share in SHARES},
    **{f"{share}": "" for share in SHARES},
    "seconds": "↓",  # of one request; "seconds/mask" and the like are its parts
    "share_of_retraining": "↓",
    "once": "↓",  # seconds of what serves all requests; "once/subset models" and the like are its parts
    "once_share_of_retraining": "↓",
}
WHOLE = "forget"
ORACLE = "oracle"
BAND = "against oracle"  # the plan of oracles that are compared with each other
ON_PAR = 0.02  # of ToW: how far apart two methods that are on par may be
SURE = 0.01  # of an accuracy: what a verdict calls a difference


def values(found: Found) -> dict[Cell, Values]:
    """What each method reached with each seed; before those of a forget set its oracles, each against the others."""
    of: dict[Cell, Values] = {}
    for name, runs in found.oracles.items():
        oracles = [[Measurement.from_dict(one) for one in run["measurements"]] for run in runs]
        retrain = float(np.mean([run["seconds"] for run in runs]))
        if len(oracles) > 1:
            others = [oracles[:i] + oracles[i + 1 :] for i in range(len(oracles))]
            band = Cell(ORACLE, BAND, name if found.protocol == PAPER else "")
            of[band] = _of([[run] for run in runs], others, retrain)
        for cell, done in found.unlearned.items():
            if cell.forgets(found.protocol) == name:
                of[cell] = _of(done, [oracles] * len(done), retrain, costs.once(cell, found))
    return of


def _of(
    runs: Sequence[Sequence[dict[str, Any]]],
    against: Sequence[Sequence[Sequence[Measurement]]],
    retrain: float,
    once: Mapping[str, float] | None = None,
) -> Values:
    """`against`: for each run the oracles it is compared with, measured with each evaluation seed."""
    judged = [
        [
            [
                _judge(Measurement.from_dict(one), [oracle[k] for oracle in known])
                for k, one in enumerate(done["measurements"])
            ]
            for done in run
        ]
        for run, known in zip(runs, against, strict=True)
    ]
    found = {key: np.array([[[one[key] for one in done] for done in run] for run in judged]) for key in judged[0][0][0]}
    taken = _parts("seconds", "share_of_retraining", costs.request(runs), retrain)
    if once is not None:
        taken |= _parts("once", "once_share_of_retraining", {name: np.array(s) for name, s in once.items()}, retrain)
    shape = found[WHOLE, "tow"].shape
    return found | {(WHOLE, name): np.broadcast_to(of, shape) for name, of in taken.items()}


def _parts(name: str, share: str, seconds: Mapping[str, Seeds], retrain: float) -> dict[str, Seeds]:
    """The sum under `name`, its share of a retraining, and what it is made of."""
    total = sum(seconds.values(), np.zeros(()))
    return {name: total, share: total / retrain, **{f"{name}/{part}": of for part, of in seconds.items()}}


def _judge(own: Measurement, oracles: Sequence[Measurement]) -> dict[tuple[str, str], float]:
    """The mean over the oracles, on the whole forget set and on each stratum."""
    found = {}
    for group in (WHOLE, *(f"{WHOLE}/{name}" for name in own.strata)):
        shares = own.shares(group)
        tows = [audit.tow(shares, oracle.shares(group)) for oracle in oracles]
        mias = [audit.tow_mia(shares, oracle.shares(group)) for oracle in oracles]
        agreed: dict[str, list[Any]] = {"forget": tows, "retain": tows, "test": tows, "mia": mias}
        found[group, "tow"] = float(np.mean([tow.value for tow in tows]))
        found[group, "tow_mia"] = float(np.mean([mia.value for mia in mias]))
        for share in SHARES:
            found[group, f"1-|Δ {share}|"] = float(np.mean([getattr(one, share) for one in agreed[share]]))
            found[group, share] = shares[share]
    return found


def tidy(
    of: Mapping[Cell, Values],
    steps: Mapping[Cell, Steps],
    settings: Settings,
    forget_hashes: Mapping[str, str],
    about: Mapping[str, Any],
) -> dict[str, NDArray[Any]]:
    """One row for each method, seed, group and metric: what it is, its value, its seeds, and where it comes from.

    Args:
        of: what `values` gives.
        steps: hyper-parameters of each method.
        settings: the experiment's.
        forget_hashes: of the manifests, by name.
        about: what is the same in every row, such as versions.
    """
    rows = [
        (
            *(cell.algorithm, cell.plan, cell.scores, group, metric, METRICS[metric.split("/")[0]], float(value)),
            *(run, again, attack, settings.seed_of(ORACLE if cell.algorithm == ORACLE else "original", run)),
            *(json.dumps(steps.get(cell, [])), forget_hashes[cell.forgets(settings.protocol)]),
        )
        for cell, own in of.items()
        for (group, metric), seeds in own.items()
        for (run, again, attack), value in np.ndenumerate(seeds)
    ]
    names = ("algorithm", "plan", "scores", "group", "metric", "better", "value", "run", "unlearning", "attack")
    columns = dict(
        zip((*names, "train_seed", "steps", "forget_hash"), map(np.array, zip(*rows, strict=True)), strict=True)
    )
    return columns | {name: np.full(len(rows), value) for name, value in about.items()}


def rows(of: Mapping[Cell, Values], steps: Mapping[Cell, Steps], protocol: str = FIXED) -> tuple[ComparisonRow, ...]:
    """Means over the training seeds with 95% intervals; other seeds are averaged before."""
    return tuple(
        ComparisonRow(
            cell.algorithm, cell.plan, cell.scores, evaluation(own, of.get(cell.beside(ORACLE, BAND, protocol))),
            _mean(own[WHOLE, "seconds"]), _mean(own[WHOLE, "share_of_retraining"]), {"steps": steps[cell]}, protocol,
            _means(own, "seconds/"), _means(own, "once/"), float(own[WHOLE, "once_share_of_retraining"].mean()),
        )
        for cell, own in of.items() if cell.algorithm != ORACLE
    )  # fmt: skip


def evaluation(own: Values, band: Values | None) -> Evaluation:
    """The estimates of one method, and those of the oracles among themselves."""
    groups = [group for group, metric in own if metric == "tow"]
    unknown: Values = dict.fromkeys(own, np.full((0, 1, 1), math.nan))
    ours, theirs = ({group: _comparison(of, group) for group in groups} for of in (own, band or unknown))
    strata, band_strata = ({g.split("/")[1]: of for g, of in by.items() if g != WHOLE} for by in (ours, theirs))
    return Evaluation(ours[WHOLE], strata, theirs[WHOLE], band_strata)


def _comparison(of: Values, group: str) -> Comparison:
    accuracy = {share: _mean(of[group, share]) for share in SHARES}
    factors = {share: _mean(of[group, f"1-|Δ {share}|"]) for share in SHARES}
    return Comparison(accuracy, factors, _mean(of[group, "tow"]), _mean(of[group, "tow_mia"]))


def _mean(seeds: Seeds, level: float = 0.95) -> Estimate:
    if not len(seeds):
        return Estimate(math.nan, math.nan, math.nan, 0)
    return t_interval(seeds.mean((1, 2)), level)


def _means(own: Values, prefix: str) -> dict[str, float]:
    """The parts of a sum, by their names."""
    return {name.removeprefix(prefix): float(of.mean()) for (_, name), of in own.items() if name.startswith(prefix)}


def paired(of: Mapping[Cell, Values], protocol: str = FIXED) -> tuple[PairedRow, ...]:
    """ToW of each method minus that of another on the same examples with the same seeds: of `nothing`, and of its own.

    The oracles are in it too: what retraining itself gains.
    """
    return tuple(
        PairedRow(cell.algorithm, cell.plan, cell.scores, *_differences(cell, of, protocol), protocol)
        for cell in of
        if cell.algorithm != "nothing"
    )


def _differences(cell: Cell, of: Mapping[Cell, Values], protocol: str) -> tuple[dict[str, Estimate], bool | None]:
    own = of[cell][WHOLE, "tow"]
    others = {
        "nothing": cell.beside("nothing", "vanilla", protocol),
        "vanilla": cell.beside(cell.algorithm, "vanilla", protocol),
    }
    if cell.plan not in ("vanilla", "shuffle"):
        others["shuffle"] = cell.beside(cell.algorithm, "shuffle", protocol)
        if protocol == FIXED:
            others["exact"] = replace(cell, scores=FORGET_SET)
    known = {name: of[other][WHOLE, "tow"] for name, other in others.items() if other in of and other != cell}
    differences = {name: _mean(own - tow) for name, tow in known.items()}
    if "exact" not in known:
        return differences, None
    narrow = _mean(own - known["exact"], 0.90)
    return differences, bool(narrow.low >= -ON_PAR and narrow.high <= ON_PAR)


def verdicts(of: Mapping[Cell, Values], protocol: str = FIXED) -> tuple[VerdictRow, ...]:
    """Of each algorithm, applied once to the whole set: does it forget, towards the oracles, where it matters most?

    The oracles, each against the others, say how far that can go.
    """
    return tuple(
        _verdict(cell, own, of[floor], protocol)
        for cell, own in of.items()
        if cell.plan in ("vanilla", BAND) and cell.algorithm != "nothing"
        if (floor := cell.beside("nothing", "vanilla", protocol)) in of
    )


def _verdict(cell: Cell, own: Values, nothing: Values, protocol: str) -> VerdictRow:
    high = [group for group, metric in own if metric == "tow"][-1]  # strata come lowest first
    change = _mean(own[WHOLE, "forget"] - nothing[WHOLE, "forget"])
    nearer = _mean(own[WHOLE, "1-|Δ forget|"] - nothing[WHOLE, "1-|Δ forget|"])
    gain = _mean(own[high, "tow"] - nothing[high, "tow"])
    reason = _reason(own, nothing, change, nearer, gain)
    return VerdictRow(cell.algorithm, change, nearer, gain, reason, cell.scores, protocol)


def _reason(own: Values, nothing: Values, change: Estimate, nearer: Estimate, gain: Estimate) -> str:
    """Why one of the three is not beyond doubt; empty if all are."""
    if change.high < 0 < min(nearer.low, gain.low):
        return ""
    if abs(change.value) < SURE:
        return f"hardly forgets: accuracy on S changes by less than {SURE}"
    if change.value > 0:
        return "learns S better than before"
    lost = {share: _mean(nothing[WHOLE, f"1-|Δ {share}|"] - own[WHOLE, f"1-|Δ {share}|"]).value for share in SHARES[:3]}
    worst = max(lost, key=lambda share: lost[share])
    if lost[worst] > SURE:
        what = {
            "forget": "forgets more than retraining does",
            "retain": "harms the retain set",
            "test": "harms the test set",
        }
        return f"{what[worst]}: 1−Δ falls by {lost[worst]:.3f}"
    return "too few seeds for how much they differ"
