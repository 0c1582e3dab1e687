"""The figures of the scores: how they are spread, and each proxy against the exact one."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from unmemorize.report.theme import COLOUR, RC, WIDTH, drawn, fit, to_svg
from unmemorize.results import Profile

PANELS = 4  # proxies drawn, the first ones of the table


def histogram(profile: Profile) -> Markup:
    """How the exact scores are spread, the examples with flipped labels apart."""
    known = np.isfinite(profile.score)
    flipped = np.zeros_like(known) if profile.flipped is None else profile.flipped
    edges = np.linspace(min(0.0, float(profile.score[known].min())), 1.0, 26)
    groups = [("labels as given", COLOUR["accent"], ~flipped)]
    if flipped.any():
        groups.append(("labels flipped", COLOUR["flip"], flipped))
    with rc_context(RC):
        figure = drawn(WIDTH, 2.9)
        axes = figure.subplots()
        below = np.zeros(len(edges) - 1)
        for label, colour, mask in groups:
            counts = np.histogram(profile.score[known & mask], edges)[0]
            axes.stairs(counts + below, edges, baseline=below, fill=True, color=colour, label=label, linewidth=0)
            below = below + counts
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("exact memorization")
        axes.set_ylabel("training examples (log above 10)")
        axes.grid(axis="y")
        if len(groups) > 1:
            axes.legend(loc="upper center", ncols=2)
        alt = (
            f"Histogram of the exact memorization of {int(known.sum()):,} training examples. "
            f"Mean of the examples with labels as given {profile.score[known & ~flipped].mean():.2f}"
        )
        alt += f", of those with flipped labels {profile.score[known & flipped].mean():.2f}." if flipped.any() else "."
        return to_svg(figure, "histogram", alt)


def profiles(profile: Profile, strata: Sequence[str], order: Sequence[str]) -> list[tuple[str, Markup]]:
    """Rank of each of the first proxies against the exact score: density of all, strata and flipped labels marked."""
    names = [name for name in order if name in profile.proxies] or list(profile.proxies)
    return [(name, _profile(profile, name, i, strata)) for i, name in enumerate(names[:PANELS])]


def _profile(profile: Profile, proxy: str, number: int, strata: Sequence[str]) -> Markup:
    known = np.isfinite(profile.score) & ~np.isnan(profile.proxies[proxy])
    score = profile.score[known]
    rank = np.argsort(np.argsort(profile.proxies[proxy][known], kind="stable")) / max(1, known.sum() - 1) * 100
    with rc_context(RC):
        figure = drawn(WIDTH, 3.5)
        axes = figure.subplots()
        density(axes, rank, score)
        if profile.flipped is not None and profile.flipped[known].any():
            flipped = profile.flipped[known]
            axes.plot(rank[flipped], score[flipped], "x", color=COLOUR["flip"], markersize=4.5, markeredgewidth=1.2)
        if profile.stratum is not None:
            strata_bars(axes, score, profile.stratum[known], strata)
        axes.set_xlim(-3, 103)
        axes.set_xlabel(f"rank by {fit(proxy)}, per cent")
        axes.set_ylabel("exact memorization")
        alt = (
            f"Density of {len(score):,} examples: rank by the proxy {proxy} across, exact memorization upwards. "
            f"Median exact memorization of the lowest tenth by the proxy {np.median(score[rank <= 10]):.2f}, "
            f"of the highest tenth {np.median(score[rank >= 90]):.2f}."
        )
        return to_svg(figure, f"profile-{number}", alt)


def density(axes: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Square cells, the denser the more opaque: opacity, unlike a colour map, works on either background."""
    low, high = min(0.0, float(y.min())), max(1.0, float(y.max()))
    counts, across, up = np.histogram2d(x, y, bins=(34, 22), range=((0, 100), (low, high)))
    shade = np.log1p(counts) / np.log1p(counts.max())
    for i, j in zip(*np.nonzero(counts), strict=True):
        corner = (across[i], up[j])
        size = (across[i + 1] - across[i], up[j + 1] - up[j])
        opacity = 0.15 + 0.8 * float(shade[i, j])
        axes.add_patch(Rectangle(corner, *size, facecolor=COLOUR["accent"], alpha=opacity, linewidth=0))
    axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))


def strata_bars(axes: Any, score: np.ndarray, stratum: np.ndarray, names: Sequence[str]) -> None:
    """The score range of each stratum of the forget set, as a bar on the right."""
    at = -math.inf  # labels of strata that are close to each other are moved apart
    for k, name in enumerate(names):
        mine = score[stratum == k]
        if not len(mine):
            continue
        low, high = float(mine.min()), max(float(mine.max()), float(mine.min()) + 0.012)
        bar = {"transform": axes.get_yaxis_transform(), "clip_on": False, "color": COLOUR["ink"]}
        axes.plot([1.02, 1.02], [low, high], linewidth=4, solid_capstyle="butt", **bar)
        at = max((low + high) / 2, at + 0.075)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(fit(name, 10), (1.02, at), xytext=(6, 0), va="center", fontsize=9.5, **place)
