"""Every proxy against every score: what it agrees on, what it costs, how early it is good, what combining brings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmemorize import events
from unmemorize.stats import Estimate
from unmemorize.study.agreement import Agreement, agree, correlation_over_runs
from unmemorize.study.combine import Gain, gain
from unmemorize.study.runs import WHOLE

Vector = NDArray[np.float64]
Run = Mapping[float, Mapping[str, Vector]]  # share of the epochs -> proxy -> (n,)


@dataclass(frozen=True)
class Price:
    """What a proxy takes beside the training: the least of the runs."""

    seconds: float
    forwards: float  # passes over the training set
    backwards: float
    of_training: float  # seconds as a share of one training
    of_exact: float  # and of the exact scores: T trainings on their share of the examples; NaN without them


@dataclass(frozen=True)
class Row:
    """One proxy and one target."""

    target: str
    proxy: str
    agreement: Agreement
    early: dict[float, Estimate]  # share of the epochs, where it was taken: Spearman over the runs
    price: Price


@dataclass(frozen=True)
class Study:
    """What `compare` found."""

    title: str
    rows: tuple[Row, ...]  # by target, then the best Spearman first
    ceiling: dict[str, Estimate]  # target: its own reliability, where it is known
    gains: dict[str, dict[str, Gain]]  # target, then which proxies were combined

    def of(self, target: str) -> tuple[Row, ...]:
        """The rows of one target."""
        return tuple(row for row in self.rows if row.target == target)

    @property
    def targets(self) -> tuple[str, ...]:
        """The scores that the proxies were compared with."""
        return tuple(dict.fromkeys(row.target for row in self.rows))


def compare(
    title: str,
    targets: Mapping[str, Vector],
    runs: Sequence[Run],
    results: Sequence[Mapping[str, Any]],
    flipped: NDArray[np.bool_],
    *,
    trainings: float = 0.0,
    ceiling: Mapping[str, Estimate] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Study:
    """Compare the proxies of several training runs with scores.

    Args:
        title: for people; it holds n, T and the epochs.
        targets: name -> (n,), higher = more memorized; NaN where there is no score.
        runs: what `runs.read` gives, for each run.
        results: what `runs.run` returned, for each run.
        flipped: (n,): the label is known to be wrong.
        trainings: cost of the exact scores in trainings on all examples; 0: not known.
        ceiling: reliability of a target, by its name.
        resamples: of each bootstrap over examples.
        seed: of the bootstrap and of the folds.
    """
    known = {"resamples": resamples, "seed": seed}
    rows = []
    for target, score in targets.items():
        mine = [
            Row(
                target,
                proxy,
                agree(score, [run[WHOLE][proxy] for run in runs], flipped, **known),
                {
                    share: correlation_over_runs(score, [run[share][proxy] for run in runs])
                    for share, names in runs[0].items()
                    if proxy in names
                },
                _price(proxy, results, len(flipped), trainings),
            )
            for proxy in runs[0][WHOLE]
        ]
        rows += sorted(mine, key=lambda row: -row.agreement.correlation["spearman"].runs.value)
    gains = {
        target: {
            which: gain(score, [{name: run[WHOLE][name] for name in names} for run in runs], **known)
            for which, names in _groups(runs[0][WHOLE]).items()
        }
        for target, score in targets.items()
    }
    return Study(title, tuple(rows), dict(ceiling or {}), gains)


def _groups(names: Mapping[str, Vector]) -> dict[str, list[str]]:
    """What is combined: the learning events, which cost next to nothing, and everything."""
    return {"learning events": [name for name in names if name in events.PROXIES], "all proxies": list(names)}


def _price(proxy: str, results: Sequence[Mapping[str, Any]], n: int, trainings: float) -> Price:
    costs = [result["costs"][proxy] for result in results]
    seconds = min(cost["seconds"] for cost in costs)
    share = seconds / min(result["seconds"] for result in results)
    exact = share / trainings if trainings else np.nan
    return Price(seconds, costs[0]["forwards"] / n, costs[0]["backwards"] / n, share, exact)
