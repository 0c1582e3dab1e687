"""RMIA: is the example's confidence higher than it should be, compared with that of others?"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core

_EXAMPLES = 8  # that are looked up while other kernels work on one value


def rmia(
    target: ArrayLike,
    reference: ArrayLike,
    population_target: ArrayLike,
    population_reference: ArrayLike,
    *,
    gamma: float = 2.0,
    a: float | None = None,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """RMIA of each example x: the share of a population z with ``LR(x) / LR(z) >= γ``, where ``LR = p(target) / p``.

    Online (``a=None``), p is the reference as given: the mean over as many models that were trained on the example as
    that were not. Offline, the reference is the mean over models that were not trained on it, and
    ``p = ½ ((1 + a) reference + 1 - a)``, of examples and population alike.

    Args:
        target: (n,) probabilities of the true label by the model under attack, in [0, 1].
        reference: (n,) mean of those by the reference models, in [2.2e-308, 1]; of an ensemble's out-models it is
            ``ensemble.out_of_sample(ids)`` at the labels.
        population_target: (N,) as ``target``, of examples from the same distribution, usually the test set.
        population_reference: (N,) as ``reference``.
        gamma: a normal number above 0; larger: fewer false alarms at the top.
        a: in [0, 1], tuned on a held-out reference model; published for CIFAR-10: 0.3. None: online.
        n_threads: None: all that the process may use.

    Returns:
        float64 (n,), multiples of 1/N in [0, 1]: exactly what all n x N pairs give, by one sort and a search in
        one of its cells each. O(n + N) memory.

    Raises:
        ValueError: different lengths, no population, values that are no probabilities, γ or a out of range.
        TypeError: not real numbers.

    Source: Zarifzadeh et al. 2024, arXiv 2312.03262.

    Example:
        >>> rmia([0.9, 0.5], [0.3, 0.5], [0.6, 0.2], [0.5, 0.4]).tolist()
        [1.0, 0.5]
    """
    gamma = _arrays.number(gamma, "gamma")
    if not np.finfo(np.float64).tiny <= gamma < np.inf:
        raise ValueError(f"gamma: expected a number from 2.2e-308 on, got {gamma}")
    a = None if a is None else _arrays.share(a, "a")
    examples = _arrays.scores(target, "target"), _arrays.scores(reference, "reference")
    population = (
        _arrays.scores(population_target, "population_target", "(N,)"),
        _arrays.scores(population_reference, "population_reference", "(N,)"),
    )
    work = (len(examples[0]) + len(population[0])) // _EXAMPLES
    return _core.rmia(*examples, *population, gamma, a, _arrays.threads(n_threads, work))
