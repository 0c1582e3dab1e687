"""The NumPy twin of each kernel: the formula, as plainly as it can be written."""

from itertools import pairwise

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


def outcomes(logits, labels):
    """What one row of logits says about its label: a dict of arrays."""
    z, rows = np.asarray(logits, np.float64), np.arange(len(labels))
    shifted = z - z.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    p = np.exp(log_p)
    others = z.copy()
    others[rows, labels] = -np.inf
    onehot = np.eye(z.shape[1])[labels]
    return {
        "confidence": p[rows, labels],
        "max_confidence": p.max(1),
        "entropy": -np.where(p > 0, p * log_p, 0).sum(1),
        "accuracy": (z.argmax(1) == labels).astype(float),
        "loss": -log_p[rows, labels],
        "margin": z[rows, labels] - others.max(1),
        "el2n": np.sqrt(((p - onehot) ** 2).sum(1)),
    }


def learning_events(n, batches):
    """Means over the sights of each example; batches: (ids, logits, labels), one sight a row."""
    sights = [[] for _ in range(n)]
    for ids, logits, labels in batches:
        found = outcomes(logits, labels)
        for row, i in enumerate(ids):
            sights[i].append({name: values[row] for name, values in found.items()})
    scores = {}
    for name in ("confidence", "max_confidence", "entropy", "accuracy", "loss", "margin", "el2n"):
        scores[name] = np.array([np.mean([s[name] for s in seen]) if seen else np.nan for seen in sights])
    scores["variability"] = np.array([np.std([s["confidence"] for s in seen]) if seen else np.nan for seen in sights])
    right = [[bool(s["accuracy"]) for s in seen] for seen in sights]
    flips = [sum(a and not b for a, b in pairwise(r)) for r in right]
    never = [np.inf if r else np.nan for r in right]
    scores["forgetting_events"] = np.array([f if any(r) else e for f, r, e in zip(flips, right, never, strict=True)])
    scores["first_learned"] = np.array([r.index(True) if any(r) else e for r, e in zip(right, never, strict=True)])
    return scores


def _shares(member, correct):
    """Models in, right share among them, models out, right share among them."""
    member, correct = np.asarray(member, float), np.asarray(correct, float)
    n_in, n_out = member.sum(0), (1 - member).sum(0)
    with np.errstate(invalid="ignore"):
        return n_in, (member * correct).sum(0) / n_in, n_out, ((1 - member) * correct).sum(0) / n_out


def memorization(member, correct):
    """Score and standard error."""
    n_in, p_in, n_out, p_out = _shares(member, correct)
    q_in, q_out = ((p * n + 0.5) / (n + 1) for p, n in ((p_in, n_in), (p_out, n_out)))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(q_in * (1 - q_in) / n_in + q_out * (1 - q_out) / n_out)
    return p_in - p_out, np.where(np.isnan(p_in - p_out), np.nan, error)


def c_score(member, correct):
    return _shares(member, correct)[3]


def influence(member, test_correct):
    member, test = np.asarray(member, float), np.asarray(test_correct, float)
    both, n_in = test.T @ member, member.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / n_in - (test.sum(0)[:, None] - both) / (len(member) - n_in)


def influence_topk(member, test_correct, k):
    """Ids and values by a full sort: largest first, ties by id, no estimate last."""
    dense = np.round(influence(member, test_correct), 12).astype(np.float32)
    order = np.argsort(np.where(np.isnan(dense), np.inf, -dense), axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(dense, order, axis=1)
    return np.where(np.isnan(values), -1, order), values


def out_of_sample(member, probs):
    out = ~np.asarray(member)
    with np.errstate(invalid="ignore"):
        return np.einsum("tn,tnc->nc", out, np.asarray(probs, float)) / out.sum(0)[:, None]
