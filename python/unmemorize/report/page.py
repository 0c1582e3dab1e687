"""The page: results laid out by page.html.j2 and page.css, with everything it needs inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from unmemorize.report import compare, facts, figures, profile_plot, tables, text
from unmemorize.results import ComparisonRow, Results, data_uri
from unmemorize.stats import Estimate

HOME = Path(__file__).parent


@dataclass(frozen=True)
class KeyNumber:
    """One of the few numbers at the top: what, how much, and beside what to read it."""

    name: str
    value: str
    beside: str
    better: str = ""


def render(results: Results) -> str:
    """The whole page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HOME),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=text.number,
        count=text.count,
        percent=text.percent,
        duration=text.duration,
        estimate=text.estimate,
        plan=text.plan_name,
        spelled=facts.spelled,
        written=tables.value,
        spread=spread,
        raised=raised,
        data_uri=data_uri,
    )
    environment.tests["estimate"] = lambda cell: isinstance(cell, Estimate)
    return environment.get_template("page.html.j2").render(r=results, tables=tables, compare=compare, **shown(results))


def shown(results: Results) -> dict[str, Any]:
    """What the templates use beside the results themselves."""
    profile, best = results.profile, tables.best_row(results)
    strata = [stratum.name for stratum in results.forget_sets[0].strata] if results.forget_sets else []
    ceiling = results.ensemble.reliability if results.ensemble else None
    rows = {row.name: row for row in results.proxies}
    return {
        "best": best,
        "best_index": results.comparison.index(best) + len(results.oracles) if best else None,
        "verdict": verdict(results),
        "key_numbers": key_numbers(results),
        "runs": max((row.tow.n for row in results.comparison), default=0),
        "oracles": max((row.tow.n for row in results.oracles), default=0),
        "comparison_figures": figures.comparison(results) if results.comparison else [],
        "price_figure": figures.price(results),
        "histogram": profile_plot.histogram(profile) if profile else None,
        "profile_figures": [
            (name, rows.get(name), svg)
            for name, svg in (profile_plot.profiles(profile, strata, list(rows)) if profile else [])
        ],
        "proxy_figure": figures.proxies(results.proxies, ceiling) if results.proxies else None,
        "longest_stage": max((seconds for _, seconds in results.stages), default=1.0) or 1.0,
        "data_facts": facts.data(results),
        "model_facts": facts.models(results),
        "outcome_facts": facts.outcome(results),
        "seed_facts": facts.seeds(results),
    }


def spread(cell: Estimate, column: tables.Column) -> str:
    """The interval of a cell, or why it has none."""
    low, high = tables.bounds(cell, column)
    if not low:
        return text.interval(cell)
    return f"{low} to {high}" if "−" in low else f"{low}–{high}"


def raised(value: str) -> Markup:
    """RUM^F with its F raised, names breakable at their underscores, the rest escaped."""
    return Markup(str(escape(value)).replace("RUM^F", "RUM<sup>F</sup>").replace("_", "_<wbr>"))


def verdict(results: Results) -> str:
    """How the best method stands to the oracles' own band."""
    best, band = tables.best_row(results), results.band
    if best is None or band is None:
        return ""
    if not best.tow.low <= best.tow.high or not band.tow.low <= band.tow.high:
        return "too few runs for an interval"
    if best.tow.high < band.tow.low:
        return "its interval lies below that of the oracles"
    if best.tow.low > band.tow.high:
        return "its interval lies above that of the oracles"
    return "its interval overlaps that of the oracles"


def key_numbers(results: Results) -> list[KeyNumber]:
    """At most four numbers that say how it went."""
    numbers = []
    if results.forget_sets:
        forgotten = results.forget_sets[0]
        of = f"of {results.data.n_train:,} training examples" if results.data else "training examples"
        flips = [stratum.flipped for stratum in forgotten.strata if stratum.flipped is not None]
        wrong = f"; {sum(flips):,} with a flipped label" if flips else ""
        numbers.append(KeyNumber("examples to forget", f"{forgotten.size:,}", of + wrong))
    if (best := tables.best_row(results)) is not None:
        numbers += _of_comparison(best, results)
    if results.outcome is not None:
        numbers += _of_outcome(results)
    if results.proxies:
        row = max(results.proxies, key=lambda row: row.spearman.value)
        known = results.ensemble.reliability if results.ensemble else None
        ceiling = f"; ceiling {text.number(known.value)}" if known else ""
        beside = f"{row.name} against exact, {text.interval(row.spearman)}{ceiling}"
        numbers.append(KeyNumber("best proxy, Spearman", text.number(row.spearman.value), beside, "↑"))
    return numbers[:4]


def _of_comparison(best: ComparisonRow, results: Results) -> list[KeyNumber]:
    beside = f"{text.algorithm_name(best)}, {text.interval(best.tow)}"
    if results.band is not None:
        beside += f"; oracles {text.number(results.band.tow.value)}, {text.interval(results.band.tow)}"
    numbers = [KeyNumber("best ToW", text.number(best.tow.value), beside, "↑")]
    if best.retrain_share is not None:
        low, high = text.percent(best.retrain_share.low), text.percent(best.retrain_share.high)
        beside = f"of one retraining, {low} to {high}" if low != text.ABSENT else "of one retraining"
        numbers.append(KeyNumber("its run time", text.percent(best.retrain_share.value), beside, "↓"))
    return numbers


def _of_outcome(results: Results) -> list[KeyNumber]:
    assert results.outcome is not None
    before, after = results.outcome.before.accuracy, results.outcome.after.accuracy
    shown = [("accuracy on the forget set", "forget", ""), ("accuracy on the test set", "test", "↑")]
    numbers = [
        KeyNumber(name, text.rate(after[key]), f"{text.rate(before[key])} before", better)
        for name, key, better in shown
        if key in before and key in after
    ]
    how = f"{results.outcome.algorithm}, {text.plan_name(results.outcome)}"
    return [*numbers, KeyNumber("run time", text.duration(results.outcome.seconds), how, "↓")]
