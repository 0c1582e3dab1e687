"""Whatever is passed to a public function: a result, or an error that says what is wrong with which argument."""

import re
import warnings

import numpy as np
import pytest
import torch
import unmemorize as um
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unmemorize import audit, ensemble, partition, stats

RIGHT = {name: [True, False, True] for name in ("forget", "retain", "test")}

CALLS = {
    "update": lambda a, b, c: um.LearningEvents(3).update(a, b, c),
    "pack": lambda a, b, c: um.BitMatrix.pack(a),
    "memorization": lambda a, b, c: um.memorization(a, b),
    "c_score": lambda a, b, c: ensemble.c_score(a, b),
    "reliability": lambda a, b, c: ensemble.reliability(a, b, splits=2),
    "influence": lambda a, b, c: um.influence(a, b),
    "influence_topk": lambda a, b, c: um.influence_topk(a, b, 1),
    "strata": lambda a, b, c: um.strata(a, 1, by=b),
    "argsort": lambda a, b, c: partition.argsort(a),
    "lowest": lambda a, b, c: partition.lowest(a, 1),
    "highest": lambda a, b, c: partition.highest(a, 1),
    "nearest": lambda a, b, c: partition.nearest(a, 0.5, 1),
    "from_ids": lambda a, b, c: um.ForgetSet.from_ids(a, score=b, labels=c, strata=1),
    "by_score": lambda a, b, c: um.ForgetSet.by_score(a, 1, strata=1, rule="low", ids=b, labels=c),
    "by_class": lambda a, b, c: um.ForgetSet.by_class(a, b, score=c, strata=1),
    "by_entanglement": lambda a, b, c: um.ForgetSet.by_entanglement(a, 1, strata=1, rule="low", labels=b),
    "spearman": lambda a, b, c: stats.spearman(a, b, resamples=3),
    "pearson": lambda a, b, c: stats.pearson(a, b, resamples=3),
    "kendall": lambda a, b, c: stats.kendall(a, b, resamples=3, nan="omit"),
    "average_ranks": lambda a, b, c: stats.average_ranks(a),
    "bootstrap_interval": lambda a, b, c: stats.bootstrap_interval(a, "median", resamples=3),
    "quantile": lambda a, b, c: stats.bootstrap_interval(a, 0.3, resamples=3),
    "spearman_columns": lambda a, b, c: stats.spearman_columns(a, b, resamples=3),
    "permutation_p": lambda a, b, c: stats.permutation_p(a, b, permutations=3),
    "t_interval": lambda a, b, c: stats.t_interval(a),
    "roc": lambda a, b, c: audit.roc(a, b),
    "sweep": lambda a, b, c: audit.roc([1.0, 2.0, 2.0], [True, False, True]).sweep(a),
    "roc epsilon": lambda a, b, c: audit.roc(a, b).epsilon(),
    "bootstrapped sweep": lambda a, b, c: audit.roc(a, b).sweep(c, "bootstrap", resamples=3),
    "lira": audit.lira,
    "u_lira": lambda a, b, c: audit.u_lira(a, b, unlearned=c),
    "rmia": lambda a, b, c: audit.rmia(a, b, c, c),
    "klom": lambda a, b, c: audit.klom(a, b),
    "epsilon": lambda a, b, c: audit.epsilon(a, b),
    "epsilon_interval": lambda a, b, c: audit.epsilon_interval(a, b, resamples=3),
    "tow_interval": lambda a, b, c: audit.tow_interval({**RIGHT, "forget": a}, {**RIGHT, "forget": b}, resamples=3),
    "soft_memorization": lambda a, b, c: ensemble.soft_memorization(a, b),
    "out_of_sample": lambda a, b, c: ensemble.estimators.out_of_sample(a, b),
    "influence_std_error": lambda a, b, c: ensemble.influence_std_error(a, b),
}

CURVE = audit.roc([1.0, 2.0, 2.0], [True, False, True])
BOOLS = np.eye(4, dtype=bool)
PHI = np.arange(128.0).reshape(64, 2)

