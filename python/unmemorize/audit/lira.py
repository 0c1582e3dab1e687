"""Likelihood-ratio attacks: was the example in the training set (LiRA), was it really unlearned (U-LiRA)?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.audit.roc import Roc, roc

Variance = Literal["pooled", "example"]


def lira(
    phi: ArrayLike,
    member: ArrayLike,
    target_phi: ArrayLike,
    *,
    variance: Variance = "pooled",
    online: bool = True,
    n_threads: int | None = None,
) -> NDArray[np.float64]:
    """LiRA of each example against one target model: the higher, the more likely it was trained on the example.

    With φ = ln p[y] - ln(sum of the other p), and a normal distribution of φ for the models trained on the example
    (in) and one for the others (out):

    * online: ``ln N(φ; μ_in, σ_in²) - ln N(φ; μ_out, σ_out²)``;
    * offline: ``(φ - μ_out) / σ_out``, in the order of the paper's ``Pr[Z ≤ φ]`` but without rounding to 1 far out.

    μ is the mean of all models of a side, however many the other side has. σ² has the degrees of freedom below it:

    * "pooled": one for each side, from the distances of its φ to their own example's mean; for few models;
    * "example": each example's own; for many models.

    Args:
        phi: (T, n) float16, bfloat16, float32 or float64: φ of T models on n examples.
        member: bool (T, n): whether model t was trained on example i.
        target_phi: (n,): φ of the model under attack, which is none of the T.
        variance: "pooled" or "example".
        online: whether to use the in-models.
        n_threads: None: all that the process may use.

    Returns:
        float64 (n,). NaN where a side that is needed has no model, and with "example" where it has one model only or
        all say the same. O(n) memory beside the inputs.

    Raises:
        ValueError: shapes that do not match; a φ that is not finite; a pooled variance of 0.
        TypeError: a type that is not named above.

    Source: Carlini et al. 2022, arXiv 2112.03570.

    Example:
        >>> phi = [[3.0, 0.5], [4.0, 0.0], [0.0, 3.0], [1.0, 4.5]]
        >>> member = [[True, False], [True, False], [False, True], [False, True]]
        >>> lira(phi, member, [3.5, 0.0]).round(2).tolist()
        [13.92, -9.03]
    """
    target = _arrays.logits(target_phi, "target_phi", "(n,)")[None, :]
    matrix, inside = _arrays.logits(phi, "phi", "(T, n)"), _arrays.matrix_bool(member, "member")
    options = _pooled(variance), _arrays.flag(online, "online"), _arrays.threads(n_threads)
    return _core.lira(matrix, inside, target, *options)


@dataclass(frozen=True, eq=False)
class ULira:
    """What U-LiRA says of every model, each judged by Gaussians that were fitted without it.

    Attributes:
        unlearned: float64 (U, n), of the models that unlearned; NaN where a model does not count.
        oracle: float64 (O, n), of the models that never saw the example.
    """

    unlearned: NDArray[np.float64]
    oracle: NDArray[np.float64]

    def roc(self) -> Roc:
        """The attack over all models and examples that have a score; an AUC of 0.5: nothing left to find."""
        scores = np.concatenate([self.unlearned.ravel(), self.oracle.ravel()])
        members = np.arange(scores.size) < self.unlearned.size
        known = ~np.isnan(scores)
        return roc(scores[known], members[known])


def u_lira(
    unlearned_phi: ArrayLike,
    oracle_phi: ArrayLike,
    *,
    unlearned: ArrayLike | None = None,
    never: ArrayLike | None = None,
    variance: Variance = "pooled",
    n_threads: int | None = None,
) -> ULira:
    """U-LiRA: tells models that unlearned an example from models that never saw it.

    The score of a model is ``ln N(φ; μ_in, σ_in²) - ln N(φ; μ_out, σ_out²)`` as in `lira`, with *in* for the models
    that unlearned the example and *out* for those that never saw it. The Gaussians of a model's own side leave it out,
    so no model is judged by itself.

    Args:
        unlearned_phi: (U, n) float16, bfloat16, float32 or float64: φ = ln p[y] - ln(sum of the other p) of U models
            after unlearning; not 0/1 correctness, which has no such distribution.
        oracle_phi: (O, n): φ of O models that were trained without the examples.
        unlearned: bool (U, n): which models unlearned which example; None: all did.
        never: bool (O, n): which models never saw which example; None: none did see any.
        variance: "pooled" or "example", as in `lira`.
        n_threads: None: all that the process may use.

    Returns:
        The scores of both sides. NaN as in `lira`, and where a model does not count. 8 bytes a φ of memory.

    Raises:
        ValueError: shapes that do not match; a φ that is not finite; a pooled variance of 0.
        TypeError: a type that is not named above.

    Source: Hayes et al. 2024, arXiv 2403.01218; Kurmanji et al. 2023, arXiv 2302.09880.

    Example:
        >>> found = u_lira([[2.0], [3.0], [4.0]], [[-1.0], [0.0], [1.0]])
        >>> found.roc().auc
        1.0
    """
    sides = _arrays.logits(unlearned_phi, "unlearned_phi", "(U, n)"), _arrays.logits(oracle_phi, "oracle_phi", "(O, n)")
    did = None if unlearned is None else _arrays.matrix_bool(unlearned, "unlearned", "(U, n)")
    out = None if never is None else _arrays.matrix_bool(never, "never", "(O, n)")
    return ULira(*_core.u_lira(*sides, did, out, _pooled(variance), _arrays.threads(n_threads)))


def _pooled(variance: str) -> bool:
    return _arrays.choice(variance, "variance", ("pooled", "example")) == "pooled"
