"""Unlearning algorithms: one step by hand, and a test for each way in which published code gets them wrong."""

import gc
import os
import subprocess
import sys
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from unmemorize import models, train, unlearn
from unmemorize.data import Data, Examples, load
from unmemorize.ensemble import Ensemble, balanced, hybrid_confidence
from unmemorize.forget_set import ForgetSet
from unmemorize.rum import RUM
from unmemorize.train import Context, DivergedError
from unmemorize.unlearn import (
    ALGORITHMS,
    SSD,
    BadTeacher,
    BoundaryShrink,
    CFk,
    EUk,
    FineTune,
    Influence,
    L1Sparse,
    NegGrad,
    NegGradPlus,
    OutOfSample,
    RandomLabel,
    Retrain,
    SalUn,
    Scrub,
)
from unmemorize.unlearn.salun import most_salient, saliency

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does

WEIGHT_DECAY = 5e-4
MOMENTUM = 0.9


class Diagonal(nn.Module):
    """Two parameters, two classes: logits = weight * x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -1.5], dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) * self.weight


@dataclass(eq=False)
class Watching(Context):
    """A context that remembers every batch whose loss was taken."""

    batches_seen: list[Examples] = field(default_factory=list)

    def loss(self, model: nn.Module, batch: Examples) -> torch.Tensor:
        self.batches_seen.append(batch)
        return super().loss(model, batch)


class Answers:
    """Stands for an ensemble: the same answer for every example."""

    def __init__(self, *probs: float) -> None:
        self.probs = probs

    def out_of_sample(self, ids: np.ndarray) -> np.ndarray:
        return np.tile(self.probs, (len(ids), 1)).astype(np.float64)

    def __repr__(self) -> str:
        return f"Answers{self.probs}"


def examples(x: list[list[float]], labels: list[int], first: int = 0) -> Examples:
    ids = torch.arange(first, first + len(labels))
    return Examples(torch.tensor(x).reshape(len(x), 1, 1, -1), torch.tensor(labels), ids, ids.numpy())


def context(**options: object) -> Context:
    return Context(device="cpu", progress=False, **options)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gradient(weight: np.ndarray, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy of `Diagonal`, by hand."""
    return ((softmax(weight * x) - targets) * x).mean(axis=0)


FORGET_X, FORGET_Y = np.array([[1.0, 3.0]]), np.array([[1.0, 0.0]])
RETAIN_X, RETAIN_Y = np.array([[-2.0, 0.5], [0.3, 0.7]]), np.array([[0.0, 1.0], [1.0, 0.0]])
START = np.array([0.5, -1.5])
BOTH_X = np.concatenate([FORGET_X, RETAIN_X])


def after_one_step(algorithm: unlearn.Algorithm, ctx: Context | None = None) -> np.ndarray:
    forget, retain = examples([[1.0, 3.0]], [0]), examples([[-2.0, 0.5], [0.3, 0.7]], [1, 0], first=1)
    return algorithm.apply(Diagonal(), forget, retain, ctx or context()).weight.detach().numpy()


def taught(ctx: Watching) -> np.ndarray:
    """The targets of the only step, one row for each of `BOTH_X`; only the first example's label was drawn."""
    (batch,) = ctx.batches_seen
    labels = batch.labels[batch.ids.argsort()].numpy()
    assert labels[1:].tolist() == [1, 0]
    return np.eye(2)[labels]


