"""How well scores tell members from others: the ROC curve with its intervals."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays, _core
from unmemorize.stats import Estimate, bootstrap_options, proportion_interval

Vector = NDArray[np.float64]
Method = Literal["bootstrap", "clopper-pearson"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """The rates of some thresholds of an attack, each with its interval.

    Attributes:
        thresholds: float64 (k,).
        tpr: float64 (k,), share of the members whose score is at least the threshold.
        tpr_low: lower ends.
        tpr_high: upper ends.
        fpr: float64 (k,), share of the others.
        fpr_low: lower ends.
        fpr_high: upper ends.
    """

    thresholds: Vector
    tpr: Vector
    tpr_low: Vector
    tpr_high: Vector
    fpr: Vector
    fpr_low: Vector
    fpr_high: Vector


@dataclass(frozen=True, eq=False)
class Roc:
    """The curve of an attack that calls an example "member" if its score is at least a threshold.

    Attributes:
        fpr: float64 (k,), share of the non-members that are called members; ascending from 0 to 1.
        tpr: float64 (k,), share of the members that are.
        thresholds: float64 (k,), descending from infinity: every distinct score.
        auc: area under the curve: the probability that a member scores higher than another, ties counting half.
        n_members: number of members.
        n_others: number of non-members.
    """

    fpr: Vector = field(repr=False)
    tpr: Vector = field(repr=False)
    thresholds: Vector = field(repr=False)
    auc: float
    n_members: int
    n_others: int
    _sorted: _core.Roc = field(repr=False)

    def tpr_at(self, fpr: float) -> float:
        """The largest true positive rate of a threshold whose false positive rate is at most ``fpr``.

        It is a point of the curve, not one between two thresholds; 0 if already the highest score is a non-member's.

        Raises:
            ValueError: fpr outside [0, 1].
        """
        fpr = _arrays.share(fpr, "fpr")
        return float(self.tpr[np.searchsorted(self.fpr, fpr, side="right") - 1])

    def auc_interval(
        self, *, level: float = 0.95, resamples: int = 1000, seed: int = 0, n_threads: int | None = None
    ) -> Estimate:
        """The area with its bootstrap percentile interval over the examples.

        Resamples are counts over the scores as they were sorted once: O(n) time each. Those without members, or with
        nothing else, are left out. The same seed gives the same bits for any number of threads, and the same resamples
        for every score of the same examples.

        Args:
            level: of the interval, in (0, 1).
            resamples: of the bootstrap; 0: no interval.
            seed: of the resamples.
            n_threads: None: all that the process may use.

        Raises:
            ValueError: an argument out of range.
        """
        options = bootstrap_options(level, resamples, seed, n_threads)
        return Estimate(*self._sorted.auc(options), self.n_members + self.n_others)

    def tpr_interval(
        self,
        fpr: float,
        method: Method = "bootstrap",
        *,
        level: float = 0.95,
        resamples: int = 1000,
        seed: int = 0,
        n_threads: int | None = None,
    ) -> Estimate:
        """`tpr_at` with an interval.

        Args:
            fpr: in [0, 1].
            method: "bootstrap" over all examples, which moves the threshold too; "clopper-pearson" takes the threshold
                as given and is exact over the members, also where few of them are found.
            level: of the interval, in (0, 1).
            resamples: of the bootstrap; 0: no interval.
            seed: of the resamples.
            n_threads: None: all that the process may use.

        Raises:
            ValueError: an argument out of range.
        """
        value = self.tpr_at(fpr)
        if _exact(method):
            return proportion_interval(round(value * self.n_members), self.n_members, level)
        options = bootstrap_options(level, resamples, seed, n_threads)
        return Estimate(*self._sorted.tpr_at(fpr, options), self.n_members + self.n_others)

    def sweep(
        self,
        thresholds: ArrayLike | None = None,
        method: Method = "clopper-pearson",
        *,
        level: float = 0.95,
        together: bool = False,
        resamples: int = 1000,
        seed: int = 0,
        n_threads: int | None = None,
    ) -> Sweep:
        """Both rates of every threshold, with intervals.

        Args:
            thresholds: (k,) real numbers in any order; None: every distinct score, descending.
            method: "clopper-pearson", exact over the members and over the others; or "bootstrap" over all examples.
            level: of each interval, in (0, 1).
            together: whether all 2k exact intervals are to hold at once with that level (Bonferroni), so that a
                threshold may be picked after having looked at all of them.
            resamples: of the bootstrap, which takes 16 bytes for each of them and each threshold.
            seed: of the resamples.
            n_threads: None: all that the process may use.

        Raises:
            ValueError: NaN, an argument out of range, bootstrap intervals that are to hold together.
        """
        at = self.thresholds[1:] if thresholds is None else _arrays.vector_f64(thresholds, "thresholds", "(k,)")
        exact = _exact(method)
        if _arrays.flag(together, "together") and not exact:
            raise ValueError("together: expected method='clopper-pearson', got 'bootstrap'")
        options = bootstrap_options(level, 0 if exact else resamples, seed, n_threads)
        rates = np.stack(self._sorted.sweep(at, options)).reshape(3, -1, 2)  # value, low, high of each threshold
        if exact:
            each = 1 - (1 - level) / max(2 * len(at), 1) if together else level
            for side, n in enumerate((self.n_members, self.n_others)):
                counts = np.rint(rates[0, :, side] * n).astype(np.int64)
                rates[1:, :, side] = _core.clopper_pearson(counts, n, each, options[-1])
        return Sweep(at, *rates[:, :, 0], *rates[:, :, 1])

    def epsilon(self, *, delta: float = 1e-5, level: float = 0.95, n_threads: int | None = None) -> Estimate:
        """The ε of the best threshold, and the ε that is proven although the best was searched for.

        The larger of ``ln((1 - δ - FPR) / FNR)`` and ``ln((1 - δ - FNR) / FPR)``, of the attacks that call a score a
        member's if it is at least a threshold, or if it is below it. The value takes the rates as they were seen, as
        `audit.epsilon` does. The lower end takes the worse end of each rate in a `sweep` whose intervals hold together.

        Args:
            delta: δ, in [0, 1).
            level: with which the lower end holds, in (0, 1). There is no upper end: another attack may be better.
            n_threads: None: all that the process may use.

        Raises:
            ValueError: δ or the level out of range.
        """
        delta = _arrays.share(delta, "delta", "[)")
        sweep = self.sweep(level=level, together=True, n_threads=n_threads)
        seen = (_proven(*rates, delta) for rates in ((sweep.tpr, sweep.fpr), (1 - sweep.tpr, 1 - sweep.fpr)))
        sure = (
            _proven(*rates, delta)
            for rates in ((sweep.tpr_low, sweep.fpr_high), (1 - sweep.tpr_high, 1 - sweep.fpr_low))
        )
        return Estimate(max(seen), max(sure), math.inf, self.n_members + self.n_others)


def roc(scores: ArrayLike, members: ArrayLike, *, n_threads: int | None = None) -> Roc:
    """The ROC curve of an attack.

    Args:
        scores: (n,) real numbers, higher = more likely a member; infinite ones are ordered like others.
        members: bool (n,), who is one.
        n_threads: None: all that the process may use.

    Returns:
        The curve. Examples with equal scores are told apart by no threshold. 32 bytes of memory a score.

    Raises:
        ValueError: different lengths, NaN, no member or no other.
        TypeError: scores that are not real, members that are not bool.

    Example:
        >>> curve = roc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
        >>> curve.auc, curve.tpr_at(0.0)
        (0.75, 0.5)
        >>> print(curve.tpr_interval(0.0, "clopper-pearson"))
        0.500 [0.013, 0.987]
        >>> curve.sweep([0.8, 0.3]).tpr_low.round(3).tolist()
        [0.013, 0.158]
    """
    who = _arrays.matrix_bool(members, "members", "(n,)")
    core = _core.Roc(_arrays.scores(scores, "scores"), who, _arrays.threads(n_threads))
    auc, _, _ = core.auc((0.5, 0, 0, 1))
    count = int(who.sum())
    return Roc(*core.curve(), auc, count, len(who) - count, core)


def _exact(method: str) -> bool:
    return _arrays.choice(method, "method", ("bootstrap", "clopper-pearson")) == "clopper-pearson"


def _proven(tpr: Vector, fpr: Vector, delta: float) -> float:
    """The largest ε of some attacks, at least 0: inf of one that never errs, none of one that errs in one way only."""
    fnr = 1 - tpr
    if ((fnr == 0) & (fpr == 0)).any():
        return math.inf
    both = (fnr > 0) & (fpr > 0)
    fnr, fpr = fnr[both], fpr[both]
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN: proves nothing
        found = np.log(np.concatenate([(1 - delta - fpr) / fnr, (1 - delta - fnr) / fpr]))
    return float(np.fmax.reduce(found, initial=0.0))
