"""Learning events in loops that are not this package's: ids, taps, passes in eval mode, several processes."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import multiprocessing, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
)
from unmemorize import LearningEvents
from unmemorize.loops import SamplerTap, WithIds, gather, read, record

EXAMPLES = Path(__file__).parents[2] / "examples"
torch.set_num_threads(1)


class Mappings(Dataset):
    """Items as those of Hugging Face's `datasets`, several at once."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return {"x": float(index), "label": index % 2}

    def __getitems__(self, indices):
        return [self[index] for index in indices]


# --- ids


def test_ids_are_added_to_tuples_mappings_and_single_values():
    x, y = torch.arange(4.0), torch.arange(4) % 2
    assert WithIds(TensorDataset(x, y))[2] == (x[2], y[2], 2)
    assert WithIds(Mappings())[3] == {"x": 3.0, "label": 1, "id": 3}
    assert WithIds([5, 6])[1] == (6, 1)
    assert WithIds([5, 6])[-2] == (5, 0)
    assert len(WithIds([5, 6])) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_ids_follow_the_examples_through_a_loader(workers):
    loader = DataLoader(WithIds(Mappings()), batch_size=2, shuffle=True, num_workers=workers)
    seen = [(x, i) for batch in loader for x, i in zip(batch["x"].tolist(), batch["id"].tolist(), strict=True)]
    assert sorted(seen) == [(float(i), i) for i in range(5)]


def test_ids_of_a_subset_are_those_of_the_whole():
    subset = Subset(WithIds(TensorDataset(torch.arange(10.0))), [7, 3])
    assert [int(i) for _, ids in DataLoader(subset) for i in ids] == [7, 3]


def test_data_sets_without_positions_are_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            yield 0

    with pytest.raises(TypeError, match="expected a map-style data set, got Stream without __len__"):
        WithIds(Stream())
    with pytest.raises(IndexError, match="2 is out of range for a data set of 2 examples"):
        WithIds([1, 2])[2]
    with pytest.raises(ValueError, match="have a key 'id' already"):
        WithIds([{"id": 3}])[0]


def test_ids_of_an_image_folder(tmp_path):
    from PIL import Image
    from torchvision.datasets import ImageFolder

    for name, value in (("cat", 10), ("dog", 20), ("dog", 30)):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("L", (2, 2), value).save(tmp_path / name / f"{value}.png")
    folder = ImageFolder(tmp_path, transform=lambda image: np.asarray(image)[0, 0, 0])
    loader = DataLoader(WithIds(folder), batch_size=2, shuffle=True)
    seen = sorted(tuple(map(int, row)) for batch in loader for row in zip(*batch, strict=True))
    assert seen == [(10, 0, 0), (20, 1, 1), (30, 1, 2)]


@pytest.mark.filterwarnings("ignore:::datasets", "ignore:::dill", "ignore:::multiprocess")
def test_ids_of_a_hugging_face_data_set():
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    rows = datasets.Dataset.from_dict({"x": [5.0, 6.0, 7.0], "label": [0, 1, 0]}).with_format("torch")
    events = LearningEvents(3)
    for batch in DataLoader(WithIds(rows), batch_size=2, shuffle=True):
        assert (batch["x"] == batch["id"] + 5).all()
        ids, labels = read(batch)
        events.update(ids, torch.zeros(len(ids), 2), labels, epoch=0)
    assert events.seen.tolist() == [1, 1, 1]


# --- taps


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batched", [False, True])
def test_a_tap_knows_the_ids_of_every_batch(workers, batched):
    x = torch.arange(11.0)
    sampler = RandomSampler(x)
    tap = SamplerTap(BatchSampler(sampler, 4, drop_last=False) if batched else sampler)
    options = {"batch_sampler": tap} if batched else {"sampler": tap, "batch_size": 4, "drop_last": True}
    loader = DataLoader(x, num_workers=workers, **options)
    for epoch in range(3):
        seen = 0
        for batch in loader:
            np.testing.assert_array_equal(tap.take(len(batch)), batch.numpy())
            seen += len(batch)
            if epoch == 1:
                break  # a pass that is broken off leaves nothing behind
        assert seen == {1: 4}.get(epoch, 11 if batched else 8)


def test_a_tap_of_another_loader_has_no_ids():
    tap = SamplerTap(SequentialSampler(range(3)))
    assert len(tap) == 3
    next(iter(tap))
    with pytest.raises(RuntimeError, match="expected the ids of 2 examples, 1 are waiting"):
        tap.take(2)


def test_a_tap_passes_the_epoch_on():
    sampler = DistributedSampler(range(8), num_replicas=2, rank=0)
    tap = SamplerTap(sampler)
    tap.set_epoch(3)
    assert sampler.epoch == 3
    SamplerTap(SequentialSampler(range(3))).set_epoch(3)


