"""Ctrl-C ends a long call of any kernel, and leaves what the call was to change as it was."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import unmemorize as um
from unmemorize import partition

SLOW = {**os.environ, "UNMEMORIZE_SIMD": "scalar"}  # so that no call is over before the signal comes

CALLS = {  # name: (what is ready before, the call, what must be the same after it)
    "events": (
        "x = np.ones((200_000, 500), np.float16); ids = np.arange(len(x)); e = um.LearningEvents(len(x))",
        "e.update(ids, x, 0 * ids, n_threads=N)",
        "e.seen.any()",
    ),
    "pack": (
        "x = np.zeros((4000, 500_000), bool)",
        "um.BitMatrix.pack(x, n_threads=N)",
        "x[0].sum()",
    ),
    "unpack": (
        "x = um.BitMatrix.pack(np.zeros((2000, 500_000), bool))",
        "x.unpack(n_threads=N)",
        "x.shape",
    ),
    "out of sample": (
        "m, p = np.zeros((2000, 50_000), bool), np.full((50_000, 100), 0.01, np.float16)",
        "estimators.out_of_sample(m, itertools.repeat(p, 2000), n_threads=N)",
        "m[0].sum()",
    ),
    "soft memorization": (
        "m, p = np.zeros((4000, 50_000), bool), np.zeros((4000, 50_000), np.float32)",
        "um.soft_memorization(m, p, n_threads=N)",
        "m[0].sum()",
    ),
    "ensemble": (
        "x = np.random.default_rng(0).random((400, 5000)) < 0.5",
        "ensemble.reliability(x, x, splits=100_000, n_threads=N)",
        "x.sum()",
    ),
    "influence": (
        "x = um.BitMatrix.pack(np.zeros((6400, 20_000), bool))",
        "um.influence_topk(x, x, 1, n_threads=N)",
        "x.counts().sum()",
    ),
    "partition": ("n = 200_000_000", "partition.sample(n, 5, 0, n_threads=N)", "n"),
    "rank": (
        "x = np.arange(1000.0)",
        "stats.kendall(x, x, resamples=10_000_000, n_threads=N)",
        "x.sum()",
    ),
    "columns": (
        "x = np.random.default_rng(0).random((1000, 4))",
        "stats.spearman_columns(x, x[:, 0], resamples=1_000_000, n_threads=N)",
        "x[:9].tobytes()",
    ),
    "permutations": (
        "x = np.arange(1_000_000.0)",
        "stats.permutation_p(x, x, permutations=10_000, n_threads=N)",
        "x.sum()",
    ),
    "resample": (
        "x = np.arange(1000.0)",
        "stats.bootstrap_interval(x, resamples=10_000_000, n_threads=N)",
        "x.sum()",
    ),
    "sort": (
        "x = np.random.default_rng(0).random(20_000_000, np.float32)",
        "partition.argsort(x, n_threads=N)",
        "x[:9].tobytes()",
    ),
    "lira": (
        "x = np.random.default_rng(0).random((64, 400_000), np.float32); m = x < 0.5",
        "audit.lira(x, m, x[0], n_threads=N)",
        "m.sum()",
    ),
    "u_lira": (
        "x = np.random.default_rng(0).random((64, 400_000), np.float32)",
        "audit.u_lira(x, x, n_threads=N)",
        "x[:, 0].tobytes()",
    ),
    "rmia": (
        "x = np.random.default_rng(0).uniform(0.1, 1, 10_000_000)",
        "audit.rmia(x, x, x, x, n_threads=N)",
        "x[:9].tobytes()",
    ),
    "epsilon": (
        "x = np.random.default_rng(0).random((64, 300), np.float32)",
        "audit.epsilon_interval(x, x, resamples=1_000_000, n_threads=N)",
        "x.sum()",
    ),
    "sweep": (
        "x = np.arange(100_000.0); found = audit.roc(x, x % 2 > 0)",
        "found.sweep(n_threads=N)",
        "found.auc",
    ),
    "audit": (
        "x = np.zeros((64, 300_000), np.float16)",
        "audit.klom(x, x, bins=60_000, n_threads=N)",
        "x.sum()",
    ),
    "tow": (
        "x = dict.fromkeys(('forget', 'retain', 'test'), np.arange(500) % 2 > 0)",
        "audit.tow_interval(x, x, resamples=10_000_000, n_threads=N)",
        "x['test'].sum()",
    ),
    "roc": (
        "x = np.arange(2000.0); found = audit.roc(x, x > 1000)",
        "found.auc_interval(resamples=10_000_000, n_threads=N)",
        "found.auc",
    ),
}

CODE = """
import itertools, os, signal, threading, time
import numpy as np, unmemorize as um
from unmemorize import audit, ensemble, partition, stats
from unmemorize.ensemble import estimators
N = {n_threads}
{before}
state = {state}
threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    {call}
    time.sleep(60)  # a call that does not listen is over before the exception comes
finally:
    print("unchanged" if {state} == state else "changed", flush=True)
"""


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_ends_a_long_call_and_changes_nothing(name, n_threads):
    before, call, state = CALLS[name]
    code = CODE.format(n_threads=n_threads, before=before, call=call, state=state)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=SLOW
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
    assert done.stdout == "unchanged\n"
    assert not any("time.sleep" in line for line in lines)


def test_the_exception_is_the_one_of_the_handler():
    code = """
import signal; from unmemorize import stats
def late(*_): raise TimeoutError("too late")
signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, 0.1)
stats.bootstrap_interval([1.0, 2.0], resamples=10_000_000, n_threads=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=SLOW
    )
    assert done.stderr.splitlines()[-1] == "TimeoutError: too late"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_is_taken_without_a_call_of_python_in_which_ctrl_c_would_be_lost(dtype):
    tracker, logits, ids = um.LearningEvents(4), np.eye(4, dtype=dtype), np.arange(4)
    names = []
    sys.setprofile(lambda frame, event, _: names.append(frame.f_code.co_name) if event == "call" else None)
    try:
        tracker.update(ids, logits, ids)
        partition.argsort(logits[0])
    finally:
        sys.setprofile(None)
    assert "update" in names
    assert not {"__str__", "__repr__"} & set(names)  # of a type, for an error that nobody sees
