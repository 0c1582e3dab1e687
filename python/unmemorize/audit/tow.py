"""Tug of war: one number for how close an unlearned model is to a retrained one, forgetting and utility together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from unmemorize import _arrays, _core
from unmemorize.stats import Estimate, bootstrap_options

_GROUPS = ("forget", "retain", "test")


@dataclass(frozen=True)
class Tow:
    """``value = forget * retain * test``, each factor ``1 - |a(unlearned) - a(oracle)|`` in [0, 1]; 1: the same."""

    value: float
    forget: float
    retain: float
    test: float


@dataclass(frozen=True)
class TowMia:
    """``value = mia * retain * test``: as `Tow`, with the share of the forget set called "non-member" for accuracy."""

    value: float
    mia: float
    retain: float
    test: float


def tow(unlearned: Mapping[str, float], oracle: Mapping[str, float]) -> Tow:
    """ToW of an unlearned model against a model retrained without the forget set.

    Args:
        unlearned: accuracies "forget", "retain" and "test", in [0, 1]; other keys are ignored.
        oracle: the same of the retrained model.

    Raises:
        ValueError: an accuracy is missing or outside [0, 1].

    Source: Zhao et al. 2024, arXiv 2406.01257 (ToW).

    Example:
        >>> tow({"forget": 0.9, "retain": 1.0, "test": 0.8}, {"forget": 0.4, "retain": 1.0, "test": 0.8})
        Tow(value=0.5, forget=0.5, retain=1.0, test=1.0)
    """
    forget, retain, test = _factors(unlearned, oracle, _GROUPS)
    return Tow(forget * retain * test, forget, retain, test)


def tow_interval(
    unlearned: Mapping[str, ArrayLike],
    oracle: Mapping[str, ArrayLike],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    n_threads: int | None = None,
) -> Estimate:
    """ToW of one unlearned and one retrained model with its bootstrap percentile interval over the examples.

    It says how far the examples at hand determine ToW, not how it varies from one training run to the next: that takes
    several models, as in `evaluate`. Both models are judged on the same resamples, so what they agree on cancels.

    Args:
        unlearned: bool (k,) each of "forget", "retain" and "test": on which examples the model is right.
        oracle: the same of the retrained model, on the same examples in the same order.
        level: of the interval, in (0, 1).
        resamples: of the bootstrap; 0: no interval. One without an example of a group is left out.
        seed: of the resamples.
        n_threads: None: all that the process may use.

    Raises:
        ValueError: a group is missing or empty, lengths that do not match, an argument out of range.
        TypeError: not bool.

    Example:
        >>> right, wrong = [True] * 10, [False] * 10
        >>> original = {"forget": right, "retain": right, "test": right + wrong}
        >>> tow_interval(original, {**original, "forget": right[:6] + wrong[:4]}).value
        0.6
    """
    groups = []
    for side, right in (("unlearned", unlearned), ("oracle", oracle)):
        _check_names(side, right, _GROUPS)
        groups.append([_arrays.matrix_bool(right[name], f"{side}: {name}", "(k,)") for name in _GROUPS])
    for name, ours, theirs in zip(_GROUPS, *groups, strict=True):
        if not len(ours):
            raise ValueError(f"unlearned: expected at least 1 value of {name!r}, got 0")
        if len(ours) != len(theirs):
            raise ValueError(f"oracle: expected {len(ours)} values of {name!r}, got {len(theirs)}")
    difference = np.concatenate([ours.astype(np.int8) - theirs for ours, theirs in zip(*groups, strict=True)])
    options = bootstrap_options(level, resamples, seed, n_threads)
    return Estimate(*_core.tow(difference, [len(group) for group in groups[0]], options), len(difference))


def tow_mia(unlearned: Mapping[str, float], oracle: Mapping[str, float]) -> TowMia:
    """ToW-MIA: the membership attack's verdict on the forget set takes the place of the accuracy on it.

    Args:
        unlearned: "mia" (share of the forget set that the attacker calls "non-member"), and accuracies "retain" and
            "test", in [0, 1]; other keys are ignored.
        oracle: the same of the retrained model.

    Raises:
        ValueError: a share is missing or outside [0, 1].

    Source: Zhao et al. 2024, arXiv 2406.01257 (ToW-MIA).

    Example:
        >>> tow_mia({"mia": 0.5, "retain": 1.0, "test": 0.75}, {"mia": 0.75, "retain": 1.0, "test": 0.75})
        TowMia(value=0.75, mia=0.75, retain=1.0, test=1.0)
    """
    mia, retain, test = _factors(unlearned, oracle, ("mia", "retain", "test"))
    return TowMia(mia * retain * test, mia, retain, test)


def _factors(
    unlearned: Mapping[str, float], oracle: Mapping[str, float], names: tuple[str, str, str]
) -> tuple[float, float, float]:
    for side, shares in (("unlearned", unlearned), ("oracle", oracle)):
        _check_names(side, shares, names)
        for name in names:
            if not 0.0 <= _arrays.number(shares[name], f"{side}: {name}") <= 1.0:
                raise ValueError(f"{side}: expected {name!r} in [0, 1], got {shares[name]}")
    first, second, third = (1.0 - abs(float(unlearned[name]) - float(oracle[name])) for name in names)
    return first, second, third


def _check_names(side: str, known: Mapping[str, object], names: tuple[str, ...]) -> None:
    if not isinstance(known, Mapping):
        raise TypeError(f"{side}: expected a dict, got {type(known).__name__}")
    for name in names:
        if name not in known:
            raise ValueError(f"{side}: {name!r} is missing; expected {', '.join(names)}, got {', '.join(known)}")
