"""Proxies that need a model: each formula by hand on a linear model, and flipped labels score higher on digits."""

import copy
import re
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn
from unmemorize import models, proxies, train
from unmemorize.audit import roc
from unmemorize.data import Data, Examples, load
from unmemorize.errors import StoreError
from unmemorize.proxies import PROXIES, Cost, InputGradients
from unmemorize.proxies.holdout_retraining import symmetric_kl
from unmemorize.train import Context, Recipe

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does

WEIGHT = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])  # (C, d) of the linear model
IMAGES = np.array([[1.0, 2.0, 0.5], [-1.0, 0.3, 0.7], [0.2, -0.4, 1.5], [2.0, 1.0, -1.0]])
LABELS = np.array([0, 1, 0, 1])


def context(**options):
    return Context(**{"device": "cpu", "progress": False} | options)


def linear():
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.data = torch.tensor(WEIGHT, dtype=torch.float32)
    return nn.Sequential(nn.Flatten(), layer)


def examples(images=IMAGES, labels=LABELS):
    x = torch.tensor(np.asarray(images), dtype=torch.float32).reshape(len(images), 1, 1, -1)
    y = torch.as_tensor(np.asarray(labels))
    return Examples(x, y, torch.arange(len(x)), np.arange(len(x)))


def small(labels=LABELS, **parts):
    train_set = examples(labels=labels)
    held_out = examples(IMAGES[::-1].copy())
    return Data("small", **{"train": train_set, "val": held_out, "test": held_out} | parts, n_classes=2,
                true_labels=np.asarray(LABELS))  # fmt: skip


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def residual(weight, images, labels):
    """p - onehot(y): the gradient of the cross-entropy by the logits."""
    return softmax(images @ weight.T) - np.eye(len(weight))[labels]


def losses(weight, images, labels):
    return -np.log(softmax(images @ weight.T)[np.arange(len(labels)), labels])


@pytest.fixture(scope="module")
def trained():
    """Digits with 5% flipped labels, and a model that fits them."""
    digits = load("digits", noise=0.05, seed=3)
    model = models.build("convnet", digits, seed=3)
    return train.fit(model, digits.train, "digits", context(seed=3)), digits


# --- what the papers say, on real data


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("confidence_now", {}),
        ("holdout_retraining", {}),
        ("loss_curvature", {"method": "sign"}),
        ("loss_curvature", {"method": "rademacher", "draws": 3}),
        ("sharpness_gap", {}),
        ("cumulative_gradient", {}),
    ],
)
def test_flipped_examples_score_higher_and_the_model_is_left_alone(trained, name, options):
    model, digits = trained
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    score = PROXIES[name](model, digits, context(seed=1), **options)
    assert score.shape == (len(digits.train),)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    assert np.median(score[digits.flipped]) > np.median(score[~digits.flipped])
    ranks = score.argsort().argsort()  # how often a flipped example is above one that is not
    flipped, others = ranks[digits.flipped], ranks[~digits.flipped]
    assert (flipped[:, None] > others).mean() > 0.85
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(weight.requires_grad for weight in model.parameters())


# --- formulas


def test_confidence_now_is_the_softmax_of_the_label():
    expected = -softmax(IMAGES @ WEIGHT.T)[np.arange(4), LABELS]
    np.testing.assert_allclose(proxies.confidence_now(linear(), small(), context()), expected, rtol=1e-6)


def test_sign_curvature_of_a_linear_model():
    here = residual(WEIGHT, IMAGES, LABELS) @ WEIGHT
    moved = IMAGES + 0.5 * np.sign(here) / np.linalg.norm(np.sign(here), axis=1, keepdims=True)
    expected = np.linalg.norm(residual(WEIGHT, moved, LABELS) @ WEIGHT - here, axis=1)
    score = proxies.loss_curvature(linear(), small(), context(batch_size=3), h=0.5)
    np.testing.assert_allclose(score, expected, rtol=1e-5)


