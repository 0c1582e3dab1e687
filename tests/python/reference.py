"""The NumPy twin of each kernel: the formula, as plainly as it can be written."""

from fractions import Fraction
from itertools import pairwise

import numpy as np


def strata(score, k):
    """Cut the order by (score, position) into k parts; the last n % k have one more."""
    result = np.empty(len(score), np.int64)
    order = np.argsort(np.asarray(score) + 0.0, kind="stable")
    sizes = [len(score) // k + (j >= k - len(score) % k) for j in range(k)]
    result[order] = np.repeat(np.arange(k), sizes)
    return result


def random_numbers(n, seed, stream=0):
    """SplitMix64 (Steele, Lea & Flood 2014): a hash of the position, another for each stream."""

    def mix(z):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    golden = np.array([0x9E3779B97F4A7C15], np.uint64)
    start = mix(mix(np.array([seed], np.uint64) + golden) ^ np.uint64(stream) * golden)
    return mix(start + np.arange(1, n + 1, dtype=np.uint64) * golden)


def sample(n, size, seed):
    return np.sort(np.argsort(random_numbers(n, seed), kind="stable")[:size])


def random_strata(n, k, seed):
    return strata(np.argsort(np.argsort(random_numbers(n, seed), kind="stable")), k)


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


def permutation_p(x, y, *, ranks, permutations, seed):
    """In exact fractions; permutation p is Fisher & Yates' of y, from its end, with the numbers of stream p."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    a, b = ([Fraction(value) for value in (average_ranks(v) if ranks else v)] for v in (x, y))

    def strength(b):
        return abs(sum(p * q for p, q in zip(a, b, strict=True)) * len(a) - sum(a) * sum(b))

    def shuffled(stream):
        numbers, order = random_numbers(len(b), seed, stream).tolist(), list(b)
        for i in range(len(b) - 1, 0, -1):
            j = numbers[i] * (i + 1) >> 64
            order[i], order[j] = order[j], order[i]
        return order

    return (1 + sum(strength(shuffled(p)) >= strength(b) for p in range(permutations))) / (1 + permutations)


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


def soft_memorization(member, confidence):
    """Welch's difference of means, example by example."""
    found = []
    for inside, p in zip(np.transpose(member), np.transpose(confidence).astype(float), strict=True):
        sides = p[inside], p[~inside]
        with np.errstate(invalid="ignore"):
            means = [side.mean() if len(side) else np.nan for side in sides]
            errors = [side.var(ddof=1) / len(side) if len(side) > 1 else np.nan for side in sides]
        found.append((means[0] - means[1], np.sqrt(errors[0] + errors[1])))
    return np.array(found).T


def c_score(member, correct):
    return _shares(member, correct)[3]


def influence(member, test_correct):
    member, test = np.asarray(member, float), np.asarray(test_correct, float)
    both, n_in = test.T @ member, member.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / n_in - (test.sum(0)[:, None] - both) / (len(member) - n_in)


def influence_std_error(member, test_correct):
    """That of memorization, for every test example in turn."""
    rights = np.asarray(test_correct).T[:, :, None]
    return np.array([memorization(member, np.broadcast_to(right, np.shape(member)))[1] for right in rights])


def influence_topk(member, test_correct, k, by="value"):
    """Ids and values by a full sort: largest first, ties by id, no estimate last."""
    dense = np.round(influence(member, test_correct), 12).astype(np.float32)
    key = np.abs(dense) if by == "magnitude" else dense
    order = np.argsort(np.where(np.isnan(key), np.inf, -key), axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(dense, order, axis=1)
    return np.where(np.isnan(values), -1, order), values


def out_of_sample(member, probs):
    out = ~np.asarray(member)
    with np.errstate(invalid="ignore"):
        return np.einsum("tn,tnc->nc", out, np.asarray(probs, float)) / out.sum(0)[:, None]


def roc(scores, members):
    """False and true positive rates at every distinct score from the highest, and the share of pairs in order."""
    scores, members = np.asarray(scores, float), np.asarray(members)
    cuts = np.unique(scores)[::-1]
    fpr, tpr = ([0.0, *((scores[who] >= cut).mean() for cut in cuts)] for who in (~members, members))
    ours, theirs = scores[members, None], scores[~members]
    return np.array(fpr), np.array(tpr), ((ours > theirs) + (ours == theirs) / 2).mean()


def _log_normal(x, mean, variance):
    return -0.5 * np.log(2 * np.pi * variance) - (x - mean) ** 2 / (2 * variance)


def lira(phi, member, target_phi, variance="pooled", online=True):
    """Ragged sides, as lists; each side its own variance, over the degrees of freedom."""
    phi, n = np.asarray(phi, float), len(target_phi)
    mean, var = np.full((2, n), np.nan), np.full((2, n), np.nan)
    for side in (0, 1):
        lists = [phi[member[:, i] == side, i] for i in range(n)]
        squares = np.array([((x - x.mean()) ** 2).sum() if len(x) else 0.0 for x in lists])
        freedom = np.array([max(len(x) - 1, 0) for x in lists])
        mean[side] = [x.mean() if len(x) else np.nan for x in lists]
        if variance == "pooled":
            squares, freedom = squares.sum(), freedom.sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            var[side] = squares / freedom
    var[~(var > 0)] = np.nan
    if not online:
        return (target_phi - mean[0]) / np.sqrt(var[0])
    return _log_normal(target_phi, mean[1], var[1]) - _log_normal(target_phi, mean[0], var[0])


def u_lira(unlearned_phi, oracle_phi, variance="pooled"):
    """LiRA of each model of each side, fitted to all the others."""
    phi = np.concatenate([unlearned_phi, oracle_phi]).astype(float)
    member = np.repeat(np.arange(len(phi)) < len(unlearned_phi), phi.shape[1]).reshape(phi.shape)
    rest = [np.arange(len(phi)) != t for t in range(len(phi))]
    scores = np.array([lira(phi[r], member[r], x, variance) for r, x in zip(rest, phi, strict=True)])
    return scores[: len(unlearned_phi)], scores[len(unlearned_phi) :]


def rmia(target, reference, population_target, population_reference, gamma, a=None):
    """All pairs."""
    x, z = (
        np.divide(p, q if a is None else ((1 + a) * np.asarray(q) + (1 - a)) / 2)
        for p, q in ((target, reference), (population_target, population_reference))
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return (x[:, None] / z >= gamma).mean(1)


def klom(unlearned_phi, oracle_phi, bins=20, smoothing=1e-5):
    result = []
    for u, o in zip(np.transpose(unlearned_phi), np.transpose(oracle_phi), strict=True):
        both = np.concatenate([u, o]).astype(float)
        p, q = (np.histogram(x, bins, (both.min(), both.max()))[0] / len(x) + smoothing for x in (u, o))
        result.append((p / p.sum() * np.log(p / p.sum() / (q / q.sum()))).sum())
    return np.array(result)


def epsilon(unlearned_phi, oracle_phi, delta):
    result = []
    for u, o in zip(np.transpose(unlearned_phi), np.transpose(oracle_phi), strict=True):
        best = 0.0
        for cut in np.concatenate([u, o]):
            for fnr, fpr in (((u <= cut).mean(), (o > cut).mean()), ((u > cut).mean(), (o <= cut).mean())):
                if fnr == fpr == 0:
                    best = np.inf
                elif fnr and fpr:
                    proofs = [(1 - delta - fpr) / fnr, (1 - delta - fnr) / fpr]
                    best = max([best, *(np.log(proof) for proof in proofs if proof > 0)])
        result.append(best)
    return np.array(result)