def expect(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_fine_tune_descends_on_the_retain_set() -> None:
    step = gradient(START, RETAIN_X, RETAIN_Y) + WEIGHT_DECAY * START
    expect(after_one_step(FineTune(lr=0.1, epochs=1)), START - 0.1 * step)


def test_neg_grad_plus_descends_on_the_retain_and_ascends_on_the_forget_set() -> None:
    up, down = gradient(START, FORGET_X, FORGET_Y), gradient(START, RETAIN_X, RETAIN_Y)
    step = 0.8 * down - 0.2 * up + WEIGHT_DECAY * START
    expect(after_one_step(NegGradPlus(lr=0.1, epochs=1, alpha=0.8)), START - 0.1 * step)


def test_neg_grad_ascends_on_the_forget_set() -> None:
    step = -gradient(START, FORGET_X, FORGET_Y) + WEIGHT_DECAY * START
    expect(after_one_step(NegGrad(lr=0.1, epochs=1)), START - 0.1 * step)


def test_l1_sparse_adds_a_penalty_that_falls_over_the_epochs() -> None:
    first = gradient(START, RETAIN_X, RETAIN_Y) + 0.2 * np.sign(START) + WEIGHT_DECAY * START
    halfway = START - 0.1 * first
    penalty = 0.1 * np.sign(halfway)
    second = MOMENTUM * first + gradient(halfway, RETAIN_X, RETAIN_Y) + penalty + WEIGHT_DECAY * halfway
    expect(after_one_step(L1Sparse(lr=0.1, epochs=1, gamma=0.2)), halfway)
    expect(after_one_step(L1Sparse(lr=0.1, epochs=2, gamma=0.2)), halfway - 0.1 * second)


def test_scrub_leaves_the_teacher_on_the_forget_set_and_returns_on_the_retain_set() -> None:
    """At the start the student is the teacher: the ascent has no gradient, and weight decay moves it alone."""
    t, gamma, beta = 4.0, 0.7, 0.5
    first = WEIGHT_DECAY * START
    student = START - 0.1 * first
    distance = (softmax(RETAIN_X * student / t) - softmax(RETAIN_X * START / t)) * RETAIN_X * t  # of T^2 KL
    step = gamma * gradient(student, RETAIN_X, RETAIN_Y) + beta * distance.mean(axis=0) + WEIGHT_DECAY * student
    second = MOMENTUM * first + step
    expect(after_one_step(Scrub(lr=0.1, epochs=1, msteps=1, gamma=gamma, beta=beta)), student - 0.1 * second)


def test_scrub_ascends_in_its_first_msteps_epochs_and_nowhere_else() -> None:
    @dataclass(eq=False)
    class Passes(Context):
        sizes: list[int] = field(default_factory=list)

        def step(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
            self.sizes.append(1 if loss <= 0 else 2)  # minus a divergence, or a loss
            super().step(optimizer, loss)

    ctx = Passes(device="cpu", progress=False)
    after_one_step(Scrub(epochs=4, msteps=2), ctx)
    assert ctx.sizes == [1, 2, 1, 2, 2, 2]


@pytest.mark.parametrize("seed", range(4))
def test_random_label_descends_on_drawn_labels_and_the_retain_set(seed: int) -> None:
    ctx = Watching(device="cpu", progress=False, seed=seed)
    found = after_one_step(RandomLabel(lr=0.1, epochs=1), ctx)
    step = gradient(START, BOTH_X, taught(ctx)) + WEIGHT_DECAY * START
    expect(found, START - 0.1 * step)


@pytest.mark.parametrize("seed", range(4))
def test_salun_moves_the_more_salient_of_two_weights_as_random_label_does(seed: int) -> None:
    of_forget = np.abs(gradient(START, FORGET_X, FORGET_Y))
    assert of_forget[1] > of_forget[0]
    ctx = Watching(device="cpu", progress=False, seed=seed)
    found = after_one_step(SalUn(lr=0.1, epochs=1, threshold=0.5), ctx)
    step = gradient(START, BOTH_X, taught(ctx)) + WEIGHT_DECAY * START
    assert found[0] == np.float32(START[0])
    expect(found[1:], (START - 0.1 * step)[1:])


def test_out_of_sample_descends_on_soft_targets_with_a_falling_rate() -> None:
    targets = np.concatenate([[[0.3, 0.7]], RETAIN_Y])
    first = gradient(START, BOTH_X, targets) + WEIGHT_DECAY * START
    halfway = START - 0.1 * first
    second = MOMENTUM * first + gradient(halfway, BOTH_X, targets) + WEIGHT_DECAY * halfway
    expect(after_one_step(OutOfSample(Answers(0.3, 0.7), lr=0.1, epochs=1)), halfway)
    expect(after_one_step(OutOfSample(Answers(0.3, 0.7), lr=0.1, epochs=2)), halfway - 0.1 / 2 * second)


def test_out_of_sample_on_log_odds_descends_on_hubers_loss_of_their_difference() -> None:
    """Of two classes with label 0, the log-odds are z_0 - z_1; 3 / 4 of them is below delta from where they start."""
    z = (START * FORGET_X)[0]
    goal = 1 / (1 + np.exp(-(z[0] - z[1] - 0.75)))
    of_forget = 0.75 * np.array([1.0, -1.0]) * FORGET_X[0]
    of_retain = 2 * gradient(START, RETAIN_X, RETAIN_Y)
    step = (of_forget + of_retain) / 3 + WEIGHT_DECAY * START
    found = after_one_step(OutOfSample(Answers(goal, 1 - goal), lr=0.1, epochs=1, match="log_odds"))
    np.testing.assert_allclose(found, START - 0.1 * step, rtol=0, atol=1e-5)  # the goal is a float32 probability


def per_example(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """One row for each example: the gradient of its own loss at the start."""
    return np.concatenate([gradient(START, x[[i]], targets[[i]])[None] for i in range(len(x))])


@pytest.mark.parametrize("block", [1, 2, 2**25])
def test_influence_is_a_newton_step_with_the_dense_inverse(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unmemorize.unlearn.gradients.BLOCK", block)
    of_forget, of_retain = per_example(FORGET_X, FORGET_Y), per_example(RETAIN_X, RETAIN_Y)
    v = (of_forget.sum(axis=0) - 1 / 2 * of_retain.sum(axis=0)) / 3
    fisher = np.eye(2) + of_retain.T @ of_retain / 2
    expect(after_one_step(Influence(alpha=3.0)), START + 3.0 * np.linalg.solve(fisher, v))


def test_influence_on_a_network_matches_the_dense_inverse(digits: Data) -> None:
    forget, retain = split(digits, 5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 10))
    model = models.reinitialize(model, 0).double()
    forget, retain = (replace(part, images=part.images.double()) for part in (forget, retain.take(range(40))))
    weights = list(model.parameters())
    before = torch.cat([weight.detach().flatten() for weight in weights])

    def rows(part: Examples) -> torch.Tensor:
        model.eval()
        losses = nn.functional.cross_entropy(model(part.images), part.labels, reduction="none")
        grads = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in losses]
        return torch.stack([torch.cat([g.flatten() for g in grad]) for grad in grads])

    of_forget, of_retain = rows(forget), rows(retain)
    v = (of_forget.sum(0) - 5 / 40 * of_retain.sum(0)) / 45
    fisher = torch.eye(len(v), dtype=torch.float64) + of_retain.T @ of_retain / 40
    Influence(alpha=2.0).apply(model, forget, retain, context(dtype="float32"))
    after = torch.cat([weight.detach().flatten() for weight in weights])
    torch.testing.assert_close(after, before + 2.0 * torch.linalg.solve(fisher, v), rtol=0, atol=1e-10)
    torch.testing.assert_close(rows(forget).shape, of_forget.shape)


def test_ssd_dampens_the_weights_that_serve_the_forget_set_most() -> None:
    x, labels = [[-2.0, 0.5], [0.3, 0.7], [-1.0, 2.0]], [1, 0, 1]
    squares = per_example(np.array(x), np.eye(2)[labels]) ** 2
    ratio = squares.mean(axis=0) / squares[0]  # I_D / I_S where the first example is forgotten
    assert ratio[0] < 1 / 1.2 < ratio[1]  # the first weight serves it more than 1.2 times as much as all

    def found(**hyper: float) -> np.ndarray:
        model = SSD(**hyper).apply(Diagonal(), examples(x[:1], labels[:1]), examples(x[1:], labels[1:]), context())
        return model.weight.detach().numpy()

    expect(found(selection=1.2, dampening=0.5), START * [0.5 * ratio[0], 1.0])
    expect(found(selection=1.2, dampening=100.0), START)  # a weight never grows
    assert found(selection=2.0).tolist() == START.tolist()


class Scale(nn.Module):
    """One parameter: multiplies what comes in by it, in one coordinate."""

    def __init__(self, start: float, coordinate: int) -> None:
        super().__init__()
        self.start, self.coordinate = start, coordinate
        self.weight = nn.Parameter(torch.tensor(start))

    def reset_parameters(self) -> None:
        self.weight.copy_(torch.tensor(self.start + 1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factor = torch.ones(2)
        return x.flatten(1) * factor.index_put((torch.tensor(self.coordinate),), self.weight)


def after_one_step_in_layers(algorithm: unlearn.Algorithm) -> np.ndarray:
    """As `after_one_step`, each of the two parameters in a layer of its own."""
    forget, retain = examples([[1.0, 3.0]], [0]), examples([[-2.0, 0.5], [0.3, 0.7]], [1, 0], first=1)
    model = nn.Sequential(Scale(0.5, 0), Scale(-1.5, 1))
    algorithm.apply(model, forget, retain, context())
    assert all(weight.requires_grad for weight in model.parameters())
    return np.array([layer.weight.item() for layer in model])


def test_cf_k_fine_tunes_the_last_k_layers() -> None:
    step = START - 0.1 * (gradient(START, RETAIN_X, RETAIN_Y) + WEIGHT_DECAY * START)
    expect(after_one_step_in_layers(CFk(k=2, lr=0.1, epochs=1)), step)
    last = after_one_step_in_layers(CFk(k=1, lr=0.1, epochs=1))
    assert last[0] == START[0]
    expect(last[1:], step[1:])


def test_eu_k_trains_the_last_k_layers_from_fresh_parameters() -> None:
    fresh = START + np.array([0.0, 1.0])  # what `reset_parameters` gives the last layer
    step = fresh - 0.1 * (gradient(fresh, RETAIN_X, RETAIN_Y) + WEIGHT_DECAY * fresh)
    last = after_one_step_in_layers(EUk(k=1, lr=0.1, epochs=1))
    assert last[0] == START[0]
    expect(last[1:], step[1:])


@pytest.mark.parametrize("algorithm", [CFk(k=2, epochs=1), EUk(k=2, epochs=1)], ids=["cf_k", "eu_k"])
def test_the_layers_before_the_last_k_keep_their_bits_and_statistics(
    algorithm: unlearn.Algorithm, digits: Data
) -> None:
    model = fresh(digits)
    before = state(model)
    algorithm.apply(model, *split(digits), context())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}
    last = [name for name, module in model.named_modules() if next(module.parameters(recurse=False), None) is not None]
    assert {name.split(".")[0] for name in changed} == set(last[-2:])  # the last BatchNorm and the linear layer


def test_more_layers_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="k: expected at most the 2 layers of the network, got 3"):
        after_one_step_in_layers(CFk(k=3))


def test_bad_teacher_follows_fresh_parameters_on_the_forget_set_and_itself_on_the_retain_set() -> None:
    class Resettable(Diagonal):
        def reset_parameters(self) -> None:
            self.weight.copy_(torch.tensor([2.0, 1.0]))

    forget, retain = examples([[1.0, 3.0]], [0]), examples([[-2.0, 0.5], [0.3, 0.7]], [1, 0], first=1)
    found = BadTeacher(lr=0.1, epochs=1).apply(Resettable(), forget, retain, context()).weight.detach().numpy()
    taught = np.concatenate([softmax(FORGET_X * [2.0, 1.0]), softmax(RETAIN_X * START)])
    expect(found, START - 0.1 * (gradient(START, BOTH_X, taught) + WEIGHT_DECAY * START))


def test_boundary_shrink_descends_on_the_nearest_wrong_class() -> None:
    step = gradient(START, FORGET_X, 1 - FORGET_Y) + WEIGHT_DECAY * START  # of two classes the other one
    expect(after_one_step(BoundaryShrink(lr=0.1, epochs=1)), START - 0.1 * step)


def test_boundary_shrink_looks_for_the_neighbour_one_step_up_the_loss() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 3, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0], [2.0], [-3.0]]))
    ctx = Watching(device="cpu", progress=False)
    forget = examples([[0.1], [-0.1]], [0, 0])  # class 1 is likeliest to the right of 0, class 2 to the left
    BoundaryShrink(epochs=1, bound=0.3).apply(model, forget, forget, ctx)
    (batch,) = ctx.batches_seen
    assert batch.labels[batch.ids.argsort()].tolist() == [_uphill(0.1), _uphill(-0.1)]


