"""Correlations, means and shares with their intervals: every number that is reported carries one, and its n."""

from unmemorize.stats.correlations import (
    average_ranks,
    kendall,
    pearson,
    permutation_p,
    spearman,
    spearman_columns,
)
from unmemorize.stats.estimate import Estimate
from unmemorize.stats.intervals import (
    bootstrap_interval,
    bootstrap_options,
    proportion_interval,
    t_interval,
    t_quantile,
)

__all__ = [
    "Estimate",
    "average_ranks",
    "bootstrap_interval",
    "bootstrap_options",
    "kendall",
    "pearson",
    "permutation_p",
    "proportion_interval",
    "spearman",
    "spearman_columns",
    "t_interval",
    "t_quantile",
]