def test_rademacher_curvature_of_a_linear_model():
    generator = torch.Generator().manual_seed(7)
    torch.randint(2**62, (), generator=generator)  # a loop's own draw for torch's random state
    signs = (2 * torch.randint(0, 2, (5, 4, 1, 1, 3), generator=generator) - 1).numpy().reshape(5, 4, 3)
    here = residual(WEIGHT, IMAGES, LABELS) @ WEIGHT
    turns = [residual(WEIGHT, IMAGES + 0.5 * v, LABELS) @ WEIGHT - here for v in signs]
    score = proxies.loss_curvature(linear(), small(), context(seed=7), method="rademacher", h=0.5, draws=5)
    np.testing.assert_allclose(score, np.linalg.norm(turns, axis=2).mean(axis=0), rtol=1e-5)


def test_where_the_loss_is_flat_there_is_no_curvature_and_no_gap():
    certain = linear()
    certain[1].weight.data *= 1e4  # every probability is 0 or 1 in float32
    of = small(labels=(IMAGES @ WEIGHT.T).argmax(axis=1))
    assert (proxies.loss_curvature(certain, of, context()) == 0).all()
    assert (proxies.sharpness_gap(certain, of, context()) == 0).all()


def test_sharpness_gap_of_a_linear_model():
    gradients = residual(WEIGHT, IMAGES, LABELS)[:, :, None] * IMAGES[:, None, :]
    lengths = np.linalg.norm(gradients.reshape(4, -1), axis=1)
    expected = [
        losses(WEIGHT + 0.3 * g / length, IMAGES[[i]], LABELS[[i]])[0] - losses(WEIGHT, IMAGES[[i]], LABELS[[i]])[0]
        for i, (g, length) in enumerate(zip(gradients, lengths, strict=True))
    ]
    score = proxies.sharpness_gap(linear(), small(), context(batch_size=3), rho=0.3)
    np.testing.assert_allclose(score, expected, rtol=1e-5)


def test_symmetric_kl_of_known_distributions_and_of_certain_ones():
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    expected = 0.5 * (np.sum(p * np.log(p / q)) + np.sum(q * np.log(q / p)))
    found = symmetric_kl(torch.tensor(np.log([p, p])), torch.tensor(np.log([q, p])))
    np.testing.assert_allclose(found, [expected, 0], atol=1e-12)
    certain = symmetric_kl(torch.tensor([[2000.0, 0.0]]), torch.tensor([[0.0, 2000.0]]))
    np.testing.assert_allclose(certain, [2000])  # a probability that underflows is no NaN


def test_holdout_retraining_is_the_divergence_after_one_step():
    of, lr = small(), 0.2
    x, y = of.val.images.reshape(4, 3).numpy(), of.val.labels.numpy()
    gradient = residual(WEIGHT, x, y).T @ x / 4 + 5e-4 * WEIGHT  # of the mean loss, and weight decay
    p, q = softmax(IMAGES @ WEIGHT.T), softmax(IMAGES @ (WEIGHT - lr * gradient).T)
    expected = 0.5 * ((p - q) * np.log(p / q)).sum(axis=1)
    score = proxies.holdout_retraining(linear(), of, context(), lr=lr, epochs=1)
    np.testing.assert_allclose(score, expected, rtol=1e-4)


def test_holdout_retraining_stops_after_four_epochs_without_improvement():
    # A rate so large that the loss only rises: the first epoch is the best, and four more are made.
    with Cost() as cost:
        proxies.holdout_retraining(linear(), small(), context(), lr=50.0, epochs=100)
    assert cost.backwards == 5 * 4
    with Cost() as cost:
        proxies.holdout_retraining(linear(), small(), context(), lr=1e-3, epochs=30)
    assert cost.backwards == 30 * 4


