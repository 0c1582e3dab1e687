"""A number with its interval and its n: what every statistic that is reported comes as."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Estimate:
    """A number, its interval and how many observations it is from.

    Args:
        value: the estimate.
        low: lower end of the interval; NaN where there is none.
        high: upper end.
        n: number of observations.

    Example:
        >>> print(Estimate(0.8612, 0.8449, 0.8763, 1000))
        0.861 [0.845, 0.876]
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.3f} (n = {self.n}, no interval)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_dict(self) -> dict[str, float | int | None]:
        """What JSON can hold: NaN becomes None."""
        return {key: None if math.isnan(value) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        known: dict[str, Any] = {key: math.nan if value is None else value for key, value in content.items()}
        return cls(**known)
