"""Networks by name, and fresh parameters for any network."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from unmemorize.models import NAMES, build, reinitialize

torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it does


def inputs(channels=3, side=32, n_classes=10):
    return SimpleNamespace(shape=(channels, side, side), n_classes=n_classes)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_network_gives_one_logit_a_class_and_a_gradient_everywhere(name):
    model = build(name, inputs(n_classes=7))
    logits = model(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 12), (1, 28), (3, 32)])
def test_the_small_network_takes_8_to_32_pixels(channels, side):
    assert build("convnet", inputs(channels, side))(torch.randn(4, channels, side, side)).shape == (4, 10)


def test_stems_are_those_of_their_papers():
    """3 x 3 and no max-pool keeps 32 x 32 until the second stage; the ImageNet stem has 8 x 8 by then."""
    sizes = {}
    for name in ("resnet18", "resnet18_imagenet_stem"):
        model = build(name, inputs())
        before_pool = nn.Sequential(*list(model)[:-3])
        sizes[name] = before_pool(torch.randn(2, 3, 32, 32)).shape[1:]
    assert sizes == {"resnet18": (512, 4, 4), "resnet18_imagenet_stem": (512, 1, 1)}


@pytest.mark.parametrize(("name", "millions"), [("resnet18", 11.17), ("resnet50", 23.52), ("vgg16_bn", 14.72)])
def test_sizes_are_the_published_ones(name, millions):
    n = sum(p.numel() for p in build(name, inputs()).parameters())
    assert n / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_seed_fixes_the_parameters_and_leaves_torchs_random_state_alone():
    state = torch.get_rng_state()
    first, second, third = (build("convnet", inputs(), seed=seed) for seed in (1, 1, 2))
    assert same(first, second)
    assert not same(first, third)
    assert torch.equal(state, torch.get_rng_state())


def test_errors_name_what_there_is():
    with pytest.raises(ValueError, match=r"no network 'resnet19'; known are convnet, .*resnet18, .*vgg16_bn"):
        build("resnet19", inputs())
    with pytest.raises(ValueError, match="vgg16_bn needs images of at least 32 x 32 pixels, got 8 x 8"):
        build("vgg16_bn", inputs(1, 8))


@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_reinitialize_undoes_training_buffers_included(name):
    model = build(name, inputs(), seed=4)
    fresh = build(name, inputs(), seed=4)
    model(torch.randn(8, 3, 32, 32)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=1).step()
    assert not same(model, fresh)
    assert same(reinitialize(model, 4), fresh)
    assert not same(reinitialize(model, 5), fresh)


def test_reinitialize_draws_attention_anew():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    before = {name: p.clone() for name, p in layer.named_parameters() if p.dim() > 1}
    reinitialize(layer, 0)
    after = dict(layer.named_parameters())
    assert {name for name, p in before.items() if torch.equal(p, after[name])} == set()


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.linear = nn.Linear(2, 2)


class Resettable(Scaled):
    def reset_parameters(self):
        nn.init.constant_(self.scale, 3)
        nn.init.constant_(self.linear.bias, 3)


def test_a_module_that_cannot_be_reset_is_named_and_nothing_changes():
    model = nn.Sequential(nn.Linear(2, 2), Scaled())
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(TypeError, match=r"model\.1: Scaled holds parameters but has no reset_parameters"):
        reinitialize(model, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_modules_own_reset_overrules_those_of_its_children():
    model = reinitialize(nn.Sequential(Resettable()), 0)
    assert model[0].scale.item() == 3
    assert model[0].linear.bias.tolist() == [3, 3]
