"""Several proxies in one: monotone, and judged on examples that it was not fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unmemorize import stats
from unmemorize.stats import Estimate

Vector = NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True)
class Gain:
    """What combining brings over the best single proxy: Spearman's correlations with the score, out of sample."""

    combined: Estimate  # mean over the runs, Student's interval
    single: Estimate  # the proxy that was best on the other folds
    difference: Estimate  # combined - single, paired, over the runs
    difference_examples: Estimate  # the same mean, bootstrap over the examples
    chosen: str  # the proxy that was best in most folds


def gain(
    target: Vector, runs: Sequence[Mapping[str, Vector]], *, resamples: int = 1000, folds: int = FOLDS, seed: int = 0
) -> Gain:
    """Combine the proxies of each run and compare with the best of them, which is chosen on the same folds.

    Args:
        target: (n,), higher = more memorized; NaN: the example is left out.
        runs: for each run its proxies (n,), oriented as `target`.
        resamples: of the bootstrap over examples.
        folds: an example is predicted from the others' folds.
        seed: of the folds and the resamples.

    Raises:
        ImportError: scikit-learn is missing.
    """
    known = ~np.isnan(target)
    score = target[known]
    fold = np.random.default_rng(seed).permutation(len(score)) % folds
    both, chosen = [], []
    for run in runs:
        ranks = {name: stats.average_ranks(column[known]) / len(score) for name, column in run.items()}
        single, names = _best(ranks, score, fold)
        both.append((cross_fitted(np.stack(list(ranks.values()), axis=1), score, fold), single))
        chosen += names

    def differences(rows: Vector) -> list[float]:
        at = rows.astype(np.int64)
        return [_spearman(combined[at], score[at]) - _spearman(single[at], score[at]) for combined, single in both]

    rows = np.arange(len(score), dtype=np.float64)
    return Gain(
        stats.t_interval([_spearman(combined, score) for combined, _ in both]),
        stats.t_interval([_spearman(single, score) for _, single in both]),
        stats.t_interval(differences(rows)),
        stats.bootstrap_interval(
            rows, lambda drawn: float(np.mean(differences(drawn))), resamples=resamples, seed=seed
        ),
        max(dict.fromkeys(chosen), key=chosen.count),
    )


def cross_fitted(features: Vector, target: Vector, fold: NDArray[np.int64]) -> Vector:
    """Predictions (n,) of `target` by boosted trees that rise with every feature, each from the other folds.

    Args:
        features: (n, k).
        target: (n,).
        fold: int (n,): which fold an example is in.

    Raises:
        ImportError: scikit-learn is missing.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits  # comes with scikit-learn
    except ModuleNotFoundError as error:
        raise ImportError('combining proxies needs scikit-learn: pip install "unmemorize[cli]"') from error
    predicted = np.empty(len(target))
    rising = HistGradientBoostingRegressor(
        monotonic_cst=[1] * features.shape[1], max_iter=60, learning_rate=0.1, max_leaf_nodes=15, random_state=0
    )
    with threadpool_limits(1):  # it is too little work for several
        for k in np.unique(fold):
            rising.fit(features[fold != k], target[fold != k])
            predicted[fold == k] = rising.predict(features[fold == k])
    return predicted


def _best(proxies: Mapping[str, Vector], score: Vector, fold: NDArray[np.int64]) -> tuple[Vector, list[str]]:
    """For each fold the proxy with the highest correlation on the others: its values (n,), and its name by fold."""
    values, names = np.empty(len(score)), []
    for k in np.unique(fold):
        rest = fold != k
        name = max(proxies, key=lambda name: _spearman(proxies[name][rest], score[rest]))
        values[~rest] = proxies[name][~rest]
        names.append(name)
    return values, names


def _spearman(x: Vector, y: Vector) -> float:
    return stats.spearman(x, y, resamples=0, n_threads=1).value
