"""The callback inside Lightning itself."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

lightning = pytest.importorskip("lightning.pytorch", exc_type=ImportError)

from unmemorize import LearningEvents  # noqa: E402
from unmemorize.loops import SamplerTap, WithIds  # noqa: E402
from unmemorize.loops.lightning import LearningEventsCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:::lightning", "ignore:::torch")  # theirs, not ours
torch.set_num_threads(1)
N = 20


class Classifier(lightning.LightningModule):
    """A user's module; it keeps what its training steps compute, to compare with what was recorded."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.steps = []

    def forward(self, x):
        return self.network(x)

    def training_step(self, batch, _index):
        x, y = batch[:2]
        logits = self(x)
        if len(batch) == 3:
            self.steps.append((self.current_epoch, batch[2], logits.detach(), y))
        return cross_entropy(logits, y)

    def validation_step(self, batch, _index):
        self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.randn(N, 3, generator=generator), torch.arange(N) % 2)


def trainer(folder, epochs, *callbacks):
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"], False)
    options = quiet | {"accelerator": "cpu", "default_root_dir": folder}
    return lightning.Trainer(max_epochs=epochs, callbacks=list(callbacks), **options)


def loader(examples, **options):
    return DataLoader(examples, batch_size=6, **{"shuffle": True} | options)


def expected(steps):
    events = LearningEvents(N)
    for epoch, ids, logits, labels in steps:
        events.update(ids, logits, labels, epoch=epoch)
    return events.scores()


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, score in wanted.items():
        np.testing.assert_array_equal(found[name], score, err_msg=name)


@pytest.mark.parametrize("network", ["", "network"])
def test_every_step_is_recorded_and_validation_is_not(examples, tmp_path, network):
    module, events = Classifier(), LearningEvents(N)
    callback = LearningEventsCallback(events, network=network)
    trainer(tmp_path, 3, callback).fit(module, loader(WithIds(examples)), DataLoader(examples, batch_size=20))
    assert (events.seen == 3).all()
    same(events.scores(), expected(module.steps))
    assert not module._forward_hooks
    assert not module.network._forward_hooks


def test_a_tap_gives_the_ids_of_a_data_set_that_has_none(examples, tmp_path):
    tap, events = SamplerTap(RandomSampler(examples)), LearningEvents(N)
    callback = LearningEventsCallback(events, read=lambda batch: (tap.take(len(batch[1])), batch[1]))
    trainer(tmp_path, 2, callback).fit(Classifier(), loader(examples, shuffle=False, sampler=tap))
    assert (events.seen == 2).all()


def test_a_training_that_goes_on_from_a_checkpoint_goes_on_recording(examples, tmp_path):
    path, module = tmp_path / "half.ckpt", Classifier()
    half = trainer(tmp_path, 2, LearningEventsCallback(LearningEvents(N)))
    half.fit(module, loader(WithIds(examples), shuffle=False))
    half.save_checkpoint(path)
    events, rest = LearningEvents(N), Classifier()
    trainer(tmp_path, 4, LearningEventsCallback(events)).fit(
        rest, loader(WithIds(examples), shuffle=False), ckpt_path=path, weights_only=True
    )
    assert (events.seen == 4).all()
    found, wanted = events.scores(), expected(module.steps + rest.steps)
    for name, score in wanted.items():
        np.testing.assert_allclose(found[name], score, rtol=1e-12, err_msg=name)
    with pytest.raises(ValueError, match="expected a new tracker"):
        trainer(tmp_path, 4, LearningEventsCallback(events)).fit(
            rest, loader(WithIds(examples)), ckpt_path=path, weights_only=True
        )


def test_a_loader_without_ids_is_refused_at_the_first_step(examples, tmp_path):
    with pytest.raises(ValueError, match=r"batch: expected \(x, labels, ids\).* got 2 parts; wrap the training set"):
        trainer(tmp_path, 1, LearningEventsCallback(LearningEvents(N))).fit(Classifier(), loader(examples))


def test_a_network_that_does_not_run_is_named(examples, tmp_path):
    class Unused(Classifier):
        def __init__(self):
            super().__init__()
            self.other = nn.Identity()

    with pytest.raises(RuntimeError, match="made no forward pass in train mode in this step"):
        trainer(tmp_path, 1, LearningEventsCallback(LearningEvents(N), network="other")).fit(
            Unused(), loader(WithIds(examples))
        )


def test_events_of_mode_eval_are_refused():
    with pytest.raises(ValueError, match=r'mode "train", got \'eval\'; .* call unmemorize.loops.record'):
        LearningEventsCallback(LearningEvents(N, mode="eval"))