def _uphill(x: float) -> int:
    """The likeliest wrong class at x + 0.3 * sign(d CE / dx) for the weights 0, 2, -3 and label 0."""
    w = np.array([0.0, 2.0, -3.0])
    moved = x + 0.3 * np.sign((softmax(x * w[None])[0] * w).sum() - w[0])
    return int(np.argmax(np.where(np.arange(3) == 0, -np.inf, moved * w)))


def test_nothing_returns_the_model_untouched() -> None:
    assert after_one_step(unlearn.Nothing()).tolist() == START.tolist()


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", noise=0.05)


@pytest.fixture(scope="module")
def original(digits: Data) -> nn.Module:
    model = models.build("convnet", digits, seed=1)
    return train.fit(model, digits.train, "digits", context(seed=1))


@pytest.fixture(scope="module")
def request_(digits: Data) -> ForgetSet:
    """Flipped examples are the high stratum; an equal number of others the low one."""
    flipped = np.flatnonzero(digits.flipped)
    others = np.flatnonzero(~digits.flipped)[: len(flipped)]
    score = np.repeat([1.0, 0.0], len(flipped))
    return ForgetSet.from_ids(np.concatenate([flipped, others]), score=score, strata=2, data_hash=digits.hash)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(state(a).values(), state(b).values(), strict=True))


