"""Networks trained as one are trained as if each were alone."""

from typing import Any

import pytest
import torch
from torch import nn
from unmemorize import Context, LearningEvents, data, models, train
from unmemorize.models import Panel, Stacked, can_stack
from unmemorize.train import Recipe

RECIPE = Recipe("convnet", epochs=2, lr=0.03, schedule="one_cycle", batch_size=48)


class Small:
    shape = (3, 8, 8)
    n_classes = 4


def mlp() -> nn.Module:
    layers = (nn.Linear(192, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4, bias=False))
    return nn.Sequential(nn.Flatten(), *layers)


class Looks(nn.Module):
    """Mixes channels outside of any layer: known types, but a stack of it is something else."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x.mean((2, 3)).softmax(1))
        return out


@pytest.mark.parametrize("name", ["convnet", "resnet18_imagenet_stem", "mlp"])
@pytest.mark.parametrize("mode", [True, False])
def test_a_stack_says_what_each_network_says(name: str, mode: bool) -> None:
    networks = [mlp() if name == "mlp" else models.build(name, Small(), seed=k) for k in range(3)]
    for network in networks:
        network.train(mode)
        for layer in network.modules():
            if isinstance(layer, nn.Dropout):
                layer.eval()
    stacked = Stacked(networks)
    images = torch.randn(3, 5, *Small.shape)
    expected = torch.stack([network(own) for network, own in zip(networks, images, strict=True)])
    torch.testing.assert_close(stacked(images.flatten(0, 1)), expected.flatten(0, 1), rtol=1e-3, atol=1e-4)
    panel = Panel(stacked.eval())(images[0])
    alone = torch.stack([network.eval()(images[0]) for network in networks], dim=1)
    torch.testing.assert_close(panel, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 2), {"kernel_size": 3, "padding": 1}),
        ((1, 2), {"kernel_size": 3, "padding": 1, "bias": False}),
        ((2, 3), {"kernel_size": (3, 5), "padding": "same"}),
        ((1, 1), {"kernel_size": 1}),
        ((2, 3), {"kernel_size": 3, "padding": 1}),  # does not reach across
        ((2, 2), {"kernel_size": 2, "padding": "same"}),
        ((2, 2), {"kernel_size": 3, "padding": 1, "stride": 2}),
        ((2, 2), {"kernel_size": 3, "padding": 2, "dilation": 2}),
        ((2, 2), {"kernel_size": 3, "padding": 1, "groups": 2}),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_a_kernel_that_reaches_across_the_image_is_a_matrix(shape: tuple[int, int], options: dict[str, Any]) -> None:
    layers = [nn.Conv2d(4, 6, **options).double() for _ in range(3)]
    stacked = Stacked([nn.Sequential(layer, nn.Flatten()) for layer in layers])
    images = torch.randn(3, 5, 4, *shape, dtype=torch.float64)
    expected = torch.stack([layer(own).flatten(1) for layer, own in zip(layers, images, strict=True)])
    found = stacked(images.flatten(0, 1))
    torch.testing.assert_close(found, expected.flatten(0, 1))
    pull = torch.randn_like(expected)
    found.backward(pull.flatten(0, 1))
    expected.backward(pull)
    weights = torch.cat([layer.weight.grad for layer in layers if layer.weight.grad is not None])
    torch.testing.assert_close(stacked.network[0].weight.grad.permute(0, 3, 1, 2), weights)


def test_few_channels_stay_in_float32() -> None:
    seen = []
    layers = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
    stacked = Stacked([nn.Sequential(*layers, nn.Flatten())] * 2)
    for layer in list(stacked.network)[:2]:
        layer.register_forward_hook(lambda _layer, _images, out: seen.append(out.dtype))
    Context(device="cpu", dtype="bfloat16").forward(stacked, torch.randn(4, 3, 8, 8))
    assert seen == [torch.float32, torch.bfloat16]


def test_a_stack_trains_each_network_as_if_it_were_alone() -> None:
    """Statistics of the normalisation included."""
    digits = data.load("digits", noise=0.05)
    subsets = [torch.randperm(1295)[:500] for _ in range(3)]
    seeds = [3, 4, 5]

    def trained(which: slice) -> dict[str, torch.Tensor]:
        networks = [models.build("convnet", digits, seed=seed).double() for seed in seeds[which]]
        of = digits.train
        of = type(of)(of.images.double(), of.labels, of.ids, of.source_ids)
        ctx = Context(device="cpu", progress=False)
        stacked = train.fit_stacked(networks, of, subsets[which], RECIPE, ctx, seeds=seeds[which])
        return stacked.state_dict()

    together = trained(slice(0, 3))
    alone = [trained(slice(k, k + 1)) for k in range(3)]
    for name, tensor in together.items():
        if tensor.ndim:
            torch.testing.assert_close(tensor, torch.cat([state[name] for state in alone]))


def test_learning_events_are_those_of_each_subset() -> None:
    digits = data.load("digits")
    subsets = [torch.arange(0, 100), torch.arange(50, 153)]
    events = [LearningEvents(1295) for _ in subsets]
    networks = [models.build("convnet", digits, seed=seed) for seed in (0, 1)]
    train.fit_stacked(networks, digits.train, subsets, RECIPE, Context(progress=False), seeds=[0, 1], events=events)
    assert events[0].seen.tolist() == [2] * 100 + [0] * 1195
    assert set(events[1].seen[50:153]) <= {0, 1, 2}
    assert events[1].seen.sum() == 200  # three sit out in each epoch, others in each
    assert not events[1].seen[:50].any()
    with pytest.raises(ValueError, match="events of mode 'train'"):
        train.fit_stacked(
            networks, digits.train, subsets, RECIPE, Context(), seeds=[0, 1], events=[LearningEvents(1295, mode="eval")]
        )


def test_what_cannot_be_stacked_is_known() -> None:
    assert can_stack(models.build("convnet", Small()), Small.shape)
    assert can_stack(mlp(), Small.shape)
    assert not can_stack(Looks(), Small.shape)
    with pytest.raises(TypeError, match="a layer Embedding cannot be stacked"):
        Stacked([nn.Embedding(3, 4)])
    with pytest.raises(TypeError, match="a convolution with circular padding cannot be stacked"):
        Stacked([nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")])
    shared = nn.Linear(4, 4)
    with pytest.raises(TypeError, match="Sequential uses a parameter twice"):
        Stacked([nn.Sequential(shared, shared)])
    with pytest.raises(ValueError, match="subsets: expected at least 1 example in each, got 0"):
        train.fit_stacked([mlp()], data.load("digits").train, [torch.arange(0)], RECIPE, Context(), seeds=[0])


def test_asking_whether_it_stacks_leaves_a_network_as_it_was() -> None:
    network = mlp().train()
    network[2].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert can_stack(network, Small.shape)
    assert network.training
    assert not network[2].training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
