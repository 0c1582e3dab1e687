"""Many models, each trained on a known subset: the store, its estimators, the designs of the subsets."""

from unmemorize.ensemble.designs import balanced, independent
from unmemorize.ensemble.estimators import Memorization, c_score, influence, influence_topk, memorization, reliability
from unmemorize.ensemble.store import Ensemble

__all__ = [
    "Ensemble",
    "Memorization",
    "balanced",
    "c_score",
    "independent",
    "influence",
    "influence_topk",
    "memorization",
    "reliability",
]