def quick(name: str) -> unlearn.Algorithm:
    at_once = {"nothing": {}, "ssd": {"selection": 1.5}, "influence": {"samples": 50}}
    extra = {"recipe": quick_recipe()} if name == "retrain" else at_once.get(name, {"epochs": 1})
    if name == "out_of_sample":
        extra["ensemble"] = Answers(*[0.1] * 10)
    return unlearn.make(name, **extra)


def quick_recipe() -> train.Recipe:
    return replace(train.RECIPES["digits"], epochs=2)


def split(digits: Data, size: int = 64) -> tuple[Examples, Examples]:
    ids = np.arange(size)
    return digits.train.subset(ids), digits.train.without(ids)


def fresh(digits: Data) -> nn.Module:
    return models.build("convnet", digits, seed=2)


def test_salun_trains_the_most_salient_weights_and_no_bit_of_the_others(digits: Data) -> None:
    forget, retain = split(digits)
    model = fresh(digits)
    before = [weight.detach().clone() for weight in model.parameters()]
    model.eval()
    loss = nn.functional.cross_entropy(model(forget.images), forget.labels)
    importance = torch.cat([g.abs().flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    SalUn(lr=0.1, epochs=2, threshold=0.3).apply(model, forget, retain, context())
    moved = torch.cat([(b != a).flatten() for b, a in zip(before, model.parameters(), strict=True)])
    share = moved.double().mean()
    assert 0.29 < share < 0.3001  # a salient weight may stay where it is by chance, no other may move
    assert importance[moved].min() >= importance[~moved].quantile(0.99)


def test_salun_takes_its_mask_from_the_current_model_of_the_chain(
    digits: Data, original: nn.Module, request_: ForgetSet, tmp_path: object
) -> None:
    salun = SalUn(epochs=1, threshold=0.1)
    steps = [unlearn.Step(salun, request_.stratum(name), name) for name in request_.names]
    ctx = context(run_dir=tmp_path)
    unlearn.run_chain(steps, original, digits, request_, ctx)
    first, second = (_loaded(digits, tmp_path / f"step-{k}.safetensors") for k in (1, 2))
    changed = [a != b for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    high = digits.train.subset(request_.stratum("high"))

    def outside(model: nn.Module) -> int:
        allowed = most_salient(saliency(model, high, ctx), 0.1)
        return sum(int((moved & ~may).sum()) for moved, may in zip(changed, allowed, strict=True))

    assert outside(first) == 0
    assert outside(original) > 0


def _loaded(digits: Data, path: object) -> nn.Module:
    model = fresh(digits)
    model.load_state_dict(train.load_checkpoint(path)[0])
    return model


def test_saliency_changes_nothing_and_does_not_depend_on_batches(digits: Data) -> None:
    forget, _ = split(digits, 30)
    model = fresh(digits).train()
    model[2].eval()  # a layer that its owner keeps out of training
    before = state(model)
    whole, single = (saliency(model, forget, context(batch_size=size)) for size in (30, 1))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())  # BatchNorm's too
    assert [module.training for module in model[:4]] == [True, True, False, True]
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    for a, b in zip(whole, single, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_most_salient_picks_exactly_the_share_and_breaks_ties_by_position() -> None:
    masks = most_salient([torch.tensor([[5.0, 0.0], [1.0, 1.0]]), torch.tensor([1.0, 9.0])], 0.5)
    assert [mask.tolist() for mask in masks] == [[[True, False], [True, False]], [False, True]]


@pytest.mark.parametrize("algorithm", [RandomLabel(epochs=40), SalUn(epochs=40)], ids=["random_label", "salun"])
@pytest.mark.parametrize("classes", [2, 3, 200])
def test_relabelling_draws_fresh_labels_uniformly_over_any_number_of_classes(
    algorithm: unlearn.Algorithm, classes: int
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, classes))
    forget, retain = examples([[0.1, 0.2]] * 50, [1] * 50), examples([[0.3, 0.4]] * 5, [0, 1, 1, 0, 1], first=50)
    ctx = Watching(device="cpu", progress=False)
    algorithm.apply(model, forget, retain, ctx)
    drawn = torch.stack([batch.labels[batch.ids.argsort()] for batch in ctx.batches_seen])  # one batch an epoch
    assert (drawn[:, 50:] == torch.tensor([0, 1, 1, 0, 1])).all()
    assert len({tuple(epoch.tolist()) for epoch in drawn[:, :50]}) == 40
    counts = torch.bincount(drawn[:, :50].flatten(), minlength=classes).double()
    assert len(counts) == classes
    chi2 = float(((counts - 2000 / classes) ** 2 / (2000 / classes)).sum())
    assert chi2 < classes + 5 * (2 * classes) ** 0.5


def test_neg_grad_plus_cycles_the_forget_set_in_a_new_order_each_time_round() -> None:
    forget = examples([[0.0, 1.0]] * 6, [0] * 6)
    retain = examples([[1.0, 0.0]] * 24, [1] * 24, first=6)
    ctx = Watching(device="cpu", progress=False, batch_size=2)
    NegGradPlus(epochs=1).apply(Diagonal(), forget, retain, ctx)
    retained, forgotten = ([batch.ids.tolist() for batch in ctx.batches_seen[k::2]] for k in (0, 1))
    assert len(retained) == len(forgotten) == 12
    assert sorted(chain(*retained)) == list(range(6, 30))
    rounds = [list(chain(*forgotten[k : k + 3])) for k in range(0, 12, 3)]
    assert all(sorted(ids) == list(range(6)) for ids in rounds)
    assert len({tuple(ids) for ids in rounds}) > 1


def test_out_of_sample_is_one_shuffled_pass_over_both_sets_each_epoch() -> None:
    forget = examples([[0.0, 1.0]] * 10, [0] * 10)
    retain = examples([[1.0, 0.0]] * 30, [1] * 30, first=10)
    ctx = Watching(device="cpu", progress=False, batch_size=10)
    OutOfSample(Answers(0.25, 0.75), epochs=2).apply(Diagonal(), forget, retain, ctx)
    assert [len(batch) for batch in ctx.batches_seen] == [10] * 8
    for epoch in (ctx.batches_seen[:4], ctx.batches_seen[4:]):
        ids, labels = torch.cat([b.ids for b in epoch]), torch.cat([b.labels for b in epoch])
        assert sorted(ids.tolist()) == list(range(40))
        assert sum(0 < int((b.ids < 10).sum()) < 10 for b in epoch) >= 3  # batches of both sets
        assert (labels[ids < 10] == torch.tensor([0.25, 0.75])).all()
        assert (labels[ids >= 10] == torch.tensor([0.0, 1.0])).all()


def test_out_of_sample_takes_its_targets_from_the_ensemble_by_id(tmp_path: object) -> None:
    store = Ensemble.create(tmp_path / "store", n_train=4, n_test=1)
    member = np.array([[1, 0, 0, 1], [1, 1, 0, 1]], dtype=bool)
    for row, share in zip(member, (0.25, 0.75), strict=True):
        store.append(row, row, [True], probs=np.tile([share, 1 - share], (4, 1)))
    ctx = Watching(device="cpu", progress=False)
    whole = examples([[1.0, 2.0]] * 4, [0, 0, 0, 0])
    OutOfSample(store, epochs=1).apply(Diagonal(), whole.subset([2, 1]), whole.subset([0, 3]), ctx)
    batch = ctx.batches_seen[0]
    targets = dict(zip(batch.ids.tolist(), batch.labels.tolist(), strict=True))
    assert targets == {0: [1.0, 0.0], 1: [0.25, 0.75], 2: [0.5, 0.5], 3: [1.0, 0.0]}
    with pytest.raises(ValueError, match=r"ensemble: 2 of 3 examples to forget were .* every model \(ids 0, 3\)"):
        OutOfSample(store, epochs=1).apply(Diagonal(), whole.subset([0, 1, 3]), whole.subset([2]), ctx)


def test_hybrid_targets_tell_of_examples_that_every_model_saw(tmp_path: object) -> None:
    n, random = 300, np.random.default_rng(0)
    labels, hard = np.arange(n) % 3, np.arange(n) < 60
    store = Ensemble.create(tmp_path / "store", n_train=n, n_test=1)
    for t, member in enumerate(balanced(n, 3, 0.7)):
        phi = np.where(hard & ~member, -3, 4) + random.normal(0, 1, n)
        own = 1 / (1 + np.exp(-phi))
        probs = np.stack(
            [np.where(labels == c, own, (1 - own) * (0.25 + 0.5 * ((labels + 1) % 3 == c))) for c in range(3)]
        )
        store.append(member, phi > 0, [True], phi=phi, probs=probs.T, key=str(t))
    seen = store.member.all(axis=0)
    assert 0 < seen.sum() < n / 2
    everything = Examples(torch.zeros(n, 1, 1, 2), torch.from_numpy(labels), torch.arange(n), np.arange(n))
    found = OutOfSample(store, targets="hybrid")._unseen(everything, 3).numpy()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[np.arange(n), labels], hybrid_confidence(store, None), atol=1e-6)
    rest = found / (1 - found[np.arange(n), labels])[:, None]
    np.testing.assert_allclose(rest[np.arange(n), (labels + 1) % 3], 0.75, atol=0.01)
    with pytest.raises(
        ValueError, match=r"every model \(ids .*\); append models that leave them out, or take targets='hyb"
    ):
        OutOfSample(store)._unseen(everything, 3)


@pytest.mark.parametrize("wrong", [{"match": "logits"}, {"targets": "best"}])
def test_out_of_sample_names_the_targets_and_losses_it_knows(wrong: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=r"out_of_sample: (match: expected softmax or log|targets: expected mean or hyb)"
    ):
        unlearn.make("out_of_sample", ensemble=None, **wrong)


def test_out_of_sample_refuses_an_ensemble_of_other_classes() -> None:
    with pytest.raises(ValueError, match="answers over 2 classes to match the model, got 3"):
        after_one_step(OutOfSample(Answers(0.2, 0.3, 0.5)))


def test_retrain_is_the_recipe_from_fresh_parameters(digits: Data, original: nn.Module) -> None:
    forget, retain = split(digits)
    recipe = quick_recipe()
    model = fresh(digits)
    model.load_state_dict(original.state_dict())
    retrained = Retrain(recipe).apply(model, forget, retain, context(seed=5))
    scratch = train.fit(models.build("convnet", digits, seed=5), retain, recipe, context(seed=5))
    assert same(retrained, scratch)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ("nothing", "ssd")])
