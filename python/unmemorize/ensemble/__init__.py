"""Many models, each trained on a known subset: the store, its estimators, the designs of the subsets."""

from unmemorize.ensemble.design import Design
from unmemorize.ensemble.designs import (
    DESIGNS,
    balanced,
    independent,
    leave_out,
    likely_memorized,
    pairs,
    targeted,
)
from unmemorize.ensemble.entry import Entry
from unmemorize.ensemble.estimators import (
    Memorization,
    c_score,
    memorization,
    reliability,
    soft_memorization,
)
from unmemorize.ensemble.exchange import export_models, import_models
from unmemorize.ensemble.hybrid import (
    event_proxies,
    hybrid_c_score,
    hybrid_confidence,
    hybrid_memorization,
    hybrid_softmax,
    undecided,
)
from unmemorize.ensemble.influences import influence, influence_std_error, influence_topk
from unmemorize.ensemble.margins import Chance
from unmemorize.ensemble.published import published_memorization
from unmemorize.ensemble.purge import Purge
from unmemorize.ensemble.queries import Ensemble
from unmemorize.ensemble.store import Store, Verified

__all__ = [
    "DESIGNS",
    "Chance",
    "Design",
    "Ensemble",
    "Entry",
    "Memorization",
    "Purge",
    "Store",
    "Verified",
    "balanced",
    "c_score",
    "event_proxies",
    "export_models",
    "hybrid_c_score",
    "hybrid_confidence",
    "hybrid_memorization",
    "hybrid_softmax",
    "import_models",
    "independent",
    "influence",
    "influence_std_error",
    "influence_topk",
    "leave_out",
    "likely_memorized",
    "memorization",
    "pairs",
    "published_memorization",
    "reliability",
    "soft_memorization",
    "targeted",
    "undecided",
]
