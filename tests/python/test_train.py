"""The training loop, its recipes, and what it leaves on disk."""

import pickle
import re
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from unmemorize import models
from unmemorize.data import Examples, load
from unmemorize.errors import StoreError
from unmemorize.events import LearningEvents
from unmemorize.train import (
    RECIPES,
    Context,
    DivergedError,
    Recipe,
    fit,
    load_checkpoint,
    overhead,
    resolve,
    resume,
    save_checkpoint,
    seconds_in,
)
from unmemorize.train.recipes import SCHEDULES

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does

SMALL = Recipe("convnet", epochs=4, lr=0.05, batch_size=16, schedule="one_cycle", augment=("crop", "flip"))


@pytest.fixture(scope="module")
def digits():
    return load("digits", noise=0.05)


@pytest.fixture(scope="module")
def few(digits):
    return digits.train.take(range(50))


def context(**options):
    return Context(**{"device": "cpu", "progress": False} | options)


def network(seed=0):
    """Everything that a resumed training must bring back: normalisation statistics, dropout, momentum."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 10)
    )


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- recipes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cifar10", {"model": "resnet18", "epochs": 30, "schedule": "cosine", "augment": ()}),
        (
            "cifar100",
            {"model": "resnet50", "epochs": 150, "schedule": "multistep", "milestones": (60, 120), "gamma": 0.2},
        ),
        ("tiny_imagenet", {"model": "resnet18", "epochs": 80, "schedule": "cosine", "augment": ("crop", "flip")}),
        ("tiny_imagenet_vgg", {"model": "vgg16_bn", "epochs": 100, "augment": ("crop", "flip")}),
    ],
)
def test_recipes_are_the_published_ones(name, expected):
    common = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 256, "optimizer": "sgd"}
    recipe = RECIPES[name]
    assert {key: getattr(recipe, key) for key in (*common, *expected)} == common | expected


def test_the_recipe_of_exact_memorization_drops_after_16_21_and_26_epochs():
    recipe = RECIPES["paper"]
    rates = [round(recipe.lr_at((epoch + 0.5) / recipe.epochs), 9) for epoch in range(30)]
    assert rates == [1e-2] * 16 + [1e-3] * 5 + [1e-4] * 5 + [1e-5] * 4
    assert (recipe.batch_size, recipe.augment, RECIPES["data-metrics"].batch_size) == (512, (), 128)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1, 1, 1]),
        ("linear", [1, 0.5, 0]),
        ("cosine", [1, 0.5, 0]),
        ("one_cycle", [0, 0.5 * (1 + np.cos(np.pi * 0.375)), 0]),
        ("multistep", [1, 0.1, 0.01]),
    ],
)
def test_schedules(schedule, rates):
    recipe = Recipe(epochs=10, lr=1.0, schedule=schedule, milestones=(5, 10))
    assert [recipe.lr_at(t) for t in (0, 0.5, 1)] == pytest.approx(rates, abs=1e-12)


def test_the_peak_of_one_cycle_is_its_learning_rate():
    recipe = Recipe(schedule="one_cycle", lr=0.3)
    assert max(recipe.lr_at(t / 1000) for t in range(1000)) == pytest.approx(0.3)


@given(st.sampled_from(SCHEDULES), st.floats(0, 1), st.floats(0, 10))
def test_no_schedule_leaves_the_range(schedule, t, warmup):
    recipe = Recipe(epochs=10, lr=0.7, schedule=schedule, milestones=(3, 6), warmup_epochs=warmup)
    assert 0 <= recipe.lr_at(t) <= 0.7


def test_warm_up_rises_linearly_to_the_schedule():
    recipe = Recipe(epochs=10, lr=1.0, schedule="constant", warmup_epochs=2)
    assert [recipe.lr_at(epoch / 10) for epoch in (0, 1, 2, 5)] == pytest.approx([0, 0.5, 1, 1])


def test_every_value_of_a_recipe_is_in_its_hash():
    words = {"model": "convnet", "schedule": "linear", "optimizer": "adamw", "augment": ("flip",), "milestones": (3,)}
    recipe = Recipe()
    changed = {f.name: words.get(f.name) or getattr(recipe, f.name) + 1 for f in fields(recipe)}
    hashes = {replace(recipe, **{name: value}).hash for name, value in changed.items()}
    assert len({recipe.hash, *hashes}) == len(changed) + 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"model": "resnet"}, "no model 'resnet'; known are convnet"),
        ({"schedule": "exp"}, "no schedule 'exp'; known are constant"),
        ({"optimizer": "adam"}, "no optimizer 'adam'; known are sgd, adamw"),
        ({"augment": ("rotate",)}, "no augmentation 'rotate'; known are crop, flip"),
        ({"lr": float("nan")}, "epochs, batch_size, lr: expected"),
        ({"epochs": 0}, "epochs, batch_size, lr: expected"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**value)
    with pytest.raises(ValueError, match="no recipe 'mnist'; known are digits, cifar10"):
        resolve("mnist")


# --- training


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_the_small_network_learns_all_digits_flipped_labels_included(digits, share):
    n = len(digits.train)
    part = digits.train.take(torch.randperm(n, generator=torch.Generator().manual_seed(1))[: int(share * n)])
    ctx = context()
    model = fit(models.build("convnet", digits), part, "digits", ctx)
    assert not model.training
    assert ctx.accuracy(model, part) >= 0.995
    assert ctx.accuracy(model, digits.test) >= 0.9


def test_same_seed_same_bits_and_another_seed_others(few):
    first, second, third = (bits(fit(network(), few, SMALL, context(seed=seed))) for seed in (1, 1, 2))
    assert same(first, second)
    assert not same(first, third)


def test_it_trains_in_place_any_module_and_leaves_torchs_random_state_alone(few):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before, state = bits(model), torch.get_rng_state()
    assert fit(model, few, SMALL, context()) is model
    assert not same(before, bits(model))
    assert torch.equal(state, torch.get_rng_state())


def test_frozen_parameters_stay(few):
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, few, SMALL, context())
    assert torch.equal(before, model[0].weight)


def test_the_learning_rate_of_each_step_is_the_schedules(few, monkeypatch):
    rates = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self)))
    recipe = replace(SMALL, epochs=3, schedule="linear", lr=1e-3)
    fit(network(), few, recipe, context())
    assert rates == pytest.approx([1e-3 * (1 - (i + 0.5) / 12) for i in range(12)])


def test_the_model_sees_augmented_images_but_not_when_it_is_recorded(few):
    shown = {True: [], False: []}
    model = network()
    model.register_forward_pre_hook(lambda module, inputs: shown[module.training].append(inputs[0]))
    fit(model, few, SMALL, context(), events=LearningEvents(50, mode="eval"))
    assert not any(torch.equal(image, few.images[k]) for k in range(50) for image in shown[True][0][:1])
    assert torch.equal(shown[False][-1], few.images)


class Recorder:
    """What `fit` tells its learning events."""

    def __init__(self, mode):
        self.mode, self.calls = mode, []

    def update(self, ids, logits, labels, *, epoch):
        self.calls.append((ids, logits, labels, epoch))


def test_events_are_of_the_forward_pass_that_the_step_uses(few):
    model, recorder, seen = network(), Recorder("train"), []
    model.register_forward_hook(lambda module, _inputs, output: seen.extend([output.detach()] * module.training))
    fit(model, few, SMALL, context(), events=recorder)
    assert len(seen) == len(recorder.calls) == 4 * 4
    for output, (ids, logits, labels, _) in zip(seen, recorder.calls, strict=True):
        assert torch.equal(output, logits)
        assert not logits.requires_grad
        assert torch.equal(labels, few.labels[ids])
    for epoch in range(4):
        ids = torch.cat([ids for ids, _, _, e in recorder.calls if e == epoch])
        assert sorted(ids.tolist()) == list(range(50))


def test_events_of_mode_eval_are_one_pass_in_eval_mode_after_each_epoch(few):
    recorder = Recorder("eval")
    model = fit(network(), few, SMALL, context(), events=recorder)
    assert [epoch for *_, epoch in recorder.calls] == [0, 1, 2, 3]
    ids, logits, _, _ = recorder.calls[-1]
    assert torch.equal(ids, few.ids)
    torch.testing.assert_close(logits, context().logits(model, few))


def test_flipped_labels_are_learned_late(digits):
    events = LearningEvents(len(digits.train))
    fit(models.build("convnet", digits), digits.train, "digits", context(), events=events)
    assert (events.seen == RECIPES["digits"].epochs).all()
    confidence = events.scores()["confidence"]
    assert confidence[digits.flipped].mean() + 0.3 < confidence[~digits.flipped].mean()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_optimizers_learn_in_both_precisions(few, optimizer, dtype):
    recipe = Recipe("convnet", epochs=30, lr=0.01, batch_size=16, optimizer=optimizer, schedule="linear")
    ctx = context(dtype=dtype)
    assert ctx.accuracy(fit(network(), few, recipe, ctx), few) > 0.9


def test_what_cannot_be_trained_is_refused(few):
    with pytest.raises(ValueError, match="examples: expected at least 1"):
        fit(network(), few.take([]), SMALL, context())
    for label in (10, -1):
        bad = Examples(few.images, few.labels.clone().index_fill_(0, torch.tensor(3), label), few.ids, few.source_ids)
        with pytest.raises(ValueError, match=f"labels: {label} is out of range for a network of 10 outputs"):
            fit(network(), bad, SMALL, context())


def test_a_training_that_diverges_says_where(few):
    images = few.images.clone()
    images[17] = torch.inf
    with pytest.raises(DivergedError, match=r"epoch 0, step \d: the loss is nan"):
        fit(network(), replace(few, images=images), SMALL, context())


# --- going on after a kill


class Killed(BaseException):
    pass


def killed(model, after):
    """`model`, whose training dies in the forward pass number `after`."""
    passes = []

    def count(module, _inputs):
        passes.append(module.training)
        if sum(passes) > after:
            raise Killed

    handle = model.register_forward_pre_hook(count)
    return model, handle


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("after", [2, 5, 10])  # of 16 passes: in the first, second and third epoch
def test_a_killed_training_goes_on_with_the_same_bits(few, tmp_path, optimizer, after):
    recipe = replace(SMALL, optimizer=optimizer)
    whole = LearningEvents(50)
    undisturbed = fit(network(), few, recipe, context(seed=5), events=whole)
    ctx = {"seed": 5, "run_dir": tmp_path / "run", "save_every": 0.0}
    with pytest.raises(Killed):
        fit(killed(network(), after)[0], few, recipe, context(**ctx), events=LearningEvents(50))
    passes, parts = [], LearningEvents(50)
    again = network()
    again.register_forward_pre_hook(lambda module, _: passes.append(module.training))
    fit(again, few, recipe, context(**ctx), events=parts)
    assert sum(passes) == 16 - 4 * (after // 4)
    assert same(bits(undisturbed), bits(again))
    for name, score in whole.scores().items():
        np.testing.assert_array_equal(score, parts.scores()[name])


def test_a_finished_training_is_not_run_again(few, tmp_path):
    ctx = {"run_dir": str(tmp_path)}
    done = fit(network(), few, SMALL, context(**ctx))
    model, _ = killed(network(), after=0)
    assert same(bits(fit(model, few, SMALL, context(**ctx))), bits(done))


def test_trainings_share_a_folder_and_none_takes_anothers_state(few, tmp_path):
    ctx = {"run_dir": tmp_path}
    variants = [
        (network(), few, SMALL, {}),
        (network(1), few, SMALL, {}),
        (network(), few.without([3]), SMALL, {}),
        (network(), replace(few, images=few.images + 1), SMALL, {}),
        (network(), few, replace(SMALL, lr=0.01), {}),
        (network(), few, SMALL, {"seed": 1}),
    ]
    alone = [bits(fit(killed(m, 99)[0], part, recipe, context(**extra))) for m, part, recipe, extra in variants]
    fresh = [network(), network(1), *(network() for _ in range(4))]
    for model, (_, part, recipe, extra), expected in zip(fresh, variants, alone, strict=True):
        assert same(bits(fit(model, part, recipe, context(**ctx, **extra))), expected)


def test_a_training_has_the_loss_of_its_context(few, tmp_path):
    smooth = replace(SMALL, label_smoothing=0.3)
    loss = partial(cross_entropy, label_smoothing=0.3)
    fit(network(), few, SMALL, context(run_dir=tmp_path))
    own = fit(network(), few, SMALL, context(criterion=loss, run_dir=tmp_path))  # goes on from no other loss's state
    assert same(bits(own), bits(fit(network(), few, smooth, context())))
    with pytest.raises(ValueError, match=r"label_smoothing: expected 0 beside a criterion of your own, got 0\.3"):
        fit(network(), few, smooth, context(criterion=loss))


def test_a_folder_knows_the_seconds_of_its_trainings(few, tmp_path, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(resume, "monotonic", lambda: float(next(clock)))
    ctx = {"run_dir": tmp_path, "save_every": 0.0}
    assert seconds_in(tmp_path) == 0
    with pytest.raises(Killed):
        fit(killed(network(), after=6)[0], few, SMALL, context(**ctx))
    before = seconds_in(tmp_path)
    for _ in range(50):
        next(clock)  # between the two processes
    fit(network(), few, SMALL, context(**ctx))
    assert 0 < before < seconds_in(tmp_path) < 50
    done = seconds_in(tmp_path)
    fit(network(), few, SMALL, context(**ctx))
    assert seconds_in(tmp_path) == done


def test_a_damaged_state_is_named(few, tmp_path):
    fit(network(), few, SMALL, context(run_dir=tmp_path))
    [state] = tmp_path.glob("*/state.safetensors")
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(StoreError, match=r"state\.safetensors: damaged"):
        fit(network(), few, SMALL, context(run_dir=tmp_path))


def test_going_on_wants_a_new_tracker(few, tmp_path):
    events = LearningEvents(50)
    fit(network(), few, SMALL, context(run_dir=tmp_path), events=events)
    with pytest.raises(ValueError, match="events: expected a new tracker"):
        fit(network(), few, SMALL, context(run_dir=tmp_path), events=events)


# --- checkpoints


def test_a_checkpoint_holds_bits_and_what_was_said_beside_them(tmp_path):
    model = models.build("convnet", load("digits"))
    save_checkpoint(tmp_path / "new" / "m.safetensors", model, model="convnet", seed=3)
    state, meta = load_checkpoint(tmp_path / "new" / "m.safetensors")
    assert same(state, bits(model))
    assert meta == {"model": "convnet", "seed": "3"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.safetensors"]


def test_tied_and_half_precision_parameters_are_saved(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).bfloat16()
    model[1].weight = model[0].weight
    save_checkpoint(tmp_path / "m.safetensors", model)
    assert same(load_checkpoint(tmp_path / "m.safetensors")[0], bits(model))


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_a_users_own_checkpoint_is_read(tmp_path, wrap):
    model = network()
    torch.save(wrap(model.state_dict()), tmp_path / "m.pt")
    state, meta = load_checkpoint(tmp_path / "m.pt")
    assert same(state, bits(model))
    assert meta == {}


class Attack:
    def __reduce__(self):
        return (pytest.fail, ("code in a checkpoint was run",))


def test_a_checkpoint_that_holds_code_is_refused(tmp_path):
    torch.save({"state_dict": Attack()}, tmp_path / "m.pt")
    with pytest.raises(StoreError, match=r"m\.pt: not a state dict that can be read with weights_only"):
        load_checkpoint(tmp_path / "m.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(StoreError, match=r"old\.pt"):
        load_checkpoint(tmp_path / "old.pt")


def test_a_checkpoint_that_is_missing_damaged_or_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / 'm.safetensors'}: no such checkpoint")):
        load_checkpoint(tmp_path / "m.safetensors")
    save_checkpoint(tmp_path / "m.safetensors", network())
    content = (tmp_path / "m.safetensors").read_bytes()
    for damaged in (b"", content[:50], content[:-1], b"\xff" * 100):
        (tmp_path / "m.safetensors").write_bytes(damaged)
        with pytest.raises(StoreError, match=r"m\.safetensors: damaged"):
            load_checkpoint(tmp_path / "m.safetensors")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(StoreError, match=r"list\.pt: expected a state dict .* got list"):
        load_checkpoint(tmp_path / "list.pt")


# --- what recording costs


def test_overhead_is_measured_in_pairs_and_trains_the_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    before = model[1].weight.detach().clone()
    found = overhead(model, (3, 2, 2), 3, Context(device="cpu", batch_size=8), n_examples=1000, blocks=4, steps=2)
    assert found.step > 0
    assert found.inside > 0
    assert found.more.n == 4
    assert not torch.equal(before, model[1].weight)
    with pytest.raises(ValueError, match="expected at least 2, 1 and the batch size 8, got 4, 2, 7"):
        overhead(model, (3, 2, 2), 3, Context(device="cpu", batch_size=8), n_examples=7, blocks=4, steps=2)