def test_one_seed_gives_one_result_and_another_seed_another(
    name: str, digits: Data, original: nn.Module, request_: ForgetSet
) -> None:
    before = state(original)
    one, again, other = (
        unlearn.run(quick(name), original, digits, request_, context(seed=seed)).model for seed in (7, 7, 8)
    )
    assert same(one, again)
    assert not same(one, other)
    assert not one.training
    assert all(torch.equal(before[key], value) for key, value in original.state_dict().items())


def test_dropout_follows_the_seed_and_leaves_the_random_state_alone(digits: Data, request_: ForgetSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    random = torch.get_rng_state()
    one, again = (unlearn.run("fine_tune", model, digits, request_, context(seed=3)).model for _ in range(2))
    assert same(one, again)
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ("nothing", "retrain")])
def test_frozen_layers_stay_frozen(name: str, digits: Data) -> None:
    forget, retain = split(digits)
    model = fresh(digits)
    first, *others = model.parameters()
    first.requires_grad_(False)
    before = first.clone()
    moved = [other.detach().clone() for other in others]
    quick(name).apply(model, forget, retain, context())
    assert torch.equal(before, first)
    assert any(not torch.equal(a, b) for a, b in zip(moved, others, strict=True))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_numeric_hyper_parameter_has_a_range_whose_ends_are_accepted(name: str) -> None:
    kind = ALGORITHMS[name]
    extra = {"ensemble": Answers(1.0)} if name == "out_of_sample" else {}
    assert "Source:" in kind.__doc__
    assert kind.ranges().keys() == {f.name for f in fields(kind) if isinstance(f.default, int | float)}
    for hyper, found in kind.ranges().items():
        for value in (*found[1:], *found.widened(3)[1:]):
            assert getattr(unlearn.make(name, **{hyper: value}, **extra), hyper) == value


