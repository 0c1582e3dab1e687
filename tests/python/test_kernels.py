"""What holds for every public function that has a kernel, whatever it computes."""

import sys
import threading
import time

import numpy as np
import pytest
import unmemorize as um
from unmemorize import _arrays, audit, ensemble, partition, stats
from unmemorize.ensemble import estimators

T, N, M = 66, 300, 40  # models, training and test examples; more than one word of bits, and klom's least models


def events(t, ids, logits, labels):
    tracker = um.LearningEvents(len(ids))
    tracker.update(ids, logits, labels, n_threads=t)
    return tracker.scores(n_threads=t)


def curve(t, scores, members):
    found = audit.roc(scores, members, n_threads=t)
    intervals = found.auc_interval(resamples=20, n_threads=t), found.tpr_interval(0.1, resamples=20, n_threads=t)
    sweeps = (found.sweep(method=method, resamples=20, n_threads=t) for method in ("bootstrap", "clopper-pearson"))
    return found.fpr, found.tpr, found.auc, intervals, [vars(sweep) for sweep in sweeps], found.epsilon(n_threads=t)


def tow_interval(t, *sides):
    groups = ("forget", "retain", "test")
    unlearned, oracle = ({name: side[row] for row, name in enumerate(groups)} for side in sides)
    return audit.tow_interval(unlearned, oracle, resamples=20, n_threads=t)


KERNELS = {  # name: (the function of n_threads and arrays, which arrays it takes)
    "events": (events, "ids logits labels"),
    "pack": (lambda t, x: um.BitMatrix.pack(x, n_threads=t).packed(), "member"),
    "unpack": (lambda t, x: um.BitMatrix.pack(x).unpack(n_threads=t), "member"),
    "transpose": (lambda t, x: um.BitMatrix.pack(x).transpose(n_threads=t).packed(), "member"),
    "counts": (lambda t, x: um.BitMatrix.pack(x).counts(n_threads=t), "member"),
    "memorization": (lambda t, *x: um.memorization(*x, n_threads=t), "member correct"),
    "c_score": (lambda t, *x: ensemble.c_score(*x, n_threads=t), "member correct"),
    "reliability": (lambda t, *x: ensemble.reliability(*x, splits=3, n_threads=t), "member correct"),
    "influence": (lambda t, *x: um.influence(*x, n_threads=t), "member test_correct"),
    "influence_topk": (lambda t, *x: um.influence_topk(*x, 5, n_threads=t), "member test_correct"),
    "influence_std_error": (lambda t, *x: ensemble.influence_std_error(*x, n_threads=t), "member test_correct"),
    "out_of_sample": (lambda t, m, p: estimators.out_of_sample(m, list(p), n_threads=t), "member probs"),
    "soft_memorization": (lambda t, *x: um.soft_memorization(*x, n_threads=t), "member likely"),
    "argsort": (lambda t, x: partition.argsort(x, n_threads=t), "score"),
    "strata": (lambda t, x: um.strata(x, 7, n_threads=t), "score"),
    "strata within": (lambda t, x, by: um.strata(x, 3, by=by, n_threads=t), "score labels"),
    "lowest": (lambda t, x: partition.lowest(x, 50, n_threads=t), "score"),
    "highest": (lambda t, x: partition.highest(x, 50, n_threads=t), "score"),
    "nearest": (lambda t, x: partition.nearest(x, 0.1, 50, n_threads=t), "score"),
    "average_ranks": (lambda t, x: stats.average_ranks(x, n_threads=t), "score"),
    "pearson": (lambda t, *x: stats.pearson(*x, resamples=20, n_threads=t), "score other"),
    "spearman": (lambda t, *x: stats.spearman(*x, resamples=20, n_threads=t), "score other"),
    "kendall": (lambda t, *x: stats.kendall(*x, resamples=20, n_threads=t), "score other"),
    "spearman_columns": (lambda t, *x: stats.spearman_columns(*x, resamples=5, n_threads=t), "columns score"),
    "permutation_p": (lambda t, *x: stats.permutation_p(*x, permutations=99, n_threads=t), "score other"),
    "pearson's p": (lambda t, *x: stats.permutation_p(*x, ranks=False, permutations=99, n_threads=t), "score other"),
    "mean": (lambda t, x: stats.bootstrap_interval(x, resamples=20, n_threads=t), "score"),
    "quantile": (lambda t, x: stats.bootstrap_interval(x, 0.9, resamples=20, n_threads=t), "score"),
    "lira": (lambda t, *x: audit.lira(*x, n_threads=t), "phi member target"),
    "u_lira": (lambda t, *x: vars(audit.u_lira(*x, n_threads=t)), "phi oracle"),
    "rmia": (lambda t, *x: audit.rmia(*x, n_threads=t), "share positive share positive"),
    "klom": (lambda t, *x: audit.klom(*x, n_threads=t), "phi oracle"),
    "epsilon": (lambda t, *x: audit.epsilon(*x, n_threads=t), "phi oracle"),
    "epsilon_interval": (lambda t, *x: vars(audit.epsilon_interval(*x, resamples=9, n_threads=t)), "phi oracle"),
    "roc": (curve, "score members"),
    "tow_interval": (tow_interval, "member correct"),
}
ALL = pytest.mark.parametrize("name", KERNELS)


