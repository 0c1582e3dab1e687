"""Tug of war: one number for how close an unlearned model is to a retrained one, forgetting and utility together."""

from collections.abc import Mapping
from dataclasses import dataclass


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
    forget, retain, test = _factors(unlearned, oracle, ("forget", "retain", "test"))
    return Tow(forget * retain * test, forget, retain, test)


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
        for name in names:
            if name not in shares:
                raise ValueError(f"{side}: {name!r} is missing; expected {', '.join(names)}, got {', '.join(shares)}")
            if not 0.0 <= shares[name] <= 1.0:
                raise ValueError(f"{side}: expected {name!r} in [0, 1], got {shares[name]}")
    first, second, third = (1.0 - abs(float(unlearned[name]) - float(oracle[name])) for name in names)
    return first, second, third