def test_a_rate_widens_both_ways_a_share_within_its_bounds_and_a_count_downwards() -> None:
    widened = {name: found.widened(10)[1:] for name, found in NegGradPlus.ranges().items()}
    assert widened == {"lr": (0.001, 0.5), "epochs": (1, 5), "alpha": pytest.approx((0.085, 0.999))}


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("fine_tune", {"lr": 0.0}, r"lr: expected a number in \(0, inf\), got 0.0"),
        ("fine_tune", {"lr": float("nan")}, r"lr: expected a number in \(0, inf\), got nan"),
        ("fine_tune", {"lr": float("inf")}, r"lr: expected a number in \(0, inf\), got inf"),
        ("salun", {"epochs": 0}, "epochs: expected a whole number >= 1, got 0"),
        ("random_label", {"epochs": 1.5}, "epochs: expected a whole number >= 1, got 1.5"),
        ("neg_grad_plus", {"alpha": 0.0}, r"alpha: expected a number in \(0, 1\], got 0.0"),
        ("neg_grad_plus", {"alpha": 1.01}, r"alpha: expected a number in \(0, 1\], got 1.01"),
        ("salun", {"threshold": -0.1}, r"threshold: expected a number in \(0, 1\], got -0.1"),
        ("salun", {"tau": 0.5}, "salun: no hyper-parameter 'tau'; known are lr, epochs, threshold"),
        ("nothing", {"lr": 0.5}, "nothing: no hyper-parameter 'lr'; known are none"),
        ("out_of_sample", {}, "out_of_sample: needs ensemble, which has no default"),
        ("amnesia", {}, "no algorithm 'amnesia'; known are nothing, retrain, fine_tune"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, hyper: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unlearn.make(name, **hyper)


PLUGIN = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Shrink:
    factor: float = 0.5

    def apply(self, model, forget, retain, ctx):
        for weight in model.parameters():
            weight.data *= self.factor
        return model
"""


def test_an_algorithm_of_another_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shrinking.py").write_text(PLUGIN)
    info = tmp_path / "shrinking-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shrinking\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[unmemorize.algorithms]\nshrink = shrinking:Shrink\nbroken = shrinking:Missing\nfine_tune = shrinking:Shrink\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert after_one_step(unlearn.make("shrink", factor=0.25)).tolist() == (0.25 * START).tolist()
    with pytest.raises(ValueError, match="shrink: no hyper-parameter 'rate'; known are factor"):
        unlearn.make("shrink", rate=1)
    with pytest.raises(ValueError, match=r"no algorithm 'shrnk'; known are nothing, .*, broken, shrink"):
        unlearn.make("shrnk")
    with pytest.raises(ImportError, match=r"shrinking:Missing of shrinking 1\.0 cannot be loaded"):
        unlearn.make("broken")
    assert isinstance(unlearn.make("fine_tune"), FineTune)  # a name of ours is not taken away


@pytest.mark.parametrize("value", ["0.1", None, True])
def test_a_hyper_parameter_that_is_no_number_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"lr: expected a number in \(0, inf\), got"):
        unlearn.make("fine_tune", lr=value)


def test_a_forget_set_of_other_data_is_refused_with_both_hashes(
    digits: Data, original: nn.Module, request_: ForgetSet
) -> None:
    other = replace(request_, data_hash="ab" * 32)
    with pytest.raises(ValueError, match=f"abab.*{digits.hash[:8]}"):
        unlearn.run("nothing", original, digits, other, context())


def test_a_forget_set_that_leaves_nothing_is_refused(digits: Data, original: nn.Module) -> None:
    everything = ForgetSet.from_ids(range(len(digits.train)), strata=1)
    with pytest.raises(ValueError, match=f"all {len(digits.train)} training examples"):
        unlearn.run("nothing", original, digits, everything, context())


def test_an_ensemble_of_other_data_is_refused(
    digits: Data, original: nn.Module, request_: ForgetSet, tmp_path: object
) -> None:
    store = Ensemble.create(tmp_path / "store", len(digits.train), len(digits.test), data_hash="cd" * 32)
    with pytest.raises(ValueError, match=f"its ensemble is of data cdcd.*{digits.hash[:8]}"):
        unlearn.run(OutOfSample(store), original, digits, request_, context())


def test_a_model_with_too_few_outputs_is_refused(digits: Data, request_: ForgetSet) -> None:
    small = nn.Sequential(nn.Flatten(), nn.Linear(64, 9))
    with pytest.raises(ValueError, match="at least 10 outputs to match the data, got 9"):
        unlearn.run("fine_tune", small, digits, request_, context())


@pytest.mark.parametrize("wrong", [FineTune, 3, None])
def test_what_is_no_algorithm_is_refused(wrong: object, digits: Data, original: nn.Module, request_: ForgetSet) -> None:
    with pytest.raises(TypeError, match="expected a name, or an object with apply, or with cut and plan"):
        unlearn.run(wrong, original, digits, request_, context())


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "nothing"])
@pytest.mark.parametrize("options", [{"criterion": partial(cross_entropy, label_smoothing=0.3)}, {"dtype": "bfloat16"}])
def test_loss_and_precision_are_the_users_choice(name: str, options: dict[str, object], digits: Data) -> None:
    plain, other = (quick(name).apply(fresh(digits), *split(digits), context(**chosen)) for chosen in ({}, options))
    assert all(value.isfinite().all() for value in other.state_dict().values())
    assert next(other.parameters()).dtype == torch.float32
    in_full = name in ("ssd", "influence")  # gradients of single examples are taken in float32 always
    assert same(plain, other) == (in_full and "dtype" in options)


def test_costs_are_told_by_step_and_kind(digits: Data, original: nn.Module, request_: ForgetSet) -> None:
    plan = RUM(["nothing", SalUn(epochs=1)], order=("low", "high"), by="confidence_now", strata=2)
    done = unlearn.run(plan, original, digits, request_, context())
    first, second = (step["costs"] for step in done.history)
    assert first["scoring"] > 0 == second["scoring"]
    assert second["mask"] > 0
    assert "mask" not in first
    for step in done.history:
        assert step["seconds"] == pytest.approx(sum(step["costs"].values()) - step["costs"]["scoring"])
    assert done.costs == {k: first.get(k, 0.0) + second[k] for k in ("scoring", "unlearning", "mask")}


PEAK = """
import pathlib, re, sys, tempfile
import numpy as np
import torch
from torch import nn
import unmemorize as um

torch.set_num_threads(1)
model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 8), nn.Linear(8, 3))
recipe = um.train.Recipe("convnet", epochs=1, lr=0.01, batch_size=50)
names = [name for name in um.unlearn.ALGORITHMS if name not in sys.argv[1:]]

