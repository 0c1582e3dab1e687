"""Learning events: equal to the plain formulas, exact in pieces, unharmed by bad input."""

import multiprocessing
import os
import subprocess
import sys
import threading
from time import perf_counter

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unmemorize import LearningEvents
from unmemorize.errors import StoreError
from unmemorize.events import PROXIES


def batch(rows, classes, n=None, dtype=np.float32, scale=5.0, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(rows) if n is None else rng.integers(0, n, rows)
    return ids, (rng.normal(size=(rows, classes)) * scale).astype(dtype), rng.integers(0, classes, rows)


def assert_same(found, wanted, **tolerance):
    assert set(found) == set(wanted) == set(PROXIES)
    for name in found:
        np.testing.assert_allclose(
            found[name], wanted[name], err_msg=name, **(tolerance or {"rtol": 1e-9, "atol": 1e-7})
        )


def bits(events):
    return {name: score.tobytes() for name, score in events.scores().items()}


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    n=st.integers(1, 12),
    classes=st.sampled_from([2, 3, 10, 32, 33, 70]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 2000.0]),
)
def test_equals_the_plain_formulas(data, n, classes, dtype, scale):
    batches = []
    for seed in range(data.draw(st.integers(0, 4))):
        rows = data.draw(st.integers(0, 20))
        batches.append(batch(rows, classes, n, dtype, scale, seed))
    events = LearningEvents(n)
    for one in batches:
        events.update(*one)
    assert_same(events.scores(), reference.learning_events(n, batches))
    np.testing.assert_array_equal(
        events.seen, np.bincount(np.concatenate([[], *(b[0] for b in batches)]).astype(int), minlength=n)
    )


