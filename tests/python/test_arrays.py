"""The door to the core: nothing right is copied, nothing wrong gets through."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from unmemorize import BitMatrix, LearningEvents, _arrays, _core, stats, strata

LONG = np.arange(4000), np.zeros((4000, 500), np.float32), np.zeros(4000, np.int64)
BOOLS = np.zeros((200, 100_000), bool)
BITS = BitMatrix.pack(BOOLS)
EVENTS = LearningEvents(100_000)


def address(x):
    return x.__array_interface__["data"][0]


@pytest.mark.parametrize(
    ("door", "array"),
    [
        (lambda x: _arrays.integers(x, "ids"), np.arange(5)),
        (_arrays.logits, np.zeros((2, 3), np.float16)),
        (_arrays.logits, np.zeros((2, 3), np.float32)),
        (_arrays.logits, np.zeros((2, 3), np.float64)),
        (lambda x: _arrays.matrix_bool(x, "member"), np.zeros((2, 3), bool)),
        (lambda x: _arrays.vector_f64(x, "score"), np.zeros(4)),
    ],
)
def test_what_is_right_is_never_copied(door, array):
    read_only = array.view()
    read_only.flags.writeable = False
    for right in (array, read_only, array[1:], torch.from_numpy(array)):
        wanted = right.data_ptr() if isinstance(right, torch.Tensor) else address(right)
        assert address(door(right)) == wanted


def test_bfloat16_shares_its_bits():
    tensor = torch.tensor([[1.0, -2.5]], dtype=torch.bfloat16)
    found = _arrays.logits(tensor)
    assert (found.dtype, address(found)) == (np.uint16, tensor.data_ptr())
    np.testing.assert_array_equal(_arrays.vector_f64(tensor[0], "x"), [1.0, -2.5])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_update_hands_over_what_it_was_given(monkeypatch, dtype):
    """The core sees the caller's memory, whether it comes as arrays or as tensors."""
    batch = np.arange(4), np.zeros((4, 3), dtype), np.zeros(4, np.int64)
    events, got = LearningEvents(4), []
    monkeypatch.setattr(events, "_core", SimpleNamespace(update=lambda *arguments: got.append(arguments[:3])))
    events.update(*batch)
    events.update(*map(torch.from_numpy, batch))
    for seen in got:
        assert [address(x) for x in seen] == [address(x) for x in batch]


@pytest.mark.parametrize(
    "call",
    [
        lambda: EVENTS.update(*LONG, n_threads=1),
        lambda: EVENTS.scores(n_threads=1),
        lambda: BitMatrix.pack(BOOLS, n_threads=1),
        lambda: BITS.unpack(n_threads=1),
    ],
    ids=["update", "scores", "pack", "unpack"],
)
def test_other_threads_go_on_during_a_call(call):
    ticks, over = [0], threading.Event()

    def tick():
        while not over.is_set():
            ticks[0] += 1
            time.sleep(0)  # gives the GIL back

    interval = sys.getswitchinterval()
    clock = threading.Thread(target=tick)
    clock.start()
    sys.setswitchinterval(60)  # nobody is made to give the GIL back
    try:
        before = ticks[0]
        for _ in range(1000):  # on a busy machine the clock may oversleep one call
            call()
            if ticks[0] > before:
                break
        assert ticks[0] > before
    finally:
        sys.setswitchinterval(interval)
        over.set()
        clock.join()


@pytest.mark.parametrize("x", [np.array(["a"]), np.array([None]), np.array([1j]), np.array([1], "datetime64[s]")])
def test_what_is_no_number_is_a_type_error(x):
    for door in (_arrays.integers, _arrays.vector_f64):
        with pytest.raises(TypeError, match="score: expected"):
            door(x, "score")


class AlwaysMatrix(np.ndarray):
    """As np.matrix, which is deprecated."""

    def reshape(self, *shape):
        return super().reshape(*shape)[None]


def test_any_kind_of_array_is_its_values_or_an_error():
    x = np.array([3.0, 1.0, 2.0])
    columns = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]).view(AlwaysMatrix)
    assert [found.value for found in stats.spearman_columns(columns, x)] == [-0.5, 0.5]
    assert strata(torch.tensor([1 + 3j, 1 + 1j, 1 + 2j]).conj().imag, 3).tolist() == [0, 2, 1]  # negated lazily
    assert strata(np.ma.array(x, mask=False), 3).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="score: not an array: some values are masked; fill them"):
        strata(np.ma.array(x, mask=[True, False, False]), 3)
    with pytest.raises(TypeError, match="score: expected real numbers, got complex64"):
        strata(torch.tensor([1j]).conj(), 1)
    with pytest.raises(ValueError, match="score: not an array: "):
        torch.func.vmap(lambda inner: strata(inner, 1))(torch.zeros(2, 3))