# --- what a batch holds


@pytest.mark.parametrize(
    ("batch", "found"),
    [(("x", "y"), "2 parts"), ({"x": 0, "labels": 1}, "the keys x, labels"), (torch.ones(3), "Tensor")],
)
def test_a_batch_without_ids_is_refused(batch, found):
    message = f"batch: expected (x, labels, ids) or a mapping with 'id' and 'labels', got {found}"
    with pytest.raises(ValueError, match=re.escape(message)):
        read(batch)


def test_ids_and_labels_are_read_from_tuples_and_mappings():
    assert read(["x", "more", "y", "i"]) == ("i", "y")
    assert read({"id": "i", "label": "y"}) == ("i", "y")


def test_soft_labels_are_refused_by_name():
    with pytest.raises((TypeError, ValueError), match=r"labels: expected"):
        LearningEvents(2).update([0, 1], torch.zeros(2, 3), torch.full((2, 3), 1 / 3))


def test_a_label_that_changes_counts_as_it_was_given():
    """Relabelling: each sight is of the label that came with it."""
    events, logits = LearningEvents(1), torch.tensor([[2.0, 0.0]])
    events.update([0], logits, [0], epoch=0)
    events.update([0], logits, [1], epoch=1)
    scores = events.scores()
    assert scores["confidence"][0] == pytest.approx(0.5)
    assert scores["accuracy"][0] == pytest.approx(0.5)
    assert scores["forgetting_events"][0] == 1


# --- a pass in eval mode


def test_recording_an_epoch_is_one_pass_in_eval_mode():
    torch.manual_seed(0)
    x, y = torch.randn(10, 3), torch.arange(10) % 2
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9))
    model[0].eval()
    events, expected = LearningEvents(10, mode="eval"), LearningEvents(10, mode="eval")
    record(events, model, DataLoader(WithIds(TensorDataset(x, y)), batch_size=4, shuffle=True), epoch=0)
    expected.update(np.arange(10), model[0](x), y, epoch=0)
    np.testing.assert_allclose(events.scores()["loss"], expected.scores()["loss"], rtol=1e-6)
    assert [module.training for module in model.modules()] == [True, False, True]
    with pytest.raises(ValueError, match=r'expected LearningEvents\(n, mode="eval"\), got mode \'train\''):
        record(LearningEvents(10), model, [], epoch=0)


# --- several processes

N, EPOCHS = 11, 3  # 11 over 2 processes: one example is given twice to make shares equal


def logits_in(epoch):
    generator = np.random.default_rng(epoch)
    return generator.normal(size=(N, 3)), np.arange(N) % 3


def work(rank, store, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    events, sampler = LearningEvents(N), DistributedSampler(range(N), num_replicas=2, rank=rank)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        ids = np.array(list(sampler))
        logits, labels = logits_in(epoch)
        events.update(ids, logits[ids], labels[ids], epoch=epoch)
        events = gather(events)
    if rank == 0:
        events.save(folder / "events.safetensors")
    else:
        assert not events.seen.any()
    torch.distributed.destroy_process_group()


def test_processes_that_gather_each_epoch_record_what_one_would_have(tmp_path):
    multiprocessing.spawn(work, (tmp_path / "store", tmp_path), nprocs=2)
    gathered, alone = LearningEvents.load(tmp_path / "events.safetensors"), LearningEvents(N)
    for epoch in range(EPOCHS):
        logits, labels = logits_in(epoch)
        alone.update(np.arange(N), logits, labels, epoch=epoch)
    np.testing.assert_array_equal(gathered.seen, alone.seen)
    for name, score in alone.scores().items():
        np.testing.assert_allclose(gathered.scores()[name], score, rtol=1e-12, err_msg=name)


def test_one_process_has_nothing_to_gather():
    events = LearningEvents(3)
    assert gather(events) is events


# --- the examples


def test_the_raw_loop_records_every_epoch(capsys):
    events = runpy.run_path(str(EXAMPLES / "raw_loop.py"))["main"]()
    assert (events.seen == 11).all()
    flipped, other = map(float, re.findall(r"\d\.\d\d", capsys.readouterr().out))
    assert flipped < other - 0.3


def test_the_numpy_loop_records_every_epoch(capsys):
    events, flipped = runpy.run_path(str(EXAMPLES / "partial_fit.py"))["main"]()
    assert (events.seen == 20).all()
    score = events.proxies()["confidence"]
    assert np.median(score[flipped]) > np.median(np.delete(score, flipped))
    assert "in a flipped label" in capsys.readouterr().out
