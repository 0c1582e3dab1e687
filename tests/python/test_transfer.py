"""Logits on a device: no step waits for them, none is lost, and what is wrong with one is said at the next flush."""

from collections import deque
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_events import batch, bits
from unmemorize import LearningEvents

BYTES = 40 * 10 * 4  # of the logits of one batch


class Toy:
    """Stands for torch.cuda: the device sends nothing until a test says so or somebody waits, and counts the waits."""

    def __init__(self):
        self.sending, self.waits, self.order, self.stream_now = deque(), 0, [], "compute"

    def current_stream(self, device):
        return self.stream_now

    @contextmanager
    def stream(self, stream):
        before, self.stream_now = self.stream_now, stream
        yield
        self.stream_now = before

    def Stream(self, device):  # noqa: N802
        return SimpleNamespace(wait_stream=self.order.append, record_event=self.event)

    def event(self):
        event = SimpleNamespace(done=False)
        self.sending.append(lambda: setattr(event, "done", True))

        def wait():
            self.waits += not event.done
            while not event.done:
                self.sending.popleft()()

        return SimpleNamespace(query=lambda: event.done, synchronize=wait)

    def arrive(self):
        while self.sending:
            self.sending.popleft()()


class OnToy(torch.Tensor):
    """A tensor that says it is on the toy device."""

    is_cpu = False
    device = SimpleNamespace(type="toy")

    def record_stream(self, stream):
        assert stream is torch.toy.stream_now

    def cpu(self):
        raise AssertionError("waited for the device")

    def to(self, target, *, copy=False, non_blocking=False):
        if copy:
            assert torch.toy.stream_now == "compute"
            return self.clone()
        assert target == "cpu"
        assert non_blocking
        values = self.as_subclass(torch.Tensor)
        sent = torch.full_like(values, -1)  # until it arrives
        torch.toy.sending.append(lambda: sent.copy_(values))
        return sent


def on_device(*arrays):
    return [torch.as_tensor(x).clone().as_subclass(OnToy) for x in arrays]


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(torch, "toy", Toy(), raising=False)
    monkeypatch.setattr("unmemorize._transfer._stream", torch.toy.Stream)
    return torch.toy


@pytest.fixture
def recorded(monkeypatch):
    """The batches that were handed over, in order."""
    seen, record = [], LearningEvents._record

    def watched(events, ids, logits, labels, epoch, n_threads=None):
        seen.append(epoch)
        record(events, ids, logits, labels, epoch, n_threads)

    monkeypatch.setattr(LearningEvents, "_record", watched)
    return seen


def test_no_step_waits_and_the_results_are_those_of_the_cpu(toy, recorded):
    wanted, events = LearningEvents(40), LearningEvents(40)
    for epoch in range(5):
        one = batch(40, 10, seed=epoch)
        wanted.update(*one, epoch=epoch)
        tensors = on_device(*one)
        events.update(*tensors, epoch=epoch)
        for tensor in tensors:
            tensor.as_subclass(torch.Tensor).zero_()  # the loop uses its buffers again
    assert toy.waits == 0
    assert toy.order == ["compute"] * 5  # each copy waits, on the device, for what the step computes
    recorded.clear()
    assert bits(events) == bits(wanted)
    assert recorded == [0, 1, 2, 3, 4]


def test_what_has_arrived_is_recorded_by_the_next_update(toy, recorded):
    events = LearningEvents(40)
    for epoch in range(3):
        events.update(*on_device(*batch(40, 10)), epoch=epoch)
    assert recorded == []
    toy.arrive()
    events.update(*on_device(*batch(40, 10)), epoch=3)
    assert (recorded, toy.waits) == ([0, 1, 2], 0)


def test_what_is_on_its_way_is_bounded_and_only_the_oldest_is_waited_for(toy, recorded, monkeypatch):
    monkeypatch.setattr("unmemorize.events._WAITING_BYTES", 3 * BYTES)
    events = LearningEvents(40)
    for epoch in range(3):
        events.update(*on_device(*batch(40, 10)), epoch=epoch)
    assert (recorded, toy.waits) == ([], 0)
    events.update(*on_device(*batch(40, 10)), epoch=3)
    assert (recorded, toy.waits) == ([0], 1)
    assert (events.seen == 4).all()


def test_a_batch_that_is_larger_than_the_bound_is_waited_for(toy, monkeypatch):
    monkeypatch.setattr("unmemorize.events._WAITING_BYTES", BYTES - 1)
    events = LearningEvents(40)
    events.update(*on_device(*batch(40, 10)))
    assert (toy.waits, len(events._waiting)) == (1, 0)


def test_what_is_wrong_is_said_at_the_next_flush_and_the_rest_is_recorded(toy):
    events = LearningEvents(40)
    ids, logits, labels = batch(40, 10)
    for row in (None, 7, None, 9):
        bad = logits.copy()
        bad[row, 3 : 3 if row is None else 4] = np.nan
        events.update(*on_device(ids, bad, labels))
        toy.arrive()
    for row in (7, 9):
        with pytest.raises(ValueError, match=f"not finite .* for example {ids[row]}$"):
            events.scores()
    assert (events.seen == 2).all()
    events.update(*on_device([50], logits[:1], [0]))
    with pytest.raises(IndexError, match="ids: 50 is out of range for a tracker of 40 examples"):
        events.update(ids, logits, labels)  # on the CPU
    assert (events.seen == 2).all()


def test_ids_and_labels_may_be_on_the_cpu(toy):
    ids, logits, labels = batch(40, 10)
    wanted, events = LearningEvents(40), LearningEvents(40)
    wanted.update(ids, logits, labels)
    events.update(ids, *on_device(logits), torch.as_tensor(labels))
    ids[:], labels[:] = 0, 0
    assert bits(events) == bits(wanted)
    assert toy.waits == 1


def test_a_device_without_streams_is_asked_at_the_flush(monkeypatch):
    monkeypatch.setattr(torch, "toy", SimpleNamespace(stream_now="compute"), raising=False)
    monkeypatch.setattr(OnToy, "cpu", lambda x: x.as_subclass(torch.Tensor))
    wanted, events = LearningEvents(40), LearningEvents(40)
    for seed in range(3):
        wanted.update(*batch(40, 10, seed=seed))
        events.update(*on_device(*batch(40, 10, seed=seed)))
    assert len(events._waiting) == 3
    assert bits(events) == bits(wanted)
