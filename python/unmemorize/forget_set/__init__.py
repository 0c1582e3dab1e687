"""Which examples to forget, in which strata, and how they were chosen: what every method, oracle and audit reads."""

from unmemorize.forget_set.features import entanglement
from unmemorize.forget_set.record import ForgetSet

__all__ = ["ForgetSet", "entanglement"]