def test_cumulative_gradient_of_a_linear_model_that_hardly_moves():
    recipe = Recipe(epochs=3, lr=1e-9, batch_size=2, schedule="constant")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "reinitialize", lambda model, seed: model)
        score = proxies.cumulative_gradient(linear(), small(), context(), recipe=recipe)
    expected = 3 * np.linalg.norm(residual(WEIGHT, IMAGES, LABELS) @ WEIGHT, axis=1)
    np.testing.assert_allclose(score, expected, rtol=1e-5)


# --- the recorder of input gradients, in a loop of one's own


def test_input_gradients_change_nothing_of_the_training(trained):
    _, digits = trained
    few, recipe = digits.train.take(range(60)), Recipe("convnet", epochs=2, lr=0.03, batch_size=16)

    def fitted(watched):
        model = models.build("convnet", digits)
        recorder = InputGradients(60, model) if watched else None
        return train.fit(model, few, recipe, context(), events=recorder), recorder

    (plain, _), (watched, recorder) = fitted(False), fitted(True)
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in watched.state_dict().items())
    assert (recorder.seen == 2).all()


def test_input_gradients_of_a_killed_training_go_on(trained, tmp_path):
    _, digits = trained
    few, recipe = digits.train.take(range(60)), Recipe("convnet", epochs=4, lr=0.03, batch_size=16)

    def fitted(model, **options):
        recorder = InputGradients(60, model)
        train.fit(model, few, recipe, context(**options), events=recorder)
        return recorder

    undisturbed = fitted(models.build("convnet", digits))
    model = models.build("convnet", digits)
    forwards = []

    def kill(module, _inputs):
        forwards.append(module.training)
        if sum(forwards) == 10:  # in the third epoch of four steps
            raise KeyboardInterrupt

    handle = model.register_forward_pre_hook(kill)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, run_dir=tmp_path, save_every=0)
    handle.remove()
    resumed = fitted(models.build("convnet", digits), run_dir=tmp_path, save_every=0)
    np.testing.assert_array_equal(resumed.seen, undisturbed.seen)
    np.testing.assert_array_equal(resumed.scores()["input_gradient"], undisturbed.scores()["input_gradient"])


def test_input_gradients_reach_through_layers_that_train_before_the_network():
    stem, network = nn.Linear(3, 3), nn.Linear(3, 2)
    recorder = InputGradients(4, network)
    features = stem(torch.tensor(IMAGES, dtype=torch.float32))
    nn.functional.cross_entropy(network(features), torch.tensor(LABELS)).backward()
    recorder.update(np.arange(4))
    assert stem.weight.grad is not None
    assert (recorder.scores()["input_gradient"] > 0).all()


def test_input_gradients_are_updated_once_for_each_backward_pass():
    network = linear()
    recorder = InputGradients(6, network)
    with pytest.raises(RuntimeError, match="no backward pass has reached"):
        recorder.update([0, 1])
    loss = nn.functional.cross_entropy(network(examples().images), torch.tensor(LABELS))
    with pytest.raises(RuntimeError, match="no backward pass has reached"):
        recorder.update([0, 1, 2, 3])
    loss.backward()
    with pytest.raises(ValueError, match="expected 4 values to match the batch of images, got 3"):
        recorder.update([0, 1, 2])
    with pytest.raises(IndexError, match="6 is out of range for input gradients of 6 examples"):
        recorder.update([0, 1, 2, 6])
    recorder.update([0, 1, 2, 5])
    with pytest.raises(RuntimeError, match="no backward pass has reached"):
        recorder.update([0, 1, 2, 5])
    np.testing.assert_array_equal(recorder.seen, [1, 1, 1, 0, 0, 1])
    np.testing.assert_array_equal(np.isnan(recorder.scores()["input_gradient"]), [0, 0, 0, 1, 1, 0])
    recorder.close()
    network(examples().images)
    with pytest.raises(RuntimeError, match="no backward pass has reached"):
        recorder.update([0, 1, 2, 3])


