"""matplotlib figures as inline SVG that follows the colours and the font of the page, light or dark.

A figure is drawn in placeholder colours, one for each CSS variable of page.css; `to_svg` puts the variables in.
"""

import io
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

NAMES = ("ink", "muted", "grid", "surface", "band", "accent", "flip", *(f"series-{i}" for i in range(6)))
COLOUR = {name: f"#0{i:x}0{i:x}0f" for i, name in enumerate(NAMES)}
SERIES = [COLOUR[f"series-{i}"] for i in range(6)]  # told apart by shape or place too: never by colour alone

WIDTH = 4.9  # inches; at 72 points an inch about as wide as a phone, so that text stays readable there

RC = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "unmemorize",  # same figure, same bytes
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "text.color": COLOUR["ink"],
    "axes.labelcolor": COLOUR["ink"],
    "axes.edgecolor": COLOUR["muted"],
    "axes.linewidth": 0.8,
    "xtick.color": COLOUR["muted"],
    "xtick.labelcolor": COLOUR["ink"],
    "ytick.color": COLOUR["muted"],
    "ytick.labelcolor": COLOUR["ink"],
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

ROOM = 28  # characters of a name that a figure has room for; the tables hold all of it
_VARIABLE = {value: f"var(--{name})" for name, value in COLOUR.items()}


def drawn(width: float, height: float) -> Any:
    """An empty figure of that size in inches, in no global state; draw into it within `rc_context(RC)`."""
    return Figure(figsize=(width, height), layout="constrained")


def to_file(figure: Any) -> bytes:
    """The figure as an SVG file of its own, in the light colours of the page."""
    buffer = io.StringIO()
    with rc_context({**RC, "savefig.facecolor": _light()["surface"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    light = {COLOUR[name]: value for name, value in _light().items() if name in COLOUR}
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: light.get(found[0], found[0]), buffer.getvalue()).encode()


def _light() -> dict[str, str]:
    """The colours of page.css, those of a light background."""
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css.split("@media")[0]))


def fit(name: str, room: int = ROOM) -> str:
    """A name cut to `room` characters."""
    return name if len(name) <= room else f"{name[: room - 1]}…"


def to_svg(figure: Any, name: str, alt: str) -> Markup:
    """The figure as one `<svg>` element for HTML.

    Args:
        figure: a matplotlib figure, drawn in the colours of `COLOUR`.
        name: unique on the page; every id inside starts with it.
        alt: what a reader who cannot see the figure has to know.
    """
    buffer = io.StringIO()
    with rc_context(RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    view = re.search(r'viewBox="[^"]*"', text)
    assert view, "matplotlib writes a viewBox"
    body = text[text.index("<svg") :].split(">", 1)[1].rsplit("</svg>", 1)[0]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'url\(#|href="#', lambda found: f"{found[0]}{name}-", body)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLE.get(found[0], found[0]), body)
    body = re.sub(r">\s+<", "><", body)
    return Markup('<svg class="drawing" {} role="img" aria-label="{}">{}</svg>').format(
        Markup(view[0]), escape(alt), Markup(_superscript(body))
    )


def _superscript(body: str) -> str:
    """RUM^F with its F raised."""
    raised = 'RUM<tspan dy="-0.35em" font-size="75%">F</tspan><tspan dy="0.26em">&#8203;</tspan>'
    return body.replace("RUM^F", raised)