SETTINGS = {  # name: (the function of one setting, values that it takes)
    "n_threads": (lambda v: partition.argsort([1.0], n_threads=v), [None, 1, 1024]),
    "seed": (lambda v: partition.sample(3, 1, v), [0, 2**64 - 1]),
    "n": (lambda v: partition.sample(v, 0, 0), [0, 3]),
    "size": (lambda v: partition.lowest([1.0], v), [0, 1]),
    "value": (lambda v: partition.nearest([1.0], v, 1), [0, 0.5, -np.inf]),
    "k": (lambda v: um.strata([1.0, 2.0], v), [1, 2]),
    "topk": (lambda v: um.influence_topk(BOOLS, BOOLS, v), [1, 4]),
    "by": (lambda v: um.influence_topk(BOOLS, BOOLS, 1, by=v), ["value", "magnitude"]),
    "tests": (lambda v: um.influence(BOOLS, BOOLS, tests=v), [slice(1, 3)]),
    "legacy": (lambda v: um.memorization(BOOLS, BOOLS, legacy=v), [True]),
    "splits": (lambda v: ensemble.reliability(BOOLS, BOOLS, splits=v), [1]),
    "of": (lambda v: ensemble.reliability(BOOLS, BOOLS, of=v, splits=1), ["c_score"]),
    "level": (lambda v: stats.spearman([1, 2], [1, 2], level=v, resamples=1), [0.5, np.float32(0.9)]),
    "resamples": (lambda v: stats.kendall([1, 2], [1, 2], resamples=v), [0, 3]),
    "nan": (lambda v: stats.pearson([1, 2], [1, 2], resamples=0, nan=v), ["omit"]),
    "statistic": (lambda v: stats.bootstrap_interval([1, 2], v, resamples=1), ["mean", "median", 0, 1.0, np.max]),
    "t level": (lambda v: stats.t_interval([1, 2], v), [0.5]),
    "t": (lambda v: stats.t_quantile(v, 3), [0.5]),
    "df": (lambda v: stats.t_quantile(0.5, v), [1]),
    "successes": (lambda v: stats.proportion_interval(v, 2), [0, 2]),
    "trials": (lambda v: stats.proportion_interval(0, v), [1]),
    "permutations": (lambda v: stats.permutation_p([1, 2], [1, 2], permutations=v), [1]),
    "ranks": (lambda v: stats.permutation_p([1, 2], [1, 2], permutations=1, ranks=v), [False]),
    "fpr": (CURVE.tpr_at, [0, 1.0]),
    "tpr": (lambda v: CURVE.tpr_interval(v, resamples=1), [0.5]),
    "method": (lambda v: CURVE.sweep(method=v, resamples=1), ["bootstrap"]),
    "together": (lambda v: CURVE.sweep(together=v), [np.True_]),
    "roc delta": (lambda v: CURVE.epsilon(delta=v), [0]),
    "delta": (lambda v: audit.epsilon(PHI, PHI, delta=v), [0.0, 0.5]),
    "variance": (lambda v: audit.lira(PHI, PHI > 9, PHI[0], variance=v), ["example"]),
    "online": (lambda v: audit.lira(PHI, PHI > 9, PHI[0], online=v), [False]),
    "bins": (lambda v: audit.klom(PHI, PHI, bins=v), [1]),
    "smoothing": (lambda v: audit.klom(PHI, PHI, smoothing=v), [1e-9]),
    "gamma": (lambda v: audit.rmia([0.5], [0.5], [0.5], [0.5], gamma=v), [1]),
    "a": (lambda v: audit.rmia([0.5], [0.5], [0.5], [0.5], a=v), [None, 0, 1.0]),
    "tow": (lambda v: audit.tow(v, dict.fromkeys(RIGHT, 1)), [dict.fromkeys(RIGHT, 0.5)]),
    "accuracy": (lambda v: audit.tow(dict.fromkeys(RIGHT, v), dict.fromkeys(RIGHT, 1)), [0, 0.5]),
    "n_examples": (um.LearningEvents, [0, 3]),
    "mode": (lambda v: um.LearningEvents(3, mode=v), ["eval"]),
    "epoch": (lambda v: um.LearningEvents(3).update([0], [[0.0, 1.0]], [0], epoch=v), [None, 0]),
    "merge": (lambda v: um.LearningEvents(3).merge(v), [um.LearningEvents(3)]),
    "columns": (lambda v: um.BitMatrix.from_packed(np.zeros((2, 1), np.uint8), v), [1, 8]),
    "packed": (lambda v: um.BitMatrix.from_packed(v, 1), [torch.zeros(2, 1, dtype=torch.uint8)]),
}