def test_input_gradients_merge_save_and_load(tmp_path):
    network = linear()
    recorder = InputGradients(4, network)
    nn.functional.cross_entropy(network(examples().images), torch.tensor(LABELS)).backward()
    recorder.update(np.arange(4))
    once = recorder.scores()["input_gradient"]
    recorder.save(tmp_path / "gradients.safetensors")
    recorder.merge(InputGradients.load(tmp_path / "gradients.safetensors"))
    np.testing.assert_array_equal(recorder.scores()["input_gradient"], 2 * once)
    with pytest.raises(ValueError, match="expected 4 examples, got 5"):
        recorder.merge(InputGradients(5))
    train.save_checkpoint(tmp_path / "model.safetensors", network)
    with pytest.raises(StoreError, match=r"expected input gradients, got a file of 1\.weight"):
        InputGradients.load(tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError):
        InputGradients.load(tmp_path / "none.safetensors")


# --- reproducible, and what it cost


@pytest.mark.parametrize("name", PROXIES)
def test_the_same_seed_gives_the_same_scores_whatever_was_drawn_before(name, trained):
    _, digits = trained
    few = replace(digits, train=digits.train.take(range(40)), true_labels=digits.true_labels[:40])
    model, used, recipe = models.build("convnet", digits), context(seed=5), Recipe("convnet", epochs=1, batch_size=16)
    torch.rand(3, generator=used.generator)
    options = {"recipe": recipe} if name == "cumulative_gradient" else {}
    scores = [PROXIES[name](model, few, ctx, **options) for ctx in (context(seed=5), used, context(seed=5))]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


@pytest.mark.parametrize(
    ("name", "options", "forwards", "backwards"),
    [
        ("confidence_now", {}, 4, 0),
        ("loss_curvature", {}, 8, 8),
        ("loss_curvature", {"method": "rademacher", "draws": 3}, 16, 16),
        ("sharpness_gap", {}, 8, 4),
        ("holdout_retraining", {"lr": 1e-3, "epochs": 2}, 2 * 4 + 2 * 4, 2 * 4),
        ("cumulative_gradient", {"recipe": Recipe(epochs=3, batch_size=2)}, 12, 12),
    ],
)
def test_cost_counts_passes_of_the_innermost_block(name, options, forwards, backwards):
    with Cost() as outer:
        with Cost() as cost:
            PROXIES[name](linear(), small(), context(), **options)
        assert (cost.forwards, cost.backwards) == (forwards, backwards)
        assert cost.seconds > 0
    assert (outer.forwards, outer.backwards) == (0, 0)
    assert outer.seconds >= cost.seconds


# --- killed, and gone on with

KILLED = [
    ("confidence_now", {}, 4),
    ("loss_curvature", {}, 3),
    ("loss_curvature", {"method": "rademacher", "draws": 2}, 4),
    ("sharpness_gap", {}, 5),
    ("holdout_retraining", {"lr": 0.5}, 3),  # in the fine-tuning
    ("holdout_retraining", {"lr": 0.5}, 16),  # after two epochs without improvement
    ("holdout_retraining", {"lr": 0.5, "epochs": 2}, 5),  # in the pass after it
]


def digits_and_model(seed=0):
    digits = load("digits", noise=0.05)
    few = replace(digits, train=digits.train.take(range(40)), val=digits.val.take(range(24)))
    return few, models.build("convnet", digits, seed=seed)


@pytest.mark.parametrize(("name", "options", "at"), KILLED)
def test_a_proxy_that_was_killed_goes_on_with_the_same_bits(name, options, at, monkeypatch, tmp_path):
    few, model = digits_and_model()
    ctx = context(seed=5, batch_size=8, run_dir=tmp_path / "run", save_every=0)
    with Cost() as whole:
        undisturbed = PROXIES[name](model, few, replace(ctx, run_dir=None), **options)
    rounds = Context.epochs
    begun = []

    def kill(self, *arguments, **keywords):
        for number in rounds(self, *arguments, **keywords):
            begun.append(number)
            if len(begun) == at:
                raise KeyboardInterrupt
            yield number

    monkeypatch.setattr(Context, "epochs", kill)
    with Cost() as before, pytest.raises(KeyboardInterrupt):
        PROXIES[name](model, few, ctx, **options)
    with Cost() as after:
        resumed = PROXIES[name](model, few, ctx, **options)
    np.testing.assert_array_equal(resumed, undisturbed)
    assert 0 < before.forwards < whole.forwards
    assert before.forwards + after.forwards == whole.forwards  # nothing was done twice
    with Cost() as again:
        np.testing.assert_array_equal(PROXIES[name](model, few, ctx, **options), undisturbed)
    assert again.forwards == 0