def inputs(dtype=np.float64, scale=1):
    """Arrays by name, with ties; float ones hold values that are exact in float16. `scale` makes the examples more."""
    rng, n, m = np.random.default_rng(0), N * scale, M
    probs = rng.dirichlet(np.ones(3), (T, n))
    floats = {
        "logits": rng.normal(size=(n, 10)),
        "score": rng.normal(size=n).round(1),
        "other": rng.normal(size=n).round(1),
        "columns": rng.normal(size=(n, 3)).round(1),
        "phi": rng.normal(size=(T, n)),
        "oracle": rng.normal(size=(T, n)),
        "target": rng.normal(size=n),
        "share": rng.random(n),
        "positive": rng.uniform(0.01, 1, n),
        "likely": probs[:, :, 0],
        "probs": probs,
    }
    return {
        **{name: x.astype(np.float16).astype(dtype) for name, x in floats.items()},
        "ids": rng.permutation(n),
        "labels": rng.integers(0, 10, n),
        "member": rng.random((T, n)) < 0.7,
        "correct": rng.random((T, n)) < 0.6,
        "test_correct": rng.random((T, m)) < 0.6,
        "members": rng.random(n) < 0.5,
    }


def run(name, arrays, n_threads=1, change=lambda x: x):
    call, names = KERNELS[name]
    return bits(call(n_threads, *(change(arrays[which]) for which in names.split())))


def bits(result):
    """All that a result holds, so that equal means equal bit by bit."""
    if isinstance(result, np.ndarray):
        return result.tobytes()
    if isinstance(result, dict):
        return [bits(value) for value in result.values()]
    if isinstance(result, tuple | list):
        return [bits(value) for value in result]
    return bits(vars(result)) if hasattr(result, "__dict__") else repr(result)


CHANGES = {
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "transposed": np.asfortranarray,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "unaligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "float32": lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x,
    "float16": lambda x: x.astype(np.float16) if x.dtype.kind == "f" else x,
    "list": lambda x: x.tolist(),
}


@ALL
def test_any_array_of_the_same_values_gives_the_same_bits(name):
    arrays = inputs()
    wanted = run(name, arrays)
    for kind, change in CHANGES.items():
        assert run(name, arrays, change=change) == wanted, kind


@ALL
def test_the_bits_do_not_depend_on_the_number_of_threads(name):
    arrays = inputs(np.float32, scale=4)
    wanted = run(name, arrays)
    assert all(run(name, arrays, n_threads) == wanted for n_threads in range(2, 9))


@ALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_right_is_handed_over_as_it_is(name, dtype, monkeypatch):
    exact, doors = _arrays._exact, []

    def watched(x, wanted):
        doors.append((x, exact(x, wanted)))
        return doors[-1][1]

    monkeypatch.setattr(_arrays, "_exact", watched)
    run(name, inputs(dtype))
    assert doors
    assert all(went_in is came_out for went_in, came_out in doors)


@ALL
def test_other_threads_go_on_during_a_call(name):
    call, names = KERNELS[name]
    arrays = inputs(np.float32, scale=50)
    given, ticks, over = [arrays[which] for which in names.split()], [0], threading.Event()

    def tick():
        while not over.is_set():
            ticks[0] += 1
            time.sleep(0)  # gives the GIL back

    interval, clock = sys.getswitchinterval(), threading.Thread(target=tick)
    clock.start()
    sys.setswitchinterval(60)  # nobody is made to give the GIL back
    try:
        before = ticks[0]
        for _ in range(200):  # on a busy machine the clock may oversleep one call
            call(1, *given)
            if ticks[0] > before:
                break
        assert ticks[0] > before
    finally:
        sys.setswitchinterval(interval)
        over.set()
        clock.join()
