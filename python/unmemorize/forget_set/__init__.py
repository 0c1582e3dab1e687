"""Which examples to forget, in which strata, and how they were chosen: what every method, oracle and audit reads."""

from unmemorize.forget_set.changes import merged, twins, with_twins
from unmemorize.forget_set.choices import ForgetSet
from unmemorize.forget_set.features import entanglement

__all__ = ["ForgetSet", "entanglement", "merged", "twins", "with_twins"]
