"""The dot plot: estimates with their intervals beside a band."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from unmemorize.report.theme import COLOUR, RC, WIDTH, drawn, fit, to_svg
from unmemorize.stats import Estimate


@dataclass(frozen=True)
class Dot:
    """One line of a dot plot."""

    label: str
    estimate: Estimate
    group: str = ""  # lines of one group stand together under its name
    colour: str = COLOUR["accent"]
    marker: str = "o"
    filled: bool = True


def dot_plot(name: str, title: str, dots: Sequence[Dot], band: Estimate | None, band_label: str, alt: str) -> Markup:
    """Estimates with their intervals, one a line, beside a shaded band."""
    with rc_context(RC):
        lines = _with_headings(dots)
        figure = drawn(WIDTH, 0.9 + 0.25 * len(lines))
        axes = figure.subplots()
        if band is not None and math.isfinite(band.value):
            _band(axes, band, band_label)
        for y, line in enumerate(lines):
            if isinstance(line, Dot):
                _dot(axes, y, line)
        axes.set_yticks(range(len(lines)), [fit(line.label if isinstance(line, Dot) else line) for line in lines])
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            if isinstance(line, str) or (not line.group and any(d.group for d in dots)):
                tick.set_fontweight("bold")
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(lines) - 0.4, -0.9)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_xlabel(title, loc="right")  # there is room on its left
        return to_svg(figure, name, alt)


def _with_headings(dots: Sequence[Dot]) -> list[Dot | str]:
    """The lines of the plot: the dots, with the name of each group of more than one above it."""
    lines: list[Dot | str] = []
    for i, dot in enumerate(dots):
        if dot.group and (i == 0 or dots[i - 1].group != dot.group):
            lines.append(dot.group)
        lines.append(dot)
    return lines


def _band(axes: Any, band: Estimate, name: str) -> None:
    if math.isfinite(band.low):
        axes.axvspan(band.low, band.high, color=COLOUR["band"], linewidth=0, alpha=0.3)
    axes.axvline(band.value, color=COLOUR["band"], linewidth=1.4, dashes=(4, 2))
    axes.annotate(
        name,
        (band.value, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color=COLOUR["muted"],
        fontsize=9.5,
    )


def _dot(axes: Any, y: int, dot: Dot) -> None:
    value, low, high = dot.estimate.value, dot.estimate.low, dot.estimate.high
    shown = f"{value:.3f}" if math.isfinite(value) else "not measured"
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(shown, (1, y), xytext=(4, 0), va="center", fontsize=10, **beside)
    if not math.isfinite(value):
        return
    if math.isfinite(low):
        axes.plot([low, high], [y, y], color=dot.colour, linewidth=2, solid_capstyle="butt", alpha=0.75)
    face = dot.colour if dot.filled else COLOUR["surface"]
    axes.plot([value], [y], dot.marker, color=dot.colour, markerfacecolor=face, markersize=6.5, markeredgewidth=1.6)
