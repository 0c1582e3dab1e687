"""Many models, each trained on a known subset: the store, its estimators, the designs of the subsets."""

from unmemorize.ensemble.designs import DESIGNS, balanced, independent
from unmemorize.ensemble.entry import Entry
from unmemorize.ensemble.estimators import Memorization, c_score, influence, influence_topk, memorization, reliability
from unmemorize.ensemble.queries import Ensemble
from unmemorize.ensemble.store import Store, Verified

__all__ = [
    "DESIGNS",
    "Ensemble",
    "Entry",
    "Memorization",
    "Store",
    "Verified",
    "balanced",
    "c_score",
    "independent",
    "influence",
    "influence_topk",
    "memorization",
    "reliability",
]
