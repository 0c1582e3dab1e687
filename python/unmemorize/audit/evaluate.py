"""Unlearned models against retrained ones: accuracies, membership, ToW and ToW-MIA, whole and per stratum."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from unmemorize.audit.svc_mia import class_balanced, svc_mia
from unmemorize.audit.tow import tow, tow_mia
from unmemorize.forget_set import ForgetSet
from unmemorize.stats import Estimate, t_interval

if TYPE_CHECKING:
    from torch import nn

    from unmemorize.data import Data, Examples
    from unmemorize.train import Context

METRICS = {  # name -> how it is printed, with the better direction; |.| is the distance to the retrained model
    "tow": "ToW ↑",
    "tow_mia": "ToW-MIA ↑",
    "forget": "1 - |Δ forget| ↑",
    "retain": "1 - |Δ retain| ↑",
    "test": "1 - |Δ test| ↑",
    "mia": "1 - |Δ MIA| ↑",
}
SHARES = ("forget", "retain", "test", "mia")
WHOLE = "forget"  # the group of a measurement that is the whole forget set; its strata are "forget/low", ...


@dataclass(frozen=True)
class Measurement:
    """What one model does on one data set and forget set.

    Args:
        accuracy: shares right on "forget", "retain", "test" and each stratum, "forget/low", ...
        mia: shares of "forget" and of each stratum that the attacker of `svc_mia` calls "non-member".
        forget_hash: of the forget set: measurements on different ones are never compared.
    """

    accuracy: dict[str, float]
    mia: dict[str, float]
    forget_hash: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(**content)

    @property
    def strata(self) -> tuple[str, ...]:
        """Names of the strata, lowest first."""
        return tuple(name.split("/", 1)[1] for name in self.mia if name != WHOLE)

    def shares(self, group: str = WHOLE) -> dict[str, float]:
        """What `tow` and `tow_mia` compare when `group` is what was forgotten: forget, mia, retain, test."""
        own = {"forget": self.accuracy[group], "mia": self.mia[group]}
        return {**own, "retain": self.accuracy["retain"], "test": self.accuracy["test"]}


@dataclass(frozen=True)
class Comparison:
    """Models against retrained ones, on one group of the forget set; every estimate is a mean over the models.

    Args:
        accuracy: of the models on "forget" (the group), "retain", "test", and their "mia".
        factors: ``1 - |difference to the retrained model|`` of the same.
        tow: ToW.
        tow_mia: ToW-MIA.
    """

    accuracy: dict[str, Estimate]
    factors: dict[str, Estimate]
    tow: Estimate
    tow_mia: Estimate


@dataclass(frozen=True)
class Evaluation:
    """How close unlearned models are to retrained ones, beside how close those are to each other.

    Args:
        whole: on the whole forget set.
        strata: by stratum.
        band: retrained against retrained, on the whole forget set: what no algorithm can be expected to beat. Its
            values share models, so its interval is a guide, not a test. NaN with one retrained model.
        band_strata: the same by stratum.
    """

    whole: Comparison
    strata: dict[str, Comparison]
    band: Comparison
    band_strata: dict[str, Comparison]

    @property
    def tow(self) -> Estimate:
        """On the whole forget set."""
        return self.whole.tow

    @property
    def tow_mia(self) -> Estimate:
        """On the whole forget set."""
        return self.whole.tow_mia

    def to_dict(self) -> dict[str, Any]:
        """What strict JSON can hold; NaN becomes None."""
        content: dict[str, Any] = _without_nan(asdict(self))
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        whole, band = (_comparison(content[key]) for key in ("whole", "band"))
        strata, band_strata = (
            {name: _comparison(value) for name, value in content[key].items()} for key in ("strata", "band_strata")
        )
        return cls(whole, strata, band, band_strata)


def measure(model: nn.Module, data: Data, forget_set: ForgetSet, ctx: Context, *, attack_seed: int = 0) -> Measurement:
    """Accuracies and membership of one model, from a single pass over the training and the test set.

    Args:
        model: any classifier.
        data: the data set; accuracy is on the labels that the model was taught.
        forget_set: what was forgotten; everything else of `data.train` is the retain set.
        ctx: device and precision.
        attack_seed: of the class-balanced sample of the retain set that the attacker learns members from, as large as
            the test set. The same for all models, so that their differences are not the attacker's.

    Raises:
        ValueError: the forget set belongs to other data.
    """
    forget_set.check(len(data.train), data.hash if forget_set.data_hash else None)
    groups = forget_set.groups(len(data.train))
    correct, conf = _answers(model, data.train, ctx)
    test_correct, test_conf = _answers(model, data.test, ctx)
    retain = groups.pop("retain")
    labels = data.train.labels.cpu().numpy()
    members = retain[class_balanced(labels[retain], min(len(test_conf), len(retain)), attack_seed)]
    outside = np.zeros(len(conf), dtype=bool)
    outside[forget_set.ids] = svc_mia(conf[members], test_conf, conf[forget_set.ids])
    accuracy = {name: float(correct[ids].mean()) for name, ids in groups.items()}
    return Measurement(
        {**accuracy, "retain": float(correct[retain].mean()), "test": float(test_correct.mean())},
        {name: float(outside[ids].mean()) for name, ids in groups.items()},
        forget_set.hash,
    )


def compare(unlearned: Sequence[Measurement], oracles: Sequence[Measurement]) -> Evaluation:
    """Judge unlearned models by retrained ones.

    Each unlearned model is compared with every retrained one, and the mean is its value; the 95% t-interval is over the
    unlearned models. The band compares each retrained model with all the others in the same way.

    Raises:
        ValueError: no models on one side, or measurements on different forget sets.
    """
    for side, measured in (("unlearned", unlearned), ("oracles", oracles)):
        if not measured:
            raise ValueError(f"{side}: expected at least 1 measurement, got 0")
    hashes = sorted({m.forget_hash for m in (*unlearned, *oracles)})
    if len(hashes) > 1:
        raise ValueError(f"measurements: expected one forget set, got {' and '.join(h[:16] for h in hashes)}")
    against = [(m, oracles) for m in unlearned]
    band = [(m, [other for other in oracles if other is not m]) for m in oracles]
    strata = unlearned[0].strata
    return Evaluation(
        _compare(against, WHOLE),
        {name: _compare(against, f"{WHOLE}/{name}") for name in strata},
        _compare(band, WHOLE),
        {name: _compare(band, f"{WHOLE}/{name}") for name in strata},
    )


def evaluate(
    unlearned_models: Iterable[nn.Module],
    oracle_models: Iterable[nn.Module],
    data: Data,
    forget_set: ForgetSet,
    ctx: Context,
) -> Evaluation:
    """`compare` the `measure` of every model.

    Args:
        unlearned_models: one for each seed; a generator is fine, only one model is needed at a time.
        oracle_models: retrained without the forget set, one for each seed.
        data: the data set.
        forget_set: what was forgotten.
        ctx: device and precision.

    Example:
        >>> from unmemorize import Context, ForgetSet, data, models
        >>> digits = data.load("digits")
        >>> forget, ctx = ForgetSet.from_ids([3, 14, 159], strata=1), Context(device="cpu")
        >>> first, second = (models.build("convnet", digits, seed=seed) for seed in (0, 0))
        >>> evaluate([first], [second], digits, forget, ctx).tow.value
        1.0
    """
    measured = [[measure(m, data, forget_set, ctx) for m in side] for side in (unlearned_models, oracle_models)]
    return compare(*measured)


def _answers(model: nn.Module, examples: Examples, ctx: Context) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Of each example: is the model right, and its softmax probability of the true label."""
    logits = ctx.logits(model, examples)
    labels = examples.labels.to(logits.device)
    conf = logits.softmax(1).gather(1, labels[:, None]).squeeze(1).clamp(max=1.0)
    return (logits.argmax(1) == labels).cpu().numpy(), conf.double().cpu().numpy()


