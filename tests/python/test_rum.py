"""RUM's plans, the chain that they make, and going on after being killed."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from unmemorize import models, rum, unlearn
from unmemorize.data import Data, Examples, load
from unmemorize.forget_set import ForgetSet, twins, with_twins
from unmemorize.proxies import confidence_now
from unmemorize.proxies.features import features
from unmemorize.rum import RUM
from unmemorize.train import Context
from unmemorize.unlearn import CFk, FineTune, NegGradPlus, SalUn

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does


@dataclass(frozen=True)
class Noting:
    """Writes down what it was asked to forget and to retain, and marks the model."""

    calls: list[tuple[list[int], list[int], float]] = field(default_factory=list, repr=False)

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        mark = next(model.parameters())
        self.calls.append((forget.ids.tolist(), retain.ids.tolist(), float(mark.detach().flatten()[0])))
        with torch.no_grad():
            mark += 1
        return model


@dataclass(frozen=True)
class Killed:
    """Fine-tunes once it is told that it may."""

    may: list[bool] = field(default_factory=lambda: [False], repr=False)

    def apply(self, model: nn.Module, forget: Examples, retain: Examples, ctx: Context) -> nn.Module:
        if not self.may[0]:
            raise KeyboardInterrupt
        return FineTune(epochs=1).apply(model, forget, retain, ctx)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture(scope="module")
def model(digits: Data) -> nn.Module:
    return models.build("convnet", digits)


@pytest.fixture(scope="module")
def forget(digits: Data) -> ForgetSet:
    ids = np.arange(0, 90, 3)
    return ForgetSet.from_ids(ids, score=np.random.default_rng(0).random(30), data_hash=digits.hash)


def context(**options: object) -> Context:
    return Context(device="cpu", progress=False, **options)


def test_refine_unlearns_low_then_medium_then_high(forget: ForgetSet) -> None:
    plan = RUM.refine("fine_tune").plan(forget)
    assert [(step.stratum, step.algorithm) for step in plan] == [
        (name, FineTune()) for name in ("low", "medium", "high")
    ]
    assert all((step.ids == forget.stratum(step.stratum)).all() for step in plan)


def test_each_stratum_may_have_its_own_algorithm_in_any_order(forget: ForgetSet) -> None:
    plan = RUM(steps=["nothing", SalUn(lr=0.1), "fine_tune"], order=("high", "low", "medium")).plan(forget)
    found = [(step.stratum, unlearn.chain.name_of(step.algorithm)) for step in plan]
    assert found == [("high", "nothing"), ("low", "salun"), ("medium", "fine_tune")]
    assert all((step.ids == forget.stratum(step.stratum)).all() for step in plan)


def test_any_number_of_strata_is_refined() -> None:
    forget = ForgetSet.from_ids(range(20), score=np.arange(20.0), strata=4)
    plan = RUM.refine(["nothing"] * 4).plan(forget)
    assert [step.ids.tolist() for step in plan] == [list(range(k, k + 5)) for k in range(0, 20, 5)]


def test_vanilla_is_one_step_on_everything(forget: ForgetSet) -> None:
    (step,) = RUM.vanilla("salun").plan(forget)
    assert step.stratum == "all"
    assert sorted(step.ids) == sorted(forget.ids)


def test_shuffle_cuts_the_same_examples_into_equal_random_parts_by_seed(forget: ForgetSet) -> None:
    def parts(seed: int) -> list[list[int]]:
        return [step.ids.tolist() for step in RUM.shuffle("fine_tune", seed).plan(forget)]

    assert [len(part) for part in parts(1)] == [10, 10, 10]
    assert sorted(np.concatenate(parts(1))) == sorted(forget.ids)
    assert parts(1) == parts(1)
    assert parts(1) != parts(2)
    assert [step.stratum for step in RUM.shuffle("salun", 1).plan(forget)] == ["part 1", "part 2", "part 3"]


@pytest.mark.parametrize(
    ("rum", "message"),
    [
        (RUM(["nothing", "salun"]), "steps: expected 3, one for each of low, medium, high, got 2"),
        (RUM("nothing", order=("low", "middle", "high")), "no stratum 'middle' in this forget set; it has low, medium"),
        (RUM("nothing", order=("low", "high")), "order: expected each of low, medium, high once, got low, high"),
        (RUM("nothing", order=("low", "low", "high")), "each of low, medium, high once, got low, low, high"),
        (RUM.refine("forgetful"), "no algorithm 'forgetful'; known are nothing"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(rum: RUM, message: str, forget: ForgetSet) -> None:
    with pytest.raises(ValueError, match=message):
        rum.plan(forget)


REVERSED = {"order": "descending", "steps": {"algorithm": "salun", "lr": 0.1, "epochs": 5, "threshold": 0.3}}


@pytest.mark.parametrize(
    "content",
    [
        REVERSED,
        {"by": "confidence_now", "strata": 5, "steps": {"algorithm": "nothing"}},
        {"by": "random", "strata": 4, "seed": 3, "steps": {"algorithm": "neg_grad", "lr": 0.1, "epochs": 2}},
        {"order": ["low", "medium+high"], "steps": [{"algorithm": "nothing"}, {"algorithm": "retrain", "recipe": "x"}]},
    ],
)
def test_a_plan_is_data(content: dict[str, object]) -> None:
    assert RUM.from_dict(content).to_dict() == content


def test_a_plan_is_read_from_a_file(tmp_path: Path, forget: ForgetSet) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('order = "descending"\nsteps = { algorithm = "salun", lr = 0.1, threshold = 0.3 }\n')
    plan = RUM.from_toml(path)
    assert plan.to_dict() == REVERSED
    assert [step.stratum for step in plan.plan(forget)] == ["high", "medium", "low"]


@pytest.mark.parametrize("name", rum.plans())
def test_every_plan_that_ships_is_valid(name: str) -> None:
    plan = RUM.from_toml(name, algorithm="fine_tune", ensemble=object())
    again = RUM.from_dict(plan.to_dict(), ensemble=object())
    assert again.to_dict() == plan.to_dict()
    assert {"vanilla", "shuffle", "rum", "reversed", "published", "class", "entanglement"} <= set(rum.plans())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ordre": ["low"]}, "no key 'ordre'; known are steps, order, by, strata, seed"),
        ({"strata": 0, "steps": {"algorithm": "nothing"}}, "strata: expected a whole number of at least 1, got 0"),
        ({"order": "up", "steps": {"algorithm": "nothing"}}, "order: expected names of strata, 'descending' or None"),
        ({"strata": "3", "steps": "nothing"}, "strata: expected a whole number of at least 1, got '3'"),
        ({"order": [0, 1], "steps": "nothing"}, "order: expected names of strata"),
        ({"steps": 5}, "steps: expected an algorithm's name, a table or a list of tables, got 5"),
        ({}, "it names no algorithm; give one"),
        ({"steps": [{"lr": 0.1}]}, "step 1: names no algorithm"),
        ({"steps": [{"algorithm": "nothing"}, {"algorithm": "slaun"}]}, "step 2: .*'slaun'; known are nothing"),
        ({"steps": {"algorithm": "salun", "tau": 1}}, "steps: salun: no hyper-parameter 'tau'; known are lr, epochs"),
        ({"steps": {"algorithm": "salun", "lr": -1}}, r"steps: salun: lr: expected a number in \(0, inf\), got -1"),
        ({"steps": {"algorithm": "out_of_sample"}}, "steps: out_of_sample: needs ensemble"),
    ],
)
def test_data_that_is_no_plan_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RUM.from_dict(content)


def test_the_name_of_no_plan_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no plan 'vanila'; known are class, .*vanilla, or name a \.toml"):
        RUM.from_toml("vanila")


def test_strata_are_cut_by_a_proxy_of_the_model(digits: Data, model: nn.Module, forget: ForgetSet) -> None:
    score = confidence_now(model, digits, context())
    done = unlearn.run(RUM("nothing", None, by="confidence_now", strata=5), model, digits, forget, context())
    assert done.forget_set.ids.tolist() == forget.restrata(score, strata=5).ids.tolist()
    assert [step["size"] for step in done.history] == [6] * 5
    given = unlearn.run(RUM("nothing", by="mine", scores={"mine": -score}), model, digits, forget, context())
    assert given.forget_set.stratum("low").tolist() == forget.restrata(-score).stratum("low").tolist()
    with pytest.raises(ValueError, match="by: no score 'mine'; known are class, entanglement, random, confidence_now"):
        unlearn.run(RUM("nothing", by="mine"), model, digits, forget, context())
    with pytest.raises(ValueError, match="not those by 'mine'; cut it first"):
        RUM("nothing", by="mine").plan(forget)


def test_strata_that_a_plan_cut_are_its_own_until_they_are_cut_anew(forget: ForgetSet, model: nn.Module) -> None:
    plan = RUM("nothing", by="mine", scores={"mine": np.arange(30.0)})
    cut = plan.cut(forget, model, None, None)  # type: ignore[arg-type]  # neither is looked at
    assert len(plan.plan(cut)) == 3
    for anew in (cut.restrata(-np.arange(30.0)), cut.shuffled(0)):
        with pytest.raises(ValueError, match="not those by 'mine'; cut it first"):
            plan.plan(anew)
    with pytest.raises(ValueError, match="strata: the forget set has 3, the plan 5; cut it by 'mine' first"):
        replace(plan, strata=5).plan(cut)


def test_strata_by_entanglement_follow_the_distance_to_the_weighted_centroid(
    digits: Data, model: nn.Module, forget: ForgetSet
) -> None:
    found = features(model, digits.train, context())
    seen = RUM("nothing", by="entanglement").cut(forget, model, digits, context())
    near = -(found - found.mean(0)).norm(dim=1).numpy()
    assert [near[seen.stratum(k)].max() < near[seen.stratum(k + 1)].min() for k in (0, 1)] == [True, True]
    assert torch.allclose(found.float() @ model[-1].weight.T + model[-1].bias, context().logits(model, digits.train))


def test_strata_by_class_are_the_classes(digits: Data, model: nn.Module) -> None:
    labels = digits.train.labels.numpy()
    forget = ForgetSet.from_ids(range(40), labels=labels, data_hash=digits.hash)
    done = unlearn.run(RUM("nothing", None, by="class"), model, digits, forget, context())
    for step in done.history:
        assert step["size"] == (labels[:40] == int(step["stratum"])).sum()
    with pytest.raises(ValueError, match="labels: not known of this forget set"):
        RUM("nothing", by="class").cut(replace(forget, labels=None), model, digits, context())


def test_two_strata_may_share_a_step(forget: ForgetSet) -> None:
    low, others = RUM(["nothing", "salun"], order=("low", "medium+high")).plan(forget)
    assert (low.stratum, others.stratum) == ("low", "medium+high")
    assert set(others.ids) == set(forget.ids) - set(low.ids)
    assert [step.stratum for step in RUM("nothing", "descending").plan(forget)] == ["high", "medium", "low"]


def test_a_forget_set_names_its_protocol(forget: ForgetSet) -> None:
    score = np.arange(100.0)
    paper = ForgetSet.by_score(score, 30)
    assert paper.protocol == "paper"
    assert {
        s.protocol for s in (forget, paper.restrata(-score), paper.shuffled(0), paper.restrata(score, strata=1))
    } == {"fixed-S"}


def test_a_step_retains_all_but_what_is_forgotten_by_then(digits: Data, model: nn.Module, forget: ForgetSet) -> None:
    noting = Noting()
    start = float(next(model.parameters()).detach().flatten()[0])
    unlearn.run(RUM.refine(noting), model, digits, forget, context())
    everything = set(range(len(digits.train)))
    gone: set[int] = set()
    assert len(noting.calls) == 3
    for k, (forgotten, retained, mark) in enumerate(noting.calls):
        gone |= set(forgotten)
        assert set(forgotten) == set(forget.stratum(("low", "medium", "high")[k]).tolist())
        assert set(retained) == everything - gone
        assert len(retained) == len(set(retained))
        assert mark == pytest.approx(start + k)  # from the model of the step before
    assert gone == set(forget.ids.tolist())


def test_vanilla_retains_all_but_the_forget_set(digits: Data, model: nn.Module, forget: ForgetSet) -> None:
    noting = Noting()
    unlearn.run(noting, model, digits, forget, context())
    ((forgotten, retained, _),) = noting.calls
    assert set(forgotten) == set(forget.ids.tolist())
    assert set(retained) == set(range(len(digits.train))) - set(forgotten)


def test_history_holds_every_step_and_its_accuracies(digits: Data, model: nn.Module, forget: ForgetSet) -> None:
    ctx = context()
    done = unlearn.run(RUM(["nothing", FineTune(epochs=1), "nothing"]), model, digits, forget, ctx)
    assert [(step["stratum"], step["algorithm"], step["size"]) for step in done.history] == [
        ("low", "nothing", 10),
        ("medium", "fine_tune", 10),
        ("high", "nothing", 10),
    ]
    assert done.seconds == pytest.approx(sum(step["seconds"] for step in done.history))
    assert done.history[1]["accuracy"] == done.history[2]["accuracy"] != done.history[0]["accuracy"]
    assert done.history[2]["accuracy"] == {
        "forget": ctx.accuracy(done.model, digits.train.subset(forget.ids)),
        **{f"forget/{n}": ctx.accuracy(done.model, digits.train.subset(forget.stratum(n))) for n in forget.names},
        "retain": ctx.accuracy(done.model, digits.train.without(forget.ids)),
        "test": ctx.accuracy(done.model, digits.test),
    }


@pytest.mark.parametrize("killed_at", [0, 1, 2])
def test_a_chain_killed_in_any_step_resumes_there_with_the_same_bits(
    killed_at: int, digits: Data, model: nn.Module, forget: ForgetSet, tmp_path: object
) -> None:
    killed = Killed()
    steps = [NegGradPlus(epochs=1), SalUn(epochs=1), FineTune(epochs=1)]
    steps[killed_at] = killed
    rum, ctx = RUM(steps), context(run_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        unlearn.run(rum, model, digits, forget, ctx)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{k + 1}.safetensors" for k in range(killed_at)]
    killed.may[0] = True
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    resumed = unlearn.run(rum, model, digits, forget, ctx)
    undisturbed = unlearn.run(rum, model, digits, forget, context())
    assert before == [path.read_bytes() for path in sorted(tmp_path.iterdir())][:killed_at]  # not taken again
    for a, b in zip(resumed.model.state_dict().values(), undisturbed.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert [s["accuracy"] for s in resumed.history] == [s["accuracy"] for s in undisturbed.history]
    again = unlearn.run(rum, model, digits, forget, ctx)
    assert again.history == resumed.history  # a finished chain is read, its times too


def test_a_step_after_the_last_layers_trains_the_whole_network_resumed_or_not(
    digits: Data, forget: ForgetSet, tmp_path: Path
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
    rum = RUM([CFk(epochs=1), FineTune(epochs=1)], order=("low", "high"))
    halves = ForgetSet.from_ids(forget.ids, score=np.arange(30.0), strata=2, data_hash=digits.hash)
    done = unlearn.run(rum, model, digits, halves, context(run_dir=tmp_path))
    assert not torch.equal(done.model[2].running_mean, model[2].running_mean), "as of a network in train mode"
    (tmp_path / "step-2.safetensors").unlink()
    resumed = unlearn.run(rum, model, digits, halves, context(run_dir=tmp_path))
    for a, b in zip(resumed.model.state_dict().values(), done.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_folder_is_of_one_loss(digits: Data, model: nn.Module, forget: ForgetSet, tmp_path: Path) -> None:
    losses = [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(torch.ones(10))]
    losses += [lambda z, y: 3 * nn.functional.cross_entropy(z, y), lambda z, y: 2 * nn.functional.cross_entropy(z, y)]
    unlearn.run("nothing", model, digits, forget, context(run_dir=tmp_path, criterion=losses[0]))
    for loss in losses[1:]:
        with pytest.raises(FileExistsError, match="is of unlearning"):
            unlearn.run("nothing", model, digits, forget, context(run_dir=tmp_path, criterion=loss))


@pytest.mark.parametrize("change", ["algorithm", "seed", "model", "forget set"])
def test_the_folder_of_another_chain_is_refused(
    change: str, digits: Data, model: nn.Module, forget: ForgetSet, tmp_path: object
) -> None:
    unlearn.run(RUM.refine("nothing"), model, digits, forget, context(run_dir=tmp_path))
    rum = RUM.refine(FineTune(epochs=1)) if change == "algorithm" else RUM.refine("nothing")
    seed = 1 if change == "seed" else 0
    if change == "model":
        model = models.build("convnet", digits, seed=9)
    if change == "forget set":
        forget = ForgetSet.from_ids(forget.ids[::-1], score=np.arange(30.0), data_hash=digits.hash)
    with pytest.raises(FileExistsError, match=r"step-3.safetensors: is of unlearning \w{16}, this one is \w{16}"):
        unlearn.run(rum, model, digits, forget, context(run_dir=tmp_path, seed=seed))


def test_requests_follow_each_other_and_none_retains_what_went_before(
    digits: Data, model: nn.Module, forget: ForgetSet
) -> None:
    noting, later = Noting(), ForgetSet.from_ids(np.arange(1, 40, 3), strata=1, data_hash=digits.hash)
    first, second = unlearn.run_requests(RUM.refine(noting), model, digits, [forget, later], context())
    assert [len(step[0]) for step in noting.calls] == [10, 10, 10, len(later)]
    assert set(noting.calls[-1][1]) == set(range(len(digits.train))) - set(forget.ids) - set(later.ids)
    assert noting.calls[-1][2] == pytest.approx(noting.calls[0][2] + 3)  # from the model of the request before
    assert second.gone.tolist() == [*forget.ids, *later.ids]
    assert "before" not in first.history[0]["accuracy"]
    kept = digits.train.without(second.gone)
    assert second.history[0]["accuracy"]["retain"] == context().accuracy(second.model, kept)
    assert second.history[0]["accuracy"]["before"] == context().accuracy(second.model, digits.train.subset(forget.ids))
    alone = unlearn.run(FineTune(epochs=1), model, digits, forget, context())
    (once,) = unlearn.run_requests(FineTune(epochs=1), model, digits, [forget], context())
    assert all(map(torch.equal, alone.model.state_dict().values(), once.model.state_dict().values()))
    with pytest.raises(ValueError, match="30 of 30 examples were forgotten before, the first is row 0"):
        unlearn.run_requests("nothing", model, digits, [forget, forget], context())


def test_a_later_request_is_scored_by_the_unlearned_model(digits: Data, model: nn.Module, forget: ForgetSet) -> None:
    later = ForgetSet.from_ids(np.arange(1, 90, 3), strata=1, data_hash=digits.hash)
    of_original = confidence_now(model, digits, context())
    plan = RUM(NegGradPlus(epochs=2), by="confidence_now", scores={"confidence_now": of_original})
    first, second = unlearn.run_requests(plan, model, digits, [forget, later], context())
    now = later.restrata(confidence_now(first.model, digits, context()), strata=3)
    assert first.forget_set.ids.tolist() == forget.restrata(of_original).ids.tolist()
    assert second.forget_set.ids.tolist() == now.ids.tolist()
    assert second.forget_set.ids.tolist() != later.restrata(of_original, strata=3).ids.tolist()


def test_identical_images_join_their_stratum_with_labels_of_their_own() -> None:
    images = np.arange(30.0).reshape(10, 3)
    images[[7, 9]], images[8] = images[1], images[4]
    labels = np.arange(10) % 3
    found = ForgetSet.from_ids([1, 4, 5], score=[0.1, 0.2, 0.3], labels=labels)
    assert twins(found, images) == {1: [7, 9], 4: [8]}
    joined = with_twins(found, torch.from_numpy(images), labels)
    assert {name: joined.stratum(name).tolist() for name in joined.names} == {
        "low": [1, 7, 9],
        "medium": [4, 8],
        "high": [5],
    }
    assert joined.scores.tolist() == [0.1, 0.1, 0.1, 0.2, 0.2, 0.3]
    assert joined.labels.tolist() == labels[joined.ids].tolist()
    assert joined.rule["twins"] == [7, 8, 9]
    assert with_twins(joined, images, labels) is joined
    assert with_twins(found, images, labels, but=[7]).ids.tolist() == [1, 9, 4, 8, 5]
    assert with_twins(found, images, labels, but=[7, 8, 9]) is found
