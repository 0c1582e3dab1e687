"""The papers' membership attack: a support vector classifier on the confidence in the true label."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def svc_mia(member_conf: ArrayLike, nonmember_conf: ArrayLike, forget_conf: ArrayLike) -> NDArray[np.bool_]:
    """Which examples of the forget set the attacker calls "non-member".

    The attacker is trained to tell members from non-members: SVC with C = 3, an RBF kernel and gamma = "auto", which is
    1 for this one feature. With one feature many examples look the same: each distinct confidence is trained on once,
    weighted by its count, which is the same problem.

    Args:
        member_conf: softmax probability of the true label, of examples that the model was trained on; best a sample
            from `class_balanced`, as large as the non-members.
        nonmember_conf: the same of examples that it never saw, usually the test set.
        forget_conf: the same of the examples that it was to forget, (k,).

    Returns:
        (k,) bool. Its mean is what the papers call MIA; near that of a retrained model is good.

    Raises:
        ValueError: no confidences, or some outside [0, 1].
        ImportError: scikit-learn is not installed.

    Source: Zhao et al. 2024, arXiv 2406.01257.

    Example:
        >>> svc_mia([0.97, 0.98, 0.99, 1.0], [0.2, 0.4, 0.6, 0.7], [0.1, 0.99]).tolist()
        [True, False]
    """
    member, nonmember = _confidence("member_conf", member_conf), _confidence("nonmember_conf", nonmember_conf)
    forget = _confidence("forget_conf", forget_conf)
    values, counts = zip(*(np.unique(side, return_counts=True) for side in (nonmember, member)), strict=True)
    is_member = np.repeat([0, 1], [len(side) for side in values])
    attacker = _svc()(C=3, kernel="rbf", gamma="auto")
    attacker.fit(np.concatenate(values)[:, None], is_member, sample_weight=np.concatenate(counts).astype(np.float64))
    verdict: NDArray[np.bool_] = attacker.predict(forget[:, None]) == 0
    return verdict


def class_balanced(labels: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Positions of `size` examples at random, as evenly over the classes as their numbers allow, sorted.

    A class with too few examples gives all it has, and the others make up for it.

    Args:
        labels: (n,) classes.
        size: how many, at most n.
        seed: of the draw.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
        >>> labels[class_balanced(labels, 5, seed=0)].tolist()
        [0, 0, 1, 1, 2]
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    ordered = labels[by_class]
    turn = np.arange(len(labels)) - np.searchsorted(ordered, ordered)  # 0 for the first drawn of each class, 1, ...
    chosen: NDArray[np.int64] = np.sort(by_class[np.argsort(turn, kind="stable")[:size]])
    return chosen


def _confidence(name: str, values: ArrayLike) -> NDArray[np.float64]:
    conf = np.asarray(values, dtype=np.float64)
    if conf.ndim != 1 or not len(conf):
        raise ValueError(f"{name}: expected a vector of at least 1 confidence, got shape {conf.shape}")
    wrong = conf[~((conf >= 0) & (conf <= 1))]  # NaN too
    if len(wrong):
        raise ValueError(f"{name}: {len(wrong)} of {len(conf)} are not in [0, 1], the first is {wrong[0]}")
    return conf


def _svc() -> Any:
    try:
        from sklearn.svm import SVC
    except ImportError:
        raise ImportError('the membership attack needs scikit-learn: pip install "unmemorize[cli]"') from None
    return SVC
