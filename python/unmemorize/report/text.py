"""Numbers and names as the reader sees them; the same in the page, the tables and the terminal."""

import math

from unmemorize.results import ComparisonRow, Outcome, PairedRow
from unmemorize.stats import Estimate

ABSENT = "–"
PLANS = {"rum": "RUM^F"}  # as the paper writes it


def number(value: float, digits: int = 3) -> str:
    """A value with fixed digits; `ABSENT` where there is none."""
    if not math.isfinite(value):
        return ABSENT
    shown = f"{value:.{digits}f}"
    return shown.lstrip("-") if float(shown) == 0 else shown.replace("-", "−")


def interval(estimate: Estimate, digits: int = 3) -> str:
    """The interval alone, or why there is none."""
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"
    return f"n = {estimate.n}, no interval" if math.isfinite(estimate.value) else ""


def estimate(value: Estimate | None, digits: int = 3) -> str:
    """Value and interval on one line."""
    if value is None or not math.isfinite(value.value):
        return ABSENT
    if not math.isfinite(value.low):
        return number(value.value, digits)
    return f"{number(value.value, digits)} [{number(value.low, digits)}, {number(value.high, digits)}]"


def compact(value: Estimate) -> str:
    """Value and interval in the fewest characters."""
    return estimate(value).replace("[0.", "[.").replace(", 0.", ", .")


def count(value: int | None) -> str:
    """Thousands set apart."""
    return ABSENT if value is None else f"{value:,}"


def rate(value: float) -> str:
    """An accuracy or the like, to a tenth of a per cent."""
    return f"{value:.1%}" if math.isfinite(value) else ABSENT


def percent(share: float) -> str:
    """A share with two significant digits: 11%, 0.84%, 0.0021%."""
    if not math.isfinite(share):
        return ABSENT
    if share == 0:
        return "0%"
    digits = max(0, 1 - math.floor(math.log10(abs(share) * 100)))
    return f"{share * 100:.{digits}f}%"


def duration(seconds: float) -> str:
    """21 ms, 0.42 s, 7.3 s, 41 s, 3 min 12 s, 2 h 05 min."""
    if not math.isfinite(seconds):
        return ABSENT
    if seconds < 0:  # the lower end of an interval
        return f"−{duration(-seconds)}"
    if seconds < 0.0995:
        return f"{seconds * 1000:.2g} ms"
    for limit, digits in ((0.995, 2), (9.95, 1), (59.5, 0)):
        if seconds < limit:
            return f"{seconds:.{digits}f} s"
    if seconds < 3599.5:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def algorithm_name(row: ComparisonRow) -> str:
    """The algorithm, with its plan unless that is the plain one."""
    return row.algorithm if row.plan == "vanilla" else f"{row.algorithm}, {plan_name(row)}"


def plan_name(row: ComparisonRow | Outcome | PairedRow) -> str:
    """The plan and, where a score cut the strata, which."""
    plan = PLANS.get(row.plan, row.plan)
    return f"{plan}, {row.scores}" if row.scores else plan