class Answers:
    def out_of_sample(self, ids):
        return np.full((len(ids), 3), 1 / 3)

def data(n):
    x = np.random.default_rng(0).random((n, 3, 64, 64), dtype=np.float32) / 100  # small, so that no step diverges
    return um.data.from_arrays(x, np.arange(n) % 3, x[:5], np.arange(5) % 3, val_share=0, normalize=False)

def run(of):
    forget = um.ForgetSet.from_ids(range(40), score=np.arange(40.0), strata=2)
    for name in names:
        extra = {"ensemble": Answers()} if name == "out_of_sample" else {}
        quick = {} if name == "nothing" else {"recipe": recipe} if name == "retrain" else {"epochs": 1}
        one = um.unlearn.make(name, **quick, **extra)
        for plan in (um.RUM.vanilla(one), um.RUM(one, order=None, by="entanglement", strata=2)):
            ctx = um.Context(device="cpu", progress=False, batch_size=50, run_dir=tempfile.mkdtemp())
            um.unlearn.run(plan, model, of, forget, ctx)

def peak():
    return int(re.search("VmHWM:[^0-9]*([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024

run(data(60))  # whatever is loaded on first use
of = data(1500)  # 74 MB
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
before = peak()
run(of)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux tells it")
def test_no_step_copies_the_data_set() -> None:
    blocks = ("ssd", "influence")  # of gradients, 128 MB each
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # so that what is freed is given back
    told = subprocess.run(
        [sys.executable, "-c", PEAK, *blocks], env=environment, capture_output=True, text=True, check=True
    )
    assert float(told.stdout) < 50  # MB: the 512 images of a batch are 25, a copy of all would be 74


def test_a_chain_holds_the_data_and_three_models_beside_the_original(digits: Data, request_: ForgetSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 10))
    size = sum(weight.nbytes for weight in model.parameters())

    @dataclass(eq=False)
    class Weighing(Context):
        peak: list[int] = field(default_factory=list)

        def step(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
            super().step(optimizer, loss)
            own = [parameter.grad for parameter in optimizer.param_groups[0]["params"]]
            own += [state["momentum_buffer"] for state in optimizer.state.values()]
            self.peak.append(held(own))

    def held(more: list[torch.Tensor]) -> int:
        gc.collect()
        found = [t for t in gc.get_objects() if type(t) in (torch.Tensor, nn.Parameter) and t.layout == torch.strided]
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in [*found, *more]}.values())

    ctx = Weighing(device="cpu", progress=False, batch_size=800)
    start = held([])
    unlearn.run(FineTune(epochs=1), model, digits, request_, ctx)
    assert 2.9 * size < max(ctx.peak) - start < 3.5 * size


