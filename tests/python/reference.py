"""The NumPy twin of each kernel: the formula, as plainly as it can be written."""

import numpy as np


def strata(score, k):
    """Cut the order by (score, position) into k parts; the last n % k have one more."""
    result = np.empty(len(score), np.int64)
    order = np.argsort(np.asarray(score) + 0.0, kind="stable")
    sizes = [len(score) // k + (j >= k - len(score) % k) for j in range(k)]
    result[order] = np.repeat(np.arange(k), sizes)
    return result


def average_ranks(x):
    x = np.asarray(x)
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def pearson(x, y):
    return np.corrcoef(x, y)[0, 1] if np.ptp(x) and np.ptp(y) else np.nan


def spearman(x, y):
    return pearson(average_ranks(x), average_ranks(y))


def kendall(x, y):
    """Tau-b over all ordered pairs."""
    a, b = (np.sign(np.subtract.outer(v, v)) for v in (x, y))
    free = np.sqrt((a**2).sum() * (b**2).sum())
    return (a * b).sum() / free if free else np.nan


def bootstrap(statistic, counts, *columns, level):
    """Percentile interval of a statistic of columns, given how often each row is drawn in each resample."""
    values = np.array([statistic(*(np.repeat(c, drawn) for c in columns)) for drawn in counts])
    return np.quantile(values[~np.isnan(values)], [(1 - level) / 2, (1 + level) / 2])