def _compare(pairs: Sequence[tuple[Measurement, Sequence[Measurement]]], group: str) -> Comparison:
    """Each first against all its others; a first without others has no value."""
    own = [measured.shares(group) for measured, _ in pairs]
    rows = [
        _against(shares, [other.shares(group) for other in others])
        for shares, (_, others) in zip(own, pairs, strict=True)
        if others
    ]
    factors = {name: _estimate([row[name] for row in rows]) for name in METRICS}
    shares = {name: _estimate([row[name] for row in own]) for name in SHARES}
    return Comparison(shares, {name: factors[name] for name in SHARES}, factors["tow"], factors["tow_mia"])


def _against(own: dict[str, float], others: Sequence[dict[str, float]]) -> dict[str, float]:
    """ToW, ToW-MIA and their factors, each the mean over `others`."""
    tows, mias = [tow(own, other) for other in others], [tow_mia(own, other) for other in others]
    values = {
        "tow": [t.value for t in tows],
        "tow_mia": [m.value for m in mias],
        "forget": [t.forget for t in tows],
        "retain": [t.retain for t in tows],
        "test": [t.test for t in tows],
        "mia": [m.mia for m in mias],
    }
    return {name: float(np.mean(of)) for name, of in values.items()}


def _estimate(values: Sequence[float]) -> Estimate:
    return t_interval(values) if values else Estimate(math.nan, math.nan, math.nan, 0)


def _comparison(content: dict[str, Any]) -> Comparison:
    accuracy, factors = ({k: _read(v) for k, v in content[key].items()} for key in ("accuracy", "factors"))
    return Comparison(accuracy, factors, _read(content["tow"]), _read(content["tow_mia"]))


def _read(content: dict[str, Any]) -> Estimate:
    value, low, high = (math.nan if content[key] is None else content[key] for key in ("value", "low", "high"))
    return Estimate(value, low, high, content["n"])


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
