"""The figures of the comparison and of the proxies, and what a method costs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from unmemorize.report.dot_plot import Dot, dot_plot
from unmemorize.report.text import algorithm_name, percent, plan_name
from unmemorize.report.theme import COLOUR, RC, SERIES, WIDTH, drawn, fit, to_svg
from unmemorize.results import ComparisonRow, ProxyRow, Results
from unmemorize.stats import Estimate

MARKER = {"vanilla": "o", "shuffle": "s", "rum": "D"}
OTHER = "^"  # of a plan that is none of these


def colours(rows: Sequence[ComparisonRow]) -> dict[str, str]:
    """One colour for each algorithm, in order of appearance; the same in every figure of a page."""
    names = dict.fromkeys(row.algorithm for row in rows if row.algorithm != "nothing")
    return {"nothing": COLOUR["muted"], **{name: SERIES[i % len(SERIES)] for i, name in enumerate(names)}}


def _dots(rows: Sequence[ComparisonRow], measure: Callable[[ComparisonRow], Estimate]) -> list[Dot]:
    palette = colours(rows)
    several = {row.algorithm for row in rows if sum(other.algorithm == row.algorithm for other in rows) > 1}
    return [
        Dot(
            label=plan_name(row) if row.algorithm in several else algorithm_name(row),
            estimate=measure(row),
            group=row.algorithm if row.algorithm in several else "",
            colour=palette[row.algorithm],
            marker=MARKER.get(row.plan, OTHER),
            filled=row.scores in ("", "exact"),
        )
        for row in rows
    ]


def comparison(results: Results) -> list[Markup]:
    """ToW and, where it was measured, ToW-MIA of every method beside the oracles' own."""
    band = results.band
    rows = results.comparison if band else (*results.oracles, *results.comparison)
    both: list[tuple[str, str, Callable[[ComparisonRow], Estimate], Estimate | None]] = [
        ("tow", "ToW ↑", lambda row: row.tow, band.tow if band else None),
        ("tow-mia", "ToW-MIA ↑", lambda row: row.tow_mia, band.tow_mia if band else None),
    ]
    return [
        dot_plot(name, title, _dots(rows, measure), limits, "oracle against oracle", _alt(title, rows, measure, limits))
        for name, title, measure, limits in both
        if any(math.isfinite(measure(row).value) for row in rows)
    ]


def _alt(
    title: str, rows: Sequence[ComparisonRow], measure: Callable[[ComparisonRow], Estimate], band: Estimate | None
) -> str:
    best = max(rows, key=lambda row: measure(row).value if math.isfinite(measure(row).value) else -math.inf)
    known = f" Oracle against oracle: {band.value:.3f}." if band else ""
    return (
        f"Dot plot of {title.rstrip(' ↑')}, higher is better, for {len(rows)} methods. Highest: {best.algorithm}, "
        f"{plan_name(best)}, {measure(best).value:.3f}.{known} The table below holds every number."
    )


def proxies(rows: Sequence[ProxyRow], ceiling: Estimate | None) -> Markup:
    """Spearman correlation of every proxy with the exact score, beside the reliability of the exact score itself."""
    dots = [Dot(row.name, row.spearman) for row in rows]
    best = max(rows, key=lambda row: row.spearman.value)
    alt = (
        f"Dot plot of the Spearman correlation with exact memorization, higher is better, for {len(rows)} proxies. "
        f"Highest: {best.name}, {best.spearman.value:.3f}. The table below holds every number."
    )
    return dot_plot("spearman", "Spearman correlation with exact memorization ↑", dots, ceiling, "ceiling", alt)


def price(results: Results) -> Markup | None:
    """Closeness to retraining against cost; None where no cost was measured. Doing nothing has no place on it."""
    rows = [
        row
        for row in results.comparison
        if row.algorithm != "nothing" and _share(row) > 0 and math.isfinite(row.tow.value)
    ]
    if not rows:
        return None
    palette = colours(results.comparison)
    with rc_context(RC):
        figure = drawn(WIDTH, 3.4 + 0.2 * (len(palette) + len({(row.plan, row.scores) for row in rows})))
        axes = figure.subplots()
        if results.band is not None and math.isfinite(results.band.tow.low):
            axes.axhspan(results.band.tow.low, results.band.tow.high, color=COLOUR["band"], linewidth=0, alpha=0.3)
            axes.axhline(results.band.tow.value, color=COLOUR["band"], linewidth=1.4, dashes=(4, 2))
        for row in rows:
            _priced(axes, row, palette[row.algorithm])
        _cost_axis(axes, [_share(row) for row in rows])
        axes.set_ylabel("ToW ↑")
        axes.grid()
        _legend(figure, rows, palette)
        best = max(rows, key=lambda row: row.tow.value)
        alt = (
            f"ToW, higher is better, against run time as a share of retraining, lower is better: {len(rows)} methods. "
            f"Highest ToW: {best.algorithm}, {plan_name(best)}, {best.tow.value:.3f} at {percent(_share(best))}."
        )
        return to_svg(figure, "price", alt)


def _share(row: ComparisonRow) -> float:
    return row.retrain_share.value if row.retrain_share else math.nan


def _priced(axes: Any, row: ComparisonRow, colour: str) -> None:
    share, tow = _share(row), row.tow
    if math.isfinite(tow.low):
        axes.plot([share, share], [tow.low, tow.high], color=colour, linewidth=1.4, alpha=0.6)
    face = colour if row.scores in ("", "exact") else COLOUR["surface"]
    marker = MARKER.get(row.plan, OTHER)
    axes.plot([share], [tow.value], marker, color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.6)


def _cost_axis(axes: Any, shares: Sequence[float]) -> None:
    """A logarithmic axis with about five labels, whatever it spans."""
    low, high = min(shares) / 1.2, max(shares) * 1.2
    decades = math.log10(high / low)
    steps = (1, 1.5, 2, 3, 5) if decades < 1 else (1, 3) if decades < 2.5 else (1,)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("run time as a share of one retraining ↓ (log)")


def _legend(figure: Any, rows: Sequence[ComparisonRow], palette: dict[str, str]) -> None:
    """Colour is the algorithm, shape the plan, filled or hollow the scores."""
    handles = [
        Line2D([], [], color=palette[name], linewidth=5, label=fit(name))
        for name in dict.fromkeys(row.algorithm for row in rows)
    ]
    for plan, scores, name in dict.fromkeys((row.plan, row.scores, plan_name(row)) for row in rows):
        face = COLOUR["ink"] if scores in ("", "exact") else COLOUR["surface"]
        style: dict[str, Any] = {
            "color": COLOUR["ink"],
            "markerfacecolor": face,
            "marker": MARKER.get(plan, OTHER),
            "linestyle": "",
        }
        handles.append(Line2D([], [], label=fit(name), **style))
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = 3 if longest < 18 else 2 if longest < 24 else 1
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
