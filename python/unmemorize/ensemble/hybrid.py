"""Memorization from few models: their log-odds, and the learning events that each of them recorded anyway."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays
from unmemorize.ensemble import margins
from unmemorize.ensemble.estimators import Memorization
from unmemorize.ensemble.margins import Chance, Observed, Scale
from unmemorize.ensemble.queries import Ensemble
from unmemorize.partition import argsort
from unmemorize.stats import average_ranks

Vector = NDArray[np.float64]
Proxies = Mapping[str, ArrayLike]
_RARE = 1e-6  # of a class that no model names

WIDER = 1.1  # standard errors, for what the Gaussians miss: 95% intervals then held on images kept for tuning


def hybrid_memorization(ensemble: Ensemble, proxies: Proxies | None = None) -> Memorization:
    """Memorization of each training example from few models: P[correct | in] - P[correct | not in].

    The margin model (see `unmemorize.ensemble.margins`) of the models that were trained on an example and of those that
    were not. Features of both are the ranks of the proxies; of the models out, also mean and spread of the log-odds
    of the models in.

    Args:
        ensemble: A store whose reference models hold ``phi``; 2 models at least, balanced ones serve best.
        proxies: By name, real numbers (n,) that tell of memorization, in either direction. None: those of the learning
            events in the store (`event_proxies`); none if it holds none. An empty table: the models alone.

    Returns:
        The scores, an estimate for every example, and their standard errors: an interval of ± 1.96 of them holds the
        truth in about 95 of 100 examples. n_in and n_out are what the score is from; where one is 0, it is from the
        other examples alone. Memory O(T n) times 2 bytes.

    Raises:
        ValueError: A model holds no log-odds, all or none were trained on everything, proxies have another length or
            hold NaN.
        TypeError: Proxies are not real numbers.

    Source:
        This project. Shrinkage to a regression: Fay & Herriot 1979; scales by their shares: Stephens 2017.

    Example:
        >>> import tempfile
        >>> from unmemorize.ensemble import balanced
        >>> random, hard = np.random.default_rng(0), np.arange(200) < 20
        >>> store = Ensemble.create(tempfile.mkdtemp() + "/store", n_train=200, n_test=1)
        >>> for t, member in enumerate(balanced(200, 10)):
        ...     phi = np.where(hard & ~member, -4, 4) + random.normal(0, 1, 200)
        ...     entry_id = store.append(member, phi > 0, np.array([True]), phi=phi, key=str(t))
        >>> found = hybrid_memorization(store)
        >>> found.score[hard].min() > 0.9, found.score[~hard].max() < 0.1
        (np.True_, np.True_)
    """
    answers = _Answers.of(ensemble, proxies)
    inside, outside = answers.right(True), answers.right(False)
    return Memorization(
        inside.value - outside.value, np.hypot(inside.std_error, outside.std_error), inside.models, outside.models
    )


def hybrid_c_score(ensemble: Ensemble, proxies: Proxies | None = None) -> Chance:
    """The C-score of each training example, P[correct | not in], with its standard error; as `hybrid_memorization`."""
    return _Answers.of(ensemble, proxies).right(False)


def hybrid_confidence(ensemble: Ensemble, proxies: Proxies | None = None) -> Vector:
    """The softmax probability of its label that a model is expected to give an example that it has not seen: (n,).

    Where every model saw the example, other examples tell. Arguments and errors as of `hybrid_memorization`.
    """
    answers = _Answers.of(ensemble, proxies)
    return margins.confident(*answers.fitted(False), answers.scale(False))


def hybrid_softmax(
    ensemble: Ensemble, labels: ArrayLike, ids: ArrayLike, proxies: Proxies | None = None
) -> NDArray[np.float64]:
    """The softmax that a model is expected to give examples that it has not seen: (k, C), from few models.

    `hybrid_confidence` is the probability of the label. The other classes share the rest as the models out have it, or
    the models in where every model saw the example.

    Args:
        ensemble: As of `hybrid_memorization`, and its models hold ``probs``.
        labels: (k,) of the examples.
        ids: (k,) their rows.
        proxies: As of `hybrid_memorization`.

    Raises:
        ValueError: As of `hybrid_memorization` and of `Ensemble.out_of_sample`; labels that do not match.
    """
    rows, y = _arrays.integers(ids, "ids", "(k,)"), _arrays.integers(labels, "labels", "(k,)")
    own = hybrid_confidence(ensemble, proxies)[rows]
    shares = ensemble.out_of_sample(rows)
    if len(y) != len(rows):
        raise ValueError(f"labels: expected {len(rows)} values to match ids, got {len(y)}")
    if len(y) and not (y.min() >= 0 and y.max() < shares.shape[1]):
        raise ValueError(f"labels: expected 0 to {shares.shape[1] - 1}, got {y.min()} to {y.max()}")
    seen = np.isnan(shares).any(axis=1)
    models = [entry for entry in ensemble.entries("reference") if "probs" in entry.arrays]
    shares[seen] = sum(entry.array("probs")[rows[seen]].astype(np.float64) for entry in models) + _RARE
    at = np.arange(len(rows)), y
    shares[at] = 0.0
    shares = (shares + _RARE) / (shares + _RARE).sum(axis=1, keepdims=True)
    shares *= ((1 - own) / (1 - shares[at]))[:, None]
    shares[at] = own
    return shares  # type: ignore[no-any-return]


def event_proxies(ensemble: Ensemble) -> dict[str, Vector]:
    """The proxies that the learning events in a store give, to be handed on with others.

    Returns:
        By name, (n,) in [-1, 1]: the rank of the mean over the reference models of its rank among the examples that
        they saw; 0, the middle, where none did. Empty if the store holds no learning events.

    Example:
        ``hybrid_memorization(store, {**event_proxies(store), "images": proxies.leave_one_out(data.train, ctx)})``
    """
    n = ensemble.header.n_train
    sums: dict[str, Vector] = {}
    counts: dict[str, Vector] = {}
    for entry in ensemble.entries("reference"):
        events = entry.events
        for name, values in ({} if events is None else events.proxies()).items():
            known = ~np.isnan(values)
            sums[name] = sums.get(name, np.zeros(n)) + _ranks(values, known)
            counts[name] = counts.get(name, np.zeros(n)) + known
    return {name: _ranks(sums[name] / np.maximum(counts[name], 1), counts[name] > 0) for name in sums}


def undecided(scores: Memorization, cuts: ArrayLike, *, level: float = 0.95) -> NDArray[np.int64]:
    """Which examples still need models: their interval reaches across a cut between strata.

    Args:
        scores: Of a few models, for instance `hybrid_memorization`.
        cuts: (k,) scores at which strata meet; ``np.quantile(scores.score, [1/3, 2/3])`` for three equal ones.
        level: Of the interval, above 0 and below 1.

    Returns:
        Their ids, the least decided first: what to leave out of the next models, as in
        ``targeted(n, models, ids=np.sort(undecided(...)))``. An example without an estimate comes first of all.

    Raises:
        ValueError: The level is out of range, or a cut is NaN.

    Example:
        >>> n = np.array([3, 3, 3])
        >>> undecided(Memorization(np.array([0.1, 0.5, 0.45]), np.array([0.01, 0.01, 0.2]), n, n), [0.4])
        array([2])
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share above 0 and below 1, got {level}")
    at = _arrays.vector_f64(cuts, "cuts", "(k,)")
    if unknown := int(np.isnan(at).sum()):
        raise ValueError(f"cuts: {unknown} of {len(at)} are NaN")
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(scores.score[:, None] - at).min(axis=1, initial=np.inf) / scores.std_error
    distance[np.isnan(distance)] = 0.0
    order = argsort(distance)
    narrow: NDArray[np.int64] = order[distance[order] < NormalDist().inv_cdf(0.5 + level / 2)]
    return narrow