@pytest.mark.parametrize("name", [name for name in PROXIES if name != "cumulative_gradient"])
def test_what_is_kept_of_another_model_is_refused(name, tmp_path):
    few, model = digits_and_model()
    ctx = context(run_dir=tmp_path)
    known = PROXIES[name](model, few, ctx)
    message = rf"{name}\.safetensors: is of {name} [0-9a-f]{{16}}, this one is [0-9a-f]{{16}} \(another model"
    for other, of, where in [
        (digits_and_model(seed=1)[1], few, ctx),
        (model, replace(few, train=few.train.take(range(1, 40)), true_labels=None), ctx),
        (model, few, replace(ctx, seed=1)),
    ]:
        with pytest.raises(FileExistsError, match=message):
            PROXIES[name](other, of, where)
    np.testing.assert_array_equal(PROXIES[name](model, few, ctx), known)


def test_snapshots_of_a_training_are_kept_apart(tmp_path):
    few, model = digits_and_model()
    snapshots, ctx = [model, digits_and_model(seed=1)[1]], context(run_dir=tmp_path)
    found = proxies.along_training(proxies.loss_curvature, snapshots, few, ctx)
    np.testing.assert_array_equal(proxies.along_training(proxies.loss_curvature, snapshots, few, ctx), found)
    assert {path.parent.name for path in tmp_path.glob("*/*.safetensors")} == {"snapshot-0", "snapshot-1"}


# --- bad input


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 0, 2], ValueError, "data.train.labels: 2 is out of range for a network of 2 outputs"),
        ([0, -1, 0, 1], ValueError, "data.train.labels: -1 is out of range"),
        (np.full((4, 2), 0.5, np.float32), TypeError, "expected class indices, int64 (n,), got torch.float32 (4, 2)"),
    ],
)
def test_labels_that_are_not_class_indices_are_refused(name, labels, error, message):
    with pytest.raises(error, match=re.escape(message)):
        PROXIES[name](linear(), small(labels=labels), context())


@pytest.mark.parametrize("name", PROXIES)
def test_no_examples_are_refused(name):
    with pytest.raises(ValueError, match=r"data.train: expected at least 1 example, got 0"):
        PROXIES[name](linear(), small(train=examples().take([])), context())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("loss_curvature", {"method": "hessian"}, "method: expected sign or rademacher, got 'hessian'"),
        ("loss_curvature", {"h": 0.0}, "h, draws: expected above 0, at least 1, got 0.0, 10"),
        ("loss_curvature", {"draws": 0}, "h, draws: expected above 0, at least 1, got 0.01, 0"),
        ("sharpness_gap", {"rho": float("nan")}, "rho: expected above 0, got nan"),
        ("holdout_retraining", {"holdout": "train"}, "holdout: expected val or test, got 'train'"),
        ("holdout_retraining", {"lr": -1.0}, "lr, epochs: expected above 0, at least 1, got -1.0, 30"),
        ("holdout_retraining", {"epochs": 0}, "lr, epochs: expected above 0, at least 1, got 0.1, 0"),
        ("cumulative_gradient", {"recipe": "digit"}, "recipe: no recipe 'digit'"),
    ],
)
def test_values_out_of_range_are_named(name, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PROXIES[name](linear(), small(), context(), **options)


def test_the_test_set_is_held_out_only_if_asked_and_with_a_warning():
    of = small(test=examples(IMAGES * 2))
    by_val = proxies.holdout_retraining(linear(), of, context(), epochs=1)
    with pytest.warns(UserWarning, match="do not evaluate on it afterwards"):
        by_test = proxies.holdout_retraining(linear(), of, context(), epochs=1, holdout="test")
    assert not np.allclose(by_val, by_test)
    with pytest.raises(ValueError, match=r"data.val: expected at least 1 example to fine-tune on, got 0"):
        proxies.holdout_retraining(linear(), small(val=examples().take([])), context())


# --- along a training


def test_a_proxy_along_a_training_is_the_mean_over_its_snapshots():
    snapshots = [linear(), linear()]
    snapshots[1][1].weight.data *= 2
    ctx, of = context(), small()
    each = [proxies.loss_curvature(model, of, ctx, h=0.5) for model in snapshots]
    assert (each[0] != each[1]).all()
    found = proxies.along_training(proxies.loss_curvature, iter(snapshots), of, ctx, h=0.5)
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="snapshots: expected at least 1 model, got 0"):
        proxies.along_training(proxies.confidence_now, [], of, ctx)