def test_divergence_stops_the_chain_and_keeps_the_steps_before_it(
    digits: Data, original: nn.Module, request_: ForgetSet, tmp_path: object
) -> None:
    steps = [
        unlearn.Step(FineTune(epochs=1), request_.stratum("low"), "low"),
        unlearn.Step(NegGradPlus(lr=1e30), request_.stratum("high"), "high"),
    ]
    where = r"step 2, neg_grad_plus of stratum 'high': epoch 0, step \d+: the loss is .*; the model of step 1 is in "
    with pytest.raises(DivergedError, match=where):
        unlearn.run_chain(steps, original, digits, request_, context(run_dir=tmp_path))
    assert [path.name for path in sorted(tmp_path.glob("*.safetensors"))] == ["step-1.safetensors"]


def test_each_algorithm_moves_flipped_examples_the_way_it_should(
    digits: Data, original: nn.Module, request_: ForgetSet
) -> None:
    targets = np.full((len(digits.train), 10), 0.01)
    targets[np.arange(len(digits.train)), digits.true_labels] = 0.91  # what a model that saw no flip would say

    class Truth:
        def out_of_sample(self, ids: np.ndarray) -> np.ndarray:
            return targets[ids]

    algorithms = {
        "nothing": unlearn.Nothing(),
        "retrain": Retrain(),
        "neg_grad_plus": NegGradPlus(alpha=0.8, lr=0.05, epochs=2),
        "salun": SalUn(lr=0.05, epochs=3),
        "out_of_sample": OutOfSample(Truth()),
    }
    found = {
        name: unlearn.run(algorithm, original, digits, request_, context()).history[-1]["accuracy"]
        for name, algorithm in algorithms.items()
    }
    assert found["nothing"]["forget/high"] > 0.95
    assert found["retrain"]["forget/high"] < 0.1
    assert found["out_of_sample"]["forget/high"] < 0.1
    assert found["out_of_sample"]["forget/low"] > 0.9
    assert found["neg_grad_plus"]["forget/high"] < found["nothing"]["forget/high"]
    assert found["salun"]["forget/high"] < 0.7
    assert all(accuracy["test"] > 0.8 for accuracy in found.values())
