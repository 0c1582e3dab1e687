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