# --- of the images alone


def ntk(a, b):
    """E[relu(w.a) relu(w.b)] + E[(w.a > 0)(w.b > 0)] a.b, twice, over Gaussian w, by its closed form."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / lengths, -1, 1))
    relus = lengths * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
    return (relus + (np.pi - angle) * (a @ b)) / np.pi


def test_the_kernel_is_that_of_random_networks():
    random = np.random.default_rng(0)
    a, b, w = *random.normal(size=(2, 5)), random.normal(size=(400_000, 5))
    left, right = w @ a, w @ b
    relus, steps = (np.maximum(left, 0) * np.maximum(right, 0)).mean(), ((left > 0) & (right > 0)).mean()
    assert ntk(a, b) == pytest.approx(2 * (relus + steps * (a @ b)), abs=0.05)


def test_leave_one_out_is_the_regression_without_the_example():
    random = np.random.default_rng(1)
    images, labels = random.normal(size=(20, 6)), np.arange(20) % 3
    part = examples(images, labels)
    found = proxies.leave_one_out(part, context())
    x = part.images.double().flatten(1).numpy()
    x -= x.mean()
    kernel = np.array([[ntk(a, b) for b in x] for a in x])
    kernel /= kernel.diagonal().mean()
    y = np.eye(3)[labels] - 1 / 3
    for i, label in enumerate(labels):
        rest = np.arange(20) != i
        z = kernel[i, rest] @ np.linalg.solve(kernel[np.ix_(rest, rest)] + 0.03 * np.eye(19), y[rest])
        assert found[i] == pytest.approx(np.delete(z, label).max() - z[label], abs=1e-6)


def test_leave_one_out_by_groups_tells_flipped_labels(trained, monkeypatch):
    digits = trained[1]
    monkeypatch.setattr(import_module("unmemorize.proxies.leave_one_out"), "GROUP", 300)
    first, again, other = (proxies.leave_one_out(digits.train, context(seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert roc(first, digits.flipped).auc > 0.98


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:1], LABELS[:1], "expected at least 2 of at least 2 classes, got 1 of 1"),
        (IMAGES, LABELS * 0, "got 4 of 1"),
        (np.ones((4, 3)), LABELS, "expected finite numbers that are not all the same"),
        (IMAGES * np.nan, LABELS, "expected finite numbers"),
    ],
)
def test_what_leave_one_out_cannot_tell_is_named(images, labels, message):
    with pytest.raises(ValueError, match=message):
        proxies.leave_one_out(examples(images, labels), context())


def test_leave_one_out_needs_class_indices():
    with pytest.raises(
        TypeError, match=re.escape("labels: expected class indices, int64 (n,), got torch.float32 (4, 2)")
    ):
        proxies.leave_one_out(examples(labels=np.eye(2, dtype=np.float32)[LABELS]), context())
