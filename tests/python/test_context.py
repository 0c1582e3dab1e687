"""What a loop gets from its context: batches, precision, checked steps, seeds."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from unmemorize.data import Examples
from unmemorize.train import Context, DivergedError

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does


def examples(n, side=8):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n, 1, side, side, generator=generator)
    return Examples(images, torch.arange(n) % 3, torch.arange(n), np.arange(n))


def context(**options):
    return Context(**{"device": "cpu", "progress": False} | options)


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 99))
def test_batches_are_a_permutation_in_as_few_and_as_equal_parts_as_possible(n, size, seed):
    batches = list(context(seed=seed, batch_size=size).batches(examples(n)))
    sizes = [len(batch) for batch in batches]
    assert sorted(torch.cat([batch.ids for batch in batches]).tolist()) == list(range(n))
    assert len(batches) == -(-n // size)
    assert max(sizes) - min(sizes) <= 1


def test_each_pass_has_an_order_of_its_own_that_the_seed_fixes():
    def orders(seed):
        ctx = context(seed=seed)
        return [torch.cat([batch.ids for batch in ctx.batches(examples(50))]).tolist() for _ in range(2)]

    assert orders(1) == orders(1) != orders(2)
    assert orders(1)[0] != orders(1)[1]


def test_batches_in_order_and_with_all_their_fields():
    few = examples(10).subset([9, 4, 2])
    [batch] = context().batches(few, shuffle=False)
    assert batch.ids.tolist() == batch.source_ids.tolist() == [9, 4, 2]
    assert torch.equal(batch.images, few.images)


def test_a_cycle_shows_every_example_once_a_pass():
    cycle = context(batch_size=4).cycle(examples(10))
    passes = [[i for _ in range(3) for i in next(cycle).ids.tolist()] for _ in range(3)]
    assert [sorted(ids) for ids in passes] == [list(range(10))] * 3
    assert passes[0] != passes[1]
    with pytest.raises(ValueError, match="at least 1 example, got 0"):
        next(context().cycle(examples(0)))


def test_a_seeded_context_starts_anew_and_keeps_the_rest():
    ctx = context(seed=3, batch_size=7)
    list(ctx.batches(examples(10)))
    again = ctx.seeded(3)
    assert (again.batch_size, again.device) == (7, torch.device("cpu"))
    assert torch.equal(again.generator.get_state(), context(seed=3).generator.get_state())


def test_logits_are_of_eval_mode_in_order_whatever_the_batch_size():
    model, some = network(), examples(1100)
    model.train()
    model[2].eval()
    logits = context(batch_size=16).logits(model, some)
    assert [module.training for module in (model, model[2], model[3])] == [True, False, True]
    assert not logits.requires_grad
    torch.testing.assert_close(logits, model.eval()(some.images).detach())


def test_accuracy_is_the_share_of_right_answers():
    some = examples(9)
    right = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.zeros_(right[1].weight)
    right[1].bias.data = torch.tensor([1.0, 0.0, 0.0])  # always says class 0
    assert context().accuracy(right, some) == pytest.approx(1 / 3)
    assert np.isnan(context().accuracy(right, examples(0)))


def test_loss_is_the_mean_cross_entropy_in_train_mode():
    model, batch = network(), examples(6)
    model[3].p = 0.0
    model.eval()
    loss = context().loss(model, batch)
    assert model.training
    torch.testing.assert_close(loss, -model(batch.images).log_softmax(1)[torch.arange(6), batch.labels].mean())


def test_bfloat16_computes_in_it_and_hands_out_float32():
    seen = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    model[1].register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    logits = context(dtype="bfloat16").logits(model, examples(4))
    assert (seen, logits.dtype) == ([torch.bfloat16], torch.float32)


def test_a_step_goes_down_the_gradient():
    ctx, model, batch = context(), nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), examples(30)
    optimizer = ctx.sgd(model, lr=0.1)
    losses = []
    for _ in ctx.epochs(20):
        loss = ctx.loss(model, batch)
        ctx.step(optimizer, loss)
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_sgd_is_the_papers():
    group = context().sgd(network(), lr=0.3).param_groups[0]
    assert [group[key] for key in ("lr", "momentum", "weight_decay", "nesterov")] == [0.3, 0.9, 5e-4, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_epoch_and_step_and_moves_nothing(bad):
    ctx, model = context(), network()
    optimizer = ctx.sgd(model, lr=0.1)
    weights = []

    def loop():
        for epoch in ctx.epochs(3):
            for step, batch in enumerate(ctx.batches(examples(40), batch_size=10)):
                weights.append(model[1].weight.clone())
                ctx.step(optimizer, ctx.loss(model, batch) * (bad if (epoch, step) == (1, 2) else 1))

    with pytest.raises(DivergedError, match=re.escape(f"epoch 1, step 2: the loss is {bad}")):
        loop()
    assert torch.equal(weights[-1], model[1].weight)
    assert not torch.equal(weights[-2], weights[-1])


def test_dropout_follows_the_seed_and_leaves_torchs_random_state_alone():
    def losses(seed):
        torch.manual_seed(0)
        model, ctx = network(), context(seed=seed)
        return [ctx.loss(model, examples(10)).item() for _ in ctx.epochs(3)]

    torch.manual_seed(0)
    network()
    state = torch.get_rng_state()
    assert losses(1) == losses(1) != losses(2)
    assert torch.equal(state, torch.get_rng_state())


def test_epochs_show_a_bar_on_a_terminal_only(monkeypatch, capsys):
    assert list(context(progress=True).epochs(3, start=1)) == [1, 2]
    assert capsys.readouterr() == ("", "")
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert list(context(progress=True).epochs(3, "fine_tune")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == ""
    assert "fine_tune" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        ({"device": "cuda:99"}, "device: cuda:99 was asked for, this machine has"),
        ({"dtype": "float16"}, "dtype: expected auto, float32 or bfloat16, got float16"),
        ({"dtype": torch.float64}, "dtype: expected auto, float32 or bfloat16, got torch.float64"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        context(**options)
