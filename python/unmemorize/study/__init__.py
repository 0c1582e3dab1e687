"""Which proxy to trust: every proxy of several training runs against exact scores, with intervals and costs."""

from unmemorize.study.agreement import STRATA_SHARE, Agreement, Correlation, agree, reference
from unmemorize.study.combine import Gain, gain
from unmemorize.study.compare import Price, Row, Study, compare
from unmemorize.study.runs import WHOLE, read, stops

__all__ = [
    "STRATA_SHARE",
    "WHOLE",
    "Agreement",
    "Correlation",
    "Gain",
    "Price",
    "Row",
    "Study",
    "agree",
    "compare",
    "gain",
    "read",
    "reference",
    "stops",
]