@dataclass(frozen=True)
class _Answers:
    """What the models say, (T, n) each, and the ranks of the proxies in [-1, 1]."""

    member: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    phi: NDArray[np.float16]
    features: list[Vector]

    @classmethod
    def of(cls, ensemble: Ensemble, proxies: Proxies | None) -> "_Answers":
        models = ensemble.entries("reference")
        if len(models) < 2:
            raise ValueError(f"{ensemble.path}: holds {len(models)} reference models; expected at least 2")
        without = [entry.id for entry in models if "phi" not in entry.arrays]
        if without:
            raise ValueError(
                f"{ensemble.path}: {len(without)} of {len(models)} reference models hold no log-odds (the first is "
                f"{without[0]}); append them with phi="
            )
        n = ensemble.header.n_train
        features = list(event_proxies(ensemble).values()) if proxies is None else _given(proxies, n)
        member, correct = ensemble.member, np.stack([entry.correct for entry in models])
        if member.all() or not member.any():
            raise ValueError(f"{ensemble.path}: all models were trained on all examples, or none; vary their subsets")
        return cls(member, correct, np.stack([entry.array("phi") for entry in models]), features)

    def scale(self, member: bool) -> Scale:
        return Scale.of(self.phi, self.correct, self.member == member)

    def seen(self, member: bool) -> Observed:
        return Observed.of(self.scale(member)(self.phi), self.member == member)

    def fitted(self, member: bool) -> tuple[Observed, margins.Prior]:
        seen, features = self.seen(member), self.features
        if not member:
            inside = self.seen(True)
            spread = inside.squares / np.maximum(inside.freedom, 1)
            features = [*features, _ranks(inside.mean, inside.some), _ranks(spread, inside.freedom > 0)]
        return seen, margins.fit(seen, features)

    def right(self, member: bool) -> Chance:
        found = margins.right(*self.fitted(member))
        most = np.sqrt(found.value * (1 - found.value))  # the spread of a coin of which nothing else is known
        return replace(found, std_error=np.minimum(WIDER * found.std_error, most))


def _ranks(values: Vector, known: NDArray[np.bool_]) -> Vector:
    """In [-1, 1], equal values sharing the mean of theirs; 0, the middle, where they are not known."""
    ranks = np.zeros(len(values))
    if known.any():
        ranks[known] = (2 * average_ranks(values[known]) - 1) / known.sum() - 1
    return ranks


def _given(proxies: Proxies, n: int) -> list[Vector]:
    features = []
    for name, values in proxies.items():
        array = _arrays.vector_f64(values, f"proxies[{name!r}]")
        if len(array) != n:
            raise ValueError(f"proxies[{name!r}]: expected {n} values to match the store, got {len(array)}")
        if unknown := int(np.isnan(array).sum()):
            raise ValueError(f"proxies[{name!r}]: {unknown} of {n} are NaN; leave this proxy out, or fill them")
        features.append(_ranks(array, np.ones(n, np.bool_)))
    return features