SENTENCE = re.compile(r"^[a-z_]+(, [a-z_]+)*( set)?: .|^not available from ", re.DOTALL)

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(),
    hnp.byte_string_dtypes(min_len=1, max_len=2),
    hnp.datetime64_dtypes(),
    st.just(np.dtype(object)),
)
shapes = st.sampled_from([(), (0,), (1,), (3,), (0, 3), (3, 0), (3, 2), (3, 3), (64, 3), (2, 2, 2)])


def view(array, how):
    """The same values, lying differently in memory."""
    match how:
        case "read-only":
            array.flags.writeable = False
        case "reversed" if array.ndim:
            return array[::-1]
        case "transposed":
            return array.T
        case "broadcast":
            return np.broadcast_to(array, (2, *array.shape))
        case "tensor" if array.dtype.kind in "bifc" and array.dtype.itemsize < 16 and array.dtype.isnative:
            return torch.from_numpy(array)
        case "list":
            return array.tolist()
    return array


views = st.sampled_from(["as it is", "read-only", "reversed", "transposed", "broadcast", "tensor", "list"])
arrays = st.builds(view, dtypes.flatmap(lambda dtype: hnp.arrays(dtype, shapes)), views)
right = st.builds(  # mostly what some function takes, with values that none should
    view,
    st.sampled_from(["?", "i8", "f4", "f8"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            shapes,
            elements={
                "?": st.booleans(),
                "i8": st.integers(0, 2) | st.integers(-(2**63), 2**63 - 1),
                "f4": st.floats(-9, 9, width=16) | st.floats(width=32),
                "f8": st.floats(0, 1) | st.floats(),
            }[dtype],
        )
    ),
    views,
)
others = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.lists(st.lists(st.integers(-3, 3), max_size=2), max_size=3),
    st.just(torch.zeros(3, device="meta")),
    st.just(torch.zeros(3, requires_grad=True)),
    st.just(torch.zeros(2, 3).to_sparse()),
)
anything = arrays | right | others


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=25, deadline=None)
@given(a=anything, b=anything, c=anything)
@example(a=np.zeros((0, 3), bool), b=None, c=None)
@example(a=np.zeros((2, 3), bool), b=np.float64(1), c=None)
def test_no_argument_makes_a_function_panic_or_stammer(name, a, b, c):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            CALLS[name](a, b, c)
        except (ValueError, TypeError, IndexError) as error:
            assert SENTENCE.match(str(error)), f"{type(error).__name__}: {error}"  # noqa: PT017


settings_of_any_type = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 4),
    st.sampled_from([2**63, 2**64, -(2**63), 10**400]),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.sampled_from(["mean", "1", b"1", [1], (), {}, {"forget": 1}, object(), slice(None, None, 2), len]),
    st.sampled_from([np.array([0.5, 0.5]), np.array(0.5), np.array([[1]]), torch.tensor(0.5), torch.tensor([1, 2])]),
)


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=40, deadline=None)
@given(value=settings_of_any_type)
def test_no_setting_makes_a_function_panic_or_stammer(name, value):
    call, known = SETTINGS[name]
    for right in known:
        call(right)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(value)
        except (ValueError, TypeError, IndexError) as error:
            assert SENTENCE.match(str(error)), f"{type(error).__name__}: {error}"  # noqa: PT017