def test_ties_count_as_right_for_the_first_class_only():
    events = LearningEvents(2)
    events.update([0, 1], np.zeros((2, 4)), [0, 1])
    scores = events.scores()
    assert scores["accuracy"].tolist() == [1, 0]
    assert scores["margin"].tolist() == [0, 0]
    np.testing.assert_allclose(scores["entropy"], np.log(4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits(dtype):
    events = LearningEvents(2)
    events.update([0, 1], np.array([[1e30, -1e30], [1e30, -1e30]], dtype), [0, 1])
    scores = events.scores()
    np.testing.assert_array_equal(scores["confidence"].round(300), [1, 0])
    np.testing.assert_allclose(scores["loss"], [0, 2e30], rtol=1e-6, atol=1e-300)
    np.testing.assert_allclose(scores["margin"], [2e30, -2e30], rtol=1e-6)
    np.testing.assert_allclose(scores["entropy"], [0, 0], atol=1e-300)


@pytest.mark.parametrize("classes", [2, 10, 32, 33, 100])
def test_rows_that_are_all_equal(classes):
    events = LearningEvents(2)
    events.update([0, 1], np.full((2, classes), -7.5, np.float32), [0, classes - 1])
    scores = events.scores()
    np.testing.assert_allclose(scores["confidence"], 1 / classes, rtol=1e-15)
    np.testing.assert_allclose(scores["loss"], np.log(classes), rtol=1e-15)
    np.testing.assert_allclose(scores["entropy"], np.log(classes), rtol=1e-15)
    assert scores["accuracy"].tolist() == [1, 0]


@pytest.mark.parametrize("classes", [2, 10, 33])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_numbers_there_are(classes, dtype):
    most = float(np.finfo(dtype).max)
    events = LearningEvents(3)
    logits = np.zeros((3, classes), dtype)
    logits[0], logits[1], logits[2, 0], logits[2, 1:] = most, -most, most / 2, -most / 2
    events.update([0, 1, 2], logits, [0, 0, 1])
    scores = events.scores()
    np.testing.assert_allclose(scores["confidence"], [1 / classes, 1 / classes, 0], rtol=1e-15)
    np.testing.assert_allclose(scores["loss"], [np.log(classes), np.log(classes), most], rtol=1e-15)
    np.testing.assert_allclose(scores["margin"], [0, 0, -most], rtol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 10, 32, 33, 100])
def test_a_bad_logit_is_found_wherever_it_is(bad, dtype, classes):
    ids, logits, labels = batch(20, classes)
    events = LearningEvents(20)
    for row, k in ((0, 0), (7, int(labels[7])), (19, classes - 1), (5, classes // 2)):
        z = torch.tensor(logits).to(dtype)
        z[row, k] = bad
        with pytest.raises(ValueError, match=rf"logits: not finite .* for example {ids[row]}$"):
            events.update(ids, z, labels)
    assert not events.seen.any()


def test_the_first_bad_row_is_named_for_any_number_of_threads():
    ids, logits, labels = batch(9000, 10)
    logits[[8000, 8999, 4321]] = np.nan
    for n_threads in (1, 2, 8):
        events = LearningEvents(9000)
        with pytest.raises(ValueError, match=f"for example {ids[4321]}$"):
            events.update(ids, logits, labels, n_threads=n_threads)
        assert not events.seen.any()


def test_an_empty_batch_records_nothing():
    for n in (0, 3):
        events = LearningEvents(n)
        events.update([], np.zeros((0, 5)), [])
        assert not events.seen.any()


def test_never_seen_is_nan_and_never_right_is_infinite():
    events = LearningEvents(2)
    events.update([1], np.array([[0.0, 1.0]]), [0])
    for name, score in events.scores().items():
        assert np.isnan(score[0]), name
        assert np.isinf(score[1]) == (name in ("forgetting_events", "first_learned")), name
    assert all(score.shape == (0,) for score in LearningEvents(0).scores().values())


def test_proxies_are_higher_for_what_is_harder():
    events = LearningEvents(2)
    for epoch in range(4):
        easy, hard = [4.0, 0.0], [0.0, 2.0] if epoch % 2 else [0.5, 0.0]
        events.update([0, 1], np.array([easy, hard]), [0, 0], epoch=epoch)
    events.update([0, 1], np.array([[4.0, 0.0], [0.0, 0.1]]), [0, 0], epoch=4)
    for name, proxy in events.proxies().items():
        assert proxy[1] > proxy[0] or name == "first_learned", name


@pytest.mark.parametrize("kind", ["strided", "transposed", "big-endian", "read-only", "unaligned", "list"])
def test_any_layout_gives_the_same_bits(kind):
    ids, logits, labels = batch(40, 10)
    wanted = LearningEvents(40)
    wanted.update(ids, logits, labels)
    twisted = {
        "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
        "transposed": np.asfortranarray,
        "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
        "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
        "unaligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
        "list": lambda x: x.tolist(),
    }[kind]
    events = LearningEvents(40)
    events.update(twisted(ids), twisted(logits), twisted(labels))
    assert bits(events) == bits(wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.uint32, np.uint64])
def test_ids_and_labels_of_any_integer_type(dtype):
    ids, logits, labels = batch(40, 10)
    wanted, events = LearningEvents(40), LearningEvents(40)
    wanted.update(ids, logits, labels)
    events.update(ids.astype(dtype), logits, labels.astype(dtype))
    assert bits(events) == bits(wanted)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_are_their_values(dtype):
    ids, logits, labels = batch(40, 10)
    tensor = torch.tensor(logits, requires_grad=True).to(dtype)
    wanted, events = LearningEvents(40), LearningEvents(40)
    wanted.update(ids, tensor.detach().double().numpy(), labels)
    events.update(torch.tensor(ids), tensor, torch.tensor(labels, dtype=torch.int32))
    assert bits(events) == bits(wanted)


def test_epochs_count_an_example_once():
    ids, logits, labels = batch(10, 3)
    events, padded = LearningEvents(10), LearningEvents(10)
    for epoch in (0, 1, 5):
        events.update(ids, logits, labels, epoch=epoch)
        padded.update(ids, logits, labels, epoch=epoch)
        padded.update(ids[:4], logits[:4] + 1, labels[:4], epoch=epoch)
    assert bits(events) == bits(padded)
    assert (padded.seen == 3).all()


def test_shards_of_examples_merge_bit_by_bit():
    whole, left, right = (LearningEvents(30) for _ in range(3))
    for epoch in range(3):
        ids, logits, labels = batch(30, 5, seed=epoch)
        whole.update(ids, logits, labels, epoch=epoch)
        for shard, own in ((left, ids % 3 == 0), (right, ids % 3 != 0)):
            shard.update(ids[own], logits[own], labels[own], epoch=epoch)
    assert left.merge(right) is left
    assert bits(left) == bits(whole)


def test_parts_of_a_run_merge_to_the_run():
    whole, early, late = (LearningEvents(20) for _ in range(3))
    for epoch in range(7):
        one = batch(20, 3, seed=epoch)
        whole.update(*one)
        (early if epoch < 4 else late).update(*one)
    assert_same(early.merge(late).scores(), whole.scores(), rtol=1e-13, atol=1e-14)
    assert (early.seen == 7).all()


def test_merges_of_strangers_are_errors():
    events = LearningEvents(3)
    with pytest.raises(ValueError, match="n_examples: expected 3 to match this tracker, got 4"):
        events.merge(LearningEvents(4))
    with pytest.raises(ValueError, match="mode: expected 'train' to match this tracker, got 'eval'"):
        events.merge(LearningEvents(3, mode="eval"))
    with pytest.raises(TypeError, match="other: expected LearningEvents, got dict"):
        events.merge({})
    events.update([0], [[0.0, 1.0]], [0])
    named = LearningEvents(3)
    named.update([0], [[0.0, 1.0]], [0], epoch=0)
    with pytest.raises(ValueError, match="epochs are counted so far, now named"):
        events.merge(named)
    assert events.merge(events).seen.tolist() == [2, 0, 0]


IDS, LOGITS, LABELS = np.arange(2), np.zeros((2, 3)), np.zeros(2, int)


@pytest.mark.parametrize(
    ("ids", "logits", "labels", "error", "message"),
    [
        (
            IDS,
            LOGITS,
            np.zeros(5, int),
            ValueError,
            r"labels: expected 2 values to match logits of shape \(2, 3\), got 5",
        ),
        (np.arange(3), LOGITS, LABELS, ValueError, r"ids: expected 2 values to match logits of shape \(2, 3\), got 3"),
        (IDS, np.zeros(3), LABELS, ValueError, r"logits: expected shape \(b, C\), got \(3,\)"),
        (IDS[None], LOGITS, LABELS, ValueError, r"ids: expected shape \(b,\), got \(1, 2\)"),
        (IDS, LOGITS[:, :1], LABELS, ValueError, "logits: expected at least 2 classes"),
        (IDS, np.array([[0, 0, 0], [0, np.nan, 0]]), LABELS, ValueError, r"logits: not finite .* for example 1"),
        (IDS, np.array([[-np.inf, 0, 0], [0, 0, 0]]), LABELS, ValueError, r"logits: not finite .* for example 0"),
        (IDS, LOGITS, [0, 3], ValueError, r"labels: 3 is out of range for 3 classes \(example 1\)"),
        (IDS, LOGITS, [0, -1], ValueError, r"labels: -1 is out of range for 3 classes \(example 1\)"),
        ([0, 60000], LOGITS, LABELS, IndexError, "ids: 60000 is out of range for a tracker of 4 examples"),
        ([0, -1], LOGITS, LABELS, IndexError, "ids: -1 is out of range for a tracker of 4 examples"),
        (np.array([0, 2**63], np.uint64), LOGITS, LABELS, IndexError, f"ids: {2**63} is not an index"),
        (IDS.astype(float), LOGITS, LABELS, TypeError, "ids: expected integers, got float64"),
        (IDS, LOGITS, [True, False], TypeError, "labels: expected integers, got bool"),
        (
            IDS,
            LOGITS.astype(int),
            LABELS,
            TypeError,
            "logits: expected float16, bfloat16, float32 or float64, got int64",
        ),
        (IDS, LOGITS.astype(np.uint16), LABELS, TypeError, "logits: expected float16, .* got uint16"),
        (IDS, LOGITS.astype(complex), LABELS, TypeError, "logits: expected float16, .* got complex128"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(ids, logits, labels, error, message):
    events = LearningEvents(4)
    events.update([1], [[1.0, 0.0, 0.0]], [2])
    before = bits(events)
    with pytest.raises(error, match=message):
        events.update(ids, logits, labels)
    assert bits(events) == before


def test_bad_epochs_and_sizes():
    events = LearningEvents(4)
    events.update(IDS, LOGITS, LABELS, epoch=3)
    with pytest.raises(ValueError, match="example 0 was already seen in epoch 3, which is after epoch 2"):
        events.update(IDS, LOGITS, LABELS, epoch=2)
    with pytest.raises(ValueError, match="epoch: expected at least 0, got -1"):
        events.update(IDS, LOGITS, LABELS, epoch=-1)
    with pytest.raises(ValueError, match=f"epoch: expected at most 2147483646, got {2**70}"):
        events.update(IDS, LOGITS, LABELS, epoch=2**70)
    with pytest.raises(ValueError, match="give epoch= in every update or in none"):
        events.update(IDS, LOGITS, LABELS)
    with pytest.raises(TypeError):
        events.update(IDS, LOGITS, LABELS, epoch=1.5)
    with pytest.raises(ValueError, match="n_examples: expected at least 0, got -1"):
        LearningEvents(-1)
    with pytest.raises(ValueError, match="mode: expected 'train' or 'eval', got 'test'"):
        LearningEvents(3, mode="test")
    for n in (2**58, 2**62):
        with pytest.raises(ValueError, match=f"n_examples: not enough memory for {n}"):
            LearningEvents(n)
    for n_threads in (0, 1025, -1):
        with pytest.raises(ValueError, match=f"n_threads: expected 1 to 1024, got {n_threads}"):
            events.update(IDS, LOGITS, LABELS, epoch=4, n_threads=n_threads)


def test_save_and_load_go_on_where_they_were(tmp_path):
    events = LearningEvents(30, mode="eval")
    for epoch in range(2):
        events.update(*batch(20, 5, seed=epoch), epoch=epoch)
    path = tmp_path / "events.safetensors"
    events.save(path)
    again = LearningEvents.load(str(path))
    assert (len(again), again.mode, repr(again)) == (30, "eval", "LearningEvents(30, mode='eval')")
    for tracker in (events, again):
        tracker.update(*batch(20, 5, seed=9), epoch=9)
    assert bits(again) == bits(events)
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_a_safetensors_file_of_80_bytes_an_example(tmp_path):
    from safetensors.numpy import load_file

    events = LearningEvents(1000)
    events.update(*batch(1000, 5))
    events.save(tmp_path / "e")
    arrays = load_file(tmp_path / "e")
    assert sum(array.nbytes for array in arrays.values()) == 80 * 1000
    np.testing.assert_array_equal(arrays["confidence"], events.scores()["confidence"])


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "events"
    with pytest.raises(FileNotFoundError, match=str(path)):
        LearningEvents.load(path)
    LearningEvents(3).save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:20], whole + b"\0", whole[:-1] + b"\1", b"\xff" * 8 + whole[8:]):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=str(path)):
            LearningEvents.load(path)
    assert issubclass(StoreError, ValueError)


def test_the_same_bits_for_any_number_of_threads():
    found = set()
    for n_threads in range(1, 9):
        events = LearningEvents(7000)
        for seed in range(2):
            events.update(*batch(9000, 10, n=7000, seed=seed), n_threads=n_threads)
        found.add(tuple(score.tobytes() for score in events.scores(n_threads=n_threads).values()))
    assert len(found) == 1


def test_threads_wait_for_each_other():
    events = LearningEvents(64)
    one = batch(64, 10)
    crew = [threading.Thread(target=lambda: [events.update(*one) for _ in range(50)]) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert (events.seen == 200).all()


def _child(queue):
    events = LearningEvents(20_000)
    events.update(*batch(20_000, 10), n_threads=3)
    queue.put((events.seen.sum(), __import__("unmemorize")._arrays.threads(None)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_threads():
    LearningEvents(20_000).update(*batch(20_000, 10), n_threads=3)  # the parent has a pool now
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == (20_000, 1)
    child.join(60)
    assert child.exitcode == 0


def test_no_torch_is_needed():
    use = "um.LearningEvents(2).update([0], [[0.0, 1.0]], [1])"
    code = f"import sys, unmemorize as um; {use}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_update_costs_a_training_step_next_to_nothing():
    events = LearningEvents(50_000)
    one = batch(128, 10)

    def seconds():
        start = perf_counter()
        for _ in range(100):
            events.update(*one)
        return (perf_counter() - start) / 100

    assert min(seconds() for _ in range(5)) < 200e-6  # about 20 microseconds when nothing else runs


def test_examples_are_taken_and_forgotten():
    events = LearningEvents(5)
    events.update([0, 2, 4], np.eye(3), [0, 1, 2], epoch=0)
    taken = events.take([4, 1, 0])
    np.testing.assert_array_equal(taken.seen, [1, 0, 1])
    for name, score in events.scores().items():
        np.testing.assert_array_equal(taken.scores()[name], score[[4, 1, 0]])
    with pytest.raises(IndexError, match="5"):
        events.forget([0, 5])
    np.testing.assert_array_equal(events.forget([0, 1]).seen, [0, 0, 1, 0, 1])
    assert np.isnan(events.scores()["loss"][0])
    assert events.take([]).mode == "train"