def test_a_byte_that_is_not_zero_is_true():
    """As to NumPy; the core takes 0 and 1 only."""
    bools = np.array([[2, 1, 0, 255] * 20], np.uint8).view(bool)
    for right in (bools, torch.from_numpy(bools.view(np.uint8)).view(torch.bool)):
        packed = BitMatrix.pack(right)
        assert packed.unpack().tolist() == [[True, True, False, True] * 20]
        assert packed.counts().tolist() == [60]


def test_integers_that_float64_does_not_tell_apart_are_refused():
    assert strata(np.array([2**53, -(2**53)]), 2).tolist() == [1, 0]
    for wrong in ([2**53 + 1, 2**53], [0, -(2**63)], np.array([2**64 - 1], np.uint64)):
        with pytest.raises(ValueError, match=r"score: integers beyond 2\^53"):
            strata(wrong, 1)


def test_default_threads_follow_the_affinity_and_are_one_in_workers():
    code = "import os; {}; from unmemorize import _arrays; print(_arrays.threads(None))"
    if hasattr(os, "sched_setaffinity"):
        one = min(os.sched_getaffinity(0))
        pinned = subprocess.run(
            [sys.executable, "-c", code.format(f"os.sched_setaffinity(0, [{one}])")],
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert int(pinned.stdout) == 1
    assert 1 <= _arrays.threads(None) <= _core.available_threads()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_arrays.threads, (None,)) == 1
    assert _arrays.threads(np.int64(3)) == 3
    for wrong in (2.0, "2"):
        with pytest.raises(TypeError):
            _arrays.threads(wrong)


@pytest.fixture
def half_a_core():
    """A control group, of version 2 or 1, whose processes may use half a core."""
    group, limits = Path("/sys/fs/cgroup"), {"cpu.max": "50000 100000"}
    if not (group / "cgroup.controllers").exists():
        group, limits = group / "cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}
    group = group / f"unmemorize-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no right to make a control group here")
    try:
        for name, limit in limits.items():
            (group / name).write_text(limit)
        yield group
    except PermissionError:
        pytest.skip("no right to limit a control group here")
    finally:
        group.rmdir()


def test_default_threads_follow_the_quota_of_the_control_group(half_a_core):
    code = f"""
import os; open({str(half_a_core / "cgroup.procs")!r}, "w").write(str(os.getpid()))
from unmemorize import _arrays; print(_arrays.threads(None))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert int(done.stdout) == 1


@pytest.mark.parametrize("level", ["scalar", "avx2", "avx512", "neon"])
def test_every_instruction_set_gives_the_same_bits_and_learning_events_without_fused_steps_the_same_to_rounding(level):
    code = """
import sys, numpy as np, unmemorize as um
from unmemorize.ensemble import influence
rng = np.random.default_rng(0)
events = um.LearningEvents(300)
for classes in (2, 10, 32, 33, 50, 200):
    for dtype in ("f2", "f4", "f8"):
        logits = (rng.normal(size=(300, classes)) * 9).astype(dtype)
        events.update(np.arange(300), logits, rng.integers(0, classes, 300))
member, test = rng.random((130, 90)) < 0.7, rng.random((130, 20)) < 0.7
bits = um.BitMatrix.pack(member)
arrays = [influence(member, test), um.memorization(member, member).score, bits.packed(), bits.unpack(), bits.counts()]
sys.stdout.buffer.write(b"".join(x.tobytes() for x in [*events.scores().values(), *arrays]))
"""

    def run(**environment):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, timeout=60, check=True
        )
        return np.frombuffer(done.stdout[:events]), done.stdout[events:]

    events = 10 * 300 * 8  # bytes of the learning events
    (mine, others), (best, same) = run(UNMEMORIZE_SIMD=level), run()
    np.testing.assert_allclose(mine, best, rtol=1e-13 if level == "scalar" else 0)
    assert others == same


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, ">i4", np.float32, "U5"])
def test_groups_are_numbered_in_their_order(dtype):
    low = 0 if np.dtype(dtype).kind == "u" else -100
    names = np.random.default_rng(0).integers(low, 100, 300).astype(dtype)
    group, count = _arrays.groups(names, "by")
    wanted, numbers = np.unique(names, return_inverse=True)
    assert (group.tolist(), group.dtype, count) == (numbers.tolist(), np.int64, len(wanted))


@pytest.mark.parametrize("names", [[], [7], [-(2**63), 2**63 - 1], np.array([2**64 - 1, 2**64 - 1, 0], np.uint64)])
def test_groups_may_have_any_number_for_a_name(names):
    group, count = _arrays.groups(np.array(names, getattr(names, "dtype", np.int64)), "by")
    assert (group.tolist(), count) == (
        np.unique(names, return_inverse=True)[1].tolist(),
        len(set(np.array(names).tolist())),
    )
