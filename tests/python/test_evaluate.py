"""Measuring models and judging them by retrained ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from unmemorize import audit, models, train, unlearn
from unmemorize.audit import METRICS, Evaluation, Measurement, compare, evaluate, measure
from unmemorize.data import Data, Examples, load
from unmemorize.forget_set import ForgetSet
from unmemorize.train import Context

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does


class Counting(Context):
    """A context that counts the passes over data."""

    passes: list[int]

    def logits(self, model: nn.Module, examples: Examples) -> torch.Tensor:
        self.passes.append(len(examples))
        return super().logits(model, examples)


def measurement(forget: float, retain: float, test: float, mia: float, forget_hash: str = "") -> Measurement:
    accuracy = {"forget": forget, "forget/all": forget, "retain": retain, "test": test}
    return Measurement(accuracy, {"forget": mia, "forget/all": mia}, forget_hash)


def close(found: float, expected: float) -> bool:
    return found == pytest.approx(expected, abs=1e-12)


UNLEARNED = [measurement(0.75, 1.0, 0.75, 0.5), measurement(0.5, 0.75, 1.0, 0.25)]
ORACLES = [measurement(0.5, 1.0, 0.75, 0.5), measurement(0.25, 1.0, 0.5, 0.75)]


def test_each_model_is_compared_with_every_oracle_and_the_interval_is_over_models() -> None:
    found = compare(UNLEARNED, ORACLES)
    first = (0.75 * 1 * 1 + 0.5 * 1 * 0.75) / 2
    second = (1 * 0.75 * 0.75 + 0.75 * 0.75 * 0.5) / 2
    assert close(found.tow.value, (first + second) / 2)
    half = 12.706204736432095 * abs(first - second) / 2  # t quantile of 1 degree of freedom; standard error of 2 values
    assert found.tow.low == pytest.approx(found.tow.value - half)
    assert found.tow.high == pytest.approx(found.tow.value + half)
    assert found.tow.n == 2
    mia_first = (1 * 1 * 1 + 0.75 * 1 * 0.75) / 2
    mia_second = (0.75 * 0.75 * 0.75 + 0.5 * 0.75 * 0.5) / 2
    assert close(found.tow_mia.value, (mia_first + mia_second) / 2)
    assert close(found.whole.factors["forget"].value, (0.75 + 0.5 + 1.0 + 0.75) / 4)
    assert close(found.whole.factors["mia"].value, (1 + 0.75 + 0.75 + 0.5) / 4)
    assert close(found.whole.accuracy["test"].value, 0.875)
    assert found.strata == {"all": found.whole}


def test_the_band_is_oracle_against_the_other_oracles() -> None:
    band = compare(UNLEARNED, ORACLES).band
    assert close(band.tow.value, 0.75 * 1 * 0.75)
    assert close(band.tow_mia.value, 0.75 * 1 * 0.75)
    assert band.tow.n == 2
    assert close(band.accuracy["forget"].value, 0.375)


def test_one_oracle_has_no_band_and_one_model_no_interval() -> None:
    found = compare(UNLEARNED[:1], ORACLES[:1])
    assert close(found.tow.value, 0.75)
    assert np.isnan([found.tow.low, found.tow.high, found.band.tow.value]).all()
    assert found.band.tow.n == 0


def test_an_evaluation_survives_strict_json() -> None:
    for found in (compare(UNLEARNED, ORACLES), compare(UNLEARNED[:1], ORACLES[:1])):
        text = json.dumps(found.to_dict(), allow_nan=False)
        assert repr(Evaluation.from_dict(json.loads(text))) == repr(found)  # repr: NaN equals nothing
    assert Measurement.from_dict(json.loads(json.dumps(UNLEARNED[0].to_dict()))) == UNLEARNED[0]


def test_every_printed_metric_says_which_way_is_better() -> None:
    assert set(METRICS) == {"tow", "tow_mia", "forget", "retain", "test", "mia"}
    assert all(name.endswith("↑") for name in METRICS.values())


@pytest.mark.parametrize(
    ("unlearned", "oracles", "message"),
    [
        ([], ORACLES, "unlearned: expected at least 1 measurement, got 0"),
        (UNLEARNED, [], "oracles: expected at least 1 measurement, got 0"),
        ([measurement(1, 1, 1, 0, "aa")], [measurement(1, 1, 1, 0, "bb")], "expected one forget set, got aa and bb"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    unlearned: list[Measurement], oracles: list[Measurement], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(unlearned, oracles)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", noise=0.05)


@pytest.fixture(scope="module")
def forget(digits: Data) -> ForgetSet:
    """Flipped examples are the high stratum; an equal number of others the low one."""
    flipped = np.flatnonzero(digits.flipped)
    others = np.flatnonzero(~digits.flipped)[: len(flipped)]
    score = np.repeat([1.0, 0.0], len(flipped))
    return ForgetSet.from_ids(np.concatenate([flipped, others]), score=score, strata=2, data_hash=digits.hash)


@pytest.fixture(scope="module")
def original(digits: Data) -> nn.Module:
    return train.fit(models.build("convnet", digits), digits.train, "digits", context())


def context(seed: int = 0) -> Context:
    return Context(device="cpu", progress=False, seed=seed)


def test_a_measurement_is_what_the_parts_say(digits: Data, forget: ForgetSet, original: nn.Module) -> None:
    ctx = context()
    found = measure(original, digits, forget, ctx)
    parts = {"forget": forget.ids, "forget/low": forget.stratum("low"), "forget/high": forget.stratum("high")}
    expected = {name: ctx.accuracy(original, digits.train.subset(ids)) for name, ids in parts.items()}
    expected["retain"] = ctx.accuracy(original, digits.train.without(forget.ids))
    expected["test"] = ctx.accuracy(original, digits.test)
    assert found.accuracy == pytest.approx(expected, abs=1e-9)
    assert set(found.mia) == set(parts)
    assert found.mia["forget"] == pytest.approx((found.mia["forget/low"] + found.mia["forget/high"]) / 2)
    assert found.strata == ("low", "high")
    assert found.forget_hash == forget.hash


def test_measuring_takes_one_pass_over_each_set(digits: Data, forget: ForgetSet, original: nn.Module) -> None:
    ctx = Counting(device="cpu", progress=False)
    ctx.passes = []
    measure(original, digits, forget, ctx)
    assert sorted(ctx.passes) == sorted([len(digits.train), len(digits.test)])


def test_all_models_meet_the_same_attacker_whatever_the_seed_of_the_context(
    digits: Data, forget: ForgetSet, original: nn.Module
) -> None:
    assert measure(original, digits, forget, context(1)) == measure(original, digits, forget, context(2))


def test_a_forget_set_of_other_data_is_refused(digits: Data, forget: ForgetSet, original: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"abab.*{digits.hash[:8]}"):
        measure(original, digits, replace(forget, data_hash="ab" * 32), context())


def test_retraining_is_judged_closer_to_retraining_than_doing_nothing(
    digits: Data, forget: ForgetSet, original: nn.Module
) -> None:
    def unlearned(name: str, *seeds: int) -> list[nn.Module]:
        return [unlearn.run(name, original, digits, forget, context(seed)).model for seed in seeds]

    oracles = unlearned("retrain", 1, 2, 3)
    retrained = evaluate(unlearned("retrain", 4, 5), oracles, digits, forget, context())
    untouched = evaluate(unlearned("nothing", 4), oracles, digits, forget, context())
    assert retrained.tow.value > 0.9 > 0.6 > untouched.tow.value
    assert retrained.band.tow.value > 0.9
    assert retrained.strata["high"].tow.value > 0.9 > 0.3 > untouched.strata["high"].tow.value
    assert untouched.strata["low"].tow.value > 0.9  # what is not memorized is not missed
    assert retrained.tow_mia.value > untouched.tow_mia.value


def test_the_public_name_is_the_function() -> None:
    import unmemorize

    assert unmemorize.evaluate is audit.evaluate
