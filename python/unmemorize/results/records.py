"""What a report shows, as plain data: whoever ran the work fills these in, the page and the tables only lay them out.

Every part but the title may be missing. A number that is an estimate carries its interval (`Estimate`); NaN and None
mean "not measured" and are shown as such. Scores are oriented so that higher = more memorized.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from unmemorize.audit import Comparison, Evaluation, Measurement
from unmemorize.results import json_form
from unmemorize.stats import Estimate

NAN = float("nan")


@dataclass(frozen=True)
class DataSummary:
    """The data set: sizes in examples."""

    name: str
    n_train: int
    n_val: int
    n_test: int
    n_classes: int
    noise: float = 0.0  # share of training labels flipped on purpose
    flipped: int = 0  # the same in examples
    hash: str = ""


@dataclass(frozen=True)
class OriginalSummary:
    """The models that had to forget."""

    model: str
    recipe: str = ""
    accuracy: dict[str, Estimate] = field(default_factory=dict)  # by split: "train", "val", "test", "flipped"
    seconds: Estimate | None = None  # one training


@dataclass(frozen=True)
class EnsembleSummary:
    """The subset models behind the exact scores."""

    models: int  # T
    ratio: float  # share of the training set in each subset
    design: str  # "balanced", "independent"
    reliability: Estimate | None = None  # split-half Spearman, Spearman-Brown corrected: the ceiling of any proxy
    recall_at_flips: Estimate | None = None  # share of flipped labels among as many highest exact scores
    seconds: float = NAN  # all T trainings, one core


@dataclass(frozen=True, eq=False)
class Profile:
    """Every training example: arrays of one length n."""

    ids: np.ndarray  # i64
    score: np.ndarray  # f64, exact memorization; NaN: no estimate
    std_error: np.ndarray  # f64
    proxies: dict[str, np.ndarray] = field(default_factory=dict)  # f64 each
    flipped: np.ndarray | None = None  # bool: the label was changed on purpose
    stratum: np.ndarray | None = None  # i64, 0 = lowest, -1 = not in the forget set

    def __post_init__(self) -> None:
        columns = {"score": self.score, "std_error": self.std_error, "flipped": self.flipped, "stratum": self.stratum}
        for name, column in {**columns, **self.proxies}.items():
            if column is not None and column.shape != self.ids.shape:
                raise ValueError(f"{name}: expected shape {self.ids.shape} to match ids, got {column.shape}")


@dataclass(frozen=True)
class ProxyRow:
    """How well one proxy stands in for the exact score, and what it costs."""

    name: str
    spearman: Estimate
    recall_at_flips: Estimate | None = None
    overlap: dict[str, float] = field(default_factory=dict)  # stratum -> share of its examples that both scores pick
    seconds: float = NAN
    cost_share: float = NAN  # of the seconds that the exact scores took


@dataclass(frozen=True)
class Sample:
    """One example of a stratum, to be looked at."""

    id: int
    label: str  # as the model was taught
    true_label: str | None = None  # None: not known
    score: float = NAN
    png: bytes = b""  # see `png`

    @property
    def flipped(self) -> bool:
        """The label taught is known to be wrong."""
        return self.true_label is not None and self.true_label != self.label


@dataclass(frozen=True)
class StratumSummary:
    """One stratum of a forget set."""

    name: str
    size: int
    flipped: int | None = None  # None: not known
    low: float = NAN  # score range
    high: float = NAN
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True)
class ForgetSetSummary:
    """One manifest: what was to be forgotten, in which strata."""

    name: str
    rule: str  # in words: how it was chosen
    hash: str
    strata: tuple[StratumSummary, ...]

    @property
    def size(self) -> int:
        """Examples to forget."""
        return sum(stratum.size for stratum in self.strata)


@dataclass(frozen=True)
class ComparisonRow:
    """One way to unlearn, compared with retraining."""

    algorithm: str
    plan: str = "vanilla"
    scores: str = ""  # what cut the strata: "exact", a proxy's name, or "" where no score did
    evaluation: Evaluation | None = None
    seconds: Estimate | None = None  # of one request
    retrain_share: Estimate | None = None  # seconds as a share of one retraining
    hyper: dict[str, Any] = field(default_factory=dict)
    protocol: str = ""  # "fixed-S": all rows forget the same examples; "paper": `scores` chose them too; "": not known
    costs: dict[str, float] = field(default_factory=dict)  # mean of `seconds` by what they went to
    once: dict[str, float] = field(default_factory=dict)  # seconds of what is made once for all requests, by its name
    once_share: float = NAN  # all of `once` as a share of one retraining

    @property
    def tow(self) -> Estimate:
        """Of the whole forget set."""
        return self.evaluation.whole.tow if self.evaluation else Estimate(NAN, NAN, NAN, 0)

    @property
    def tow_mia(self) -> Estimate:
        """Of the whole forget set."""
        return self.evaluation.whole.tow_mia if self.evaluation else Estimate(NAN, NAN, NAN, 0)


@dataclass(frozen=True)
class PairedRow:
    """One way to unlearn beside others with the same seeds: ToW minus theirs, mean and interval over the seeds."""

    algorithm: str
    plan: str
    scores: str
    differences: dict[
        str, Estimate
    ]  # by what it is compared with: "nothing", and "vanilla", "shuffle", "exact" of its own
    on_par: bool | None = None  # with strata by the exact score: the 90% interval is within +-0.02; None: no such pair
    protocol: str = ""


@dataclass(frozen=True)
class VerdictRow:
    """Does an algorithm do what it is made for? Its differences from doing nothing, paired by seed; the oracles too."""

    algorithm: str
    change: Estimate  # of the accuracy on the forget set
    nearer: Estimate  # to the oracles in it
    gain: Estimate  # of ToW on the most memorized stratum
    reason: str  # why one of the three does not hold; "" if all do
    scores: str = ""  # what chose the forget set under protocol "paper"
    protocol: str = ""


@dataclass(frozen=True)
class Outcome:
    """One request carried out on one model, with no oracle to compare with."""

    algorithm: str
    before: Measurement
    after: Measurement
    plan: str = "vanilla"
    scores: str = ""
    seconds: float = NAN
    hyper: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()  # one dict a step, as `unlearn.run` returns it
    checkpoint: str = ""  # where the unlearned model was written
    checkpoint_hash: str = ""
    protocol: str = ""  # "paper": the score that chose the examples cuts them too; "fixed-S": another cuts them
    costs: dict[str, float] = field(default_factory=dict)  # seconds by what they went to: scoring, mask, unlearning
    retrain_seconds: float = NAN


@dataclass(frozen=True)
class Results:
    """Everything that one report shows.

    Example:
        >>> from unmemorize.results import Results
        >>> results = Results(title="Three requests", seeds={"run": 0}, versions={"unmemorize": "0.1.0"})
        >>> Results.from_dict(results.to_dict()) == results
        True
    """

    title: str
    seeds: dict[str, Any]
    versions: dict[str, str]
    data: DataSummary | None = None
    original: OriginalSummary | None = None
    ensemble: EnsembleSummary | None = None
    profile: Profile | None = None
    proxies: tuple[ProxyRow, ...] = ()
    forget_sets: tuple[ForgetSetSummary, ...] = ()  # the first is the one that was forgotten
    comparison: tuple[ComparisonRow, ...] = ()
    paired: tuple[PairedRow, ...] = ()
    verdicts: tuple[VerdictRow, ...] = ()
    outcome: Outcome | None = None
    caption: str = ""  # what every row of a comparison depends on: protocol, how its hyper-parameters were tuned
    stages: tuple[tuple[str, float], ...] = ()  # name, wall seconds
    command: str = ""
    notes: tuple[str, ...] = ()

    @property
    def oracles(self) -> tuple[ComparisonRow, ...]:
        """Oracle against oracle, a row for each forget set; none without a comparison, and with a single oracle."""
        rows: dict[str, ComparisonRow] = {}
        for row in self.comparison:
            if row.evaluation and math.isfinite(row.evaluation.band.tow.value):
                band, strata = row.evaluation.band, row.evaluation.band_strata
                chosen_by = row.scores if row.protocol == "paper" else ""
                own = ComparisonRow("oracle", "against oracle", chosen_by, Evaluation(band, strata, band, strata))
                rows.setdefault(chosen_by, replace(own, protocol=row.protocol))
        return tuple(rows.values())

    @property
    def band(self) -> Comparison | None:
        """Oracle against oracle, where all rows are judged on one forget set."""
        bands = [row.evaluation.whole for row in self.oracles if row.evaluation]
        return bands[0] if len(bands) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """What strict JSON can hold; non-finite numbers become the strings "nan", "inf", "-inf"."""
        return json_form.encode(self)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ValueError: a field is missing, unknown, or of another type.
        """
        return json_form.decode(cls, content, "results")
