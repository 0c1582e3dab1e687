"""Names and values of the page's provenance lists."""

import math
from typing import Any

from unmemorize.report import text
from unmemorize.results import Results

Facts = list[tuple[str, str]]


def data(results: Results) -> Facts:
    """The data set."""
    if (d := results.data) is None:
        return []
    facts = [
        ("name", d.name),
        ("training examples", text.count(d.n_train)),
        ("validation examples", text.count(d.n_val)),
        ("test examples", text.count(d.n_test)),
        ("classes", text.count(d.n_classes)),
    ]
    if d.flipped:
        facts.append(("labels flipped", f"{d.flipped:,} ({text.percent(d.noise)}), by seed"))
    return [*facts, ("hash", d.hash)] if d.hash else facts


def models(results: Results) -> Facts:
    """The models that had to forget, and the ensemble."""
    facts: Facts = []
    if (o := results.original) is not None:
        facts += [("network", o.model), ("recipe", o.recipe or text.ABSENT)]
        facts += [(f"accuracy, {split}", text.estimate(value)) for split, value in o.accuracy.items()]
        if o.seconds is not None:
            facts.append(("one training", text.duration(o.seconds.value)))
    if (e := results.ensemble) is not None:
        facts.append(("ensemble", f"{e.models:,} models, {text.percent(e.ratio)} of the training set each, {e.design}"))
        facts.append(("reliability", text.estimate(e.reliability)))
        if math.isfinite(e.seconds):
            facts.append(("ensemble, computing time", text.duration(e.seconds)))
    return facts


def outcome(results: Results) -> Facts:
    """How the one model was unlearned."""
    if (o := results.outcome) is None:
        return []
    facts = [("algorithm", o.algorithm), ("plan", text.plan_name(o)), ("run time", text.duration(o.seconds))]
    facts.append(("hyper-parameters", spelled(o.hyper)))
    if o.protocol:
        facts.append(("protocol", o.protocol))
    for what, seconds in o.costs.items():
        share = f", {seconds / o.retrain_seconds:.1%} of one retraining" if o.retrain_seconds > 0 else ""
        facts.append((f"cost of {what}", text.duration(seconds) + share))
    if o.checkpoint:
        facts.append(("unlearned model", o.checkpoint))
    if o.checkpoint_hash:
        facts.append(("its SHA-256", o.checkpoint_hash))
    return facts


def seeds(results: Results) -> Facts:
    """Every seed; the seeds of several runs in one line."""
    return [
        (name, ", ".join(map(str, v)) if isinstance(v, list | tuple) else str(v)) for name, v in results.seeds.items()
    ]


def spelled(value: Any) -> str:
    """Nested settings on one line: `lr 0.01, epochs 5`; the entries of a list stand apart."""
    if isinstance(value, dict):
        if set(value) == {"steps"}:
            return spelled(value["steps"])
        return ", ".join(f"{key} {spelled(item)}" for key, item in value.items()) or "defaults"
    if isinstance(value, list | tuple):
        return " → ".join(spelled(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
