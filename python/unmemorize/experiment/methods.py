"""The methods of a comparison: algorithms under plans."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike

from unmemorize.ensemble import Ensemble
from unmemorize.rum import RUM, read_plan

PLANS = ("vanilla", "shuffle", "rum")
WITHOUT_STRATA = ("nothing", "retrain")  # the floor and the ceiling: the same under every plan
STRATA = 3  # of a plan that names no number

FIXED, PAPER = PROTOCOLS = ("fixed-S", "paper")  # one forget set for all; or each score chooses one, and cuts it
FORGET_SET = "exact"  # the one of protocol "fixed-S", by the score that chooses it

Steps = list[dict[str, Any]]  # hyper-parameters, one table for each step of the plan, or one for all of them


@dataclass(frozen=True)
class Cell:
    """One method of a comparison: an algorithm, the plan that applies it, and the scores that the plan goes by."""

    algorithm: str  # of every step; of a plan that names its own, "first → second"
    plan: str = "vanilla"
    scores: str = ""  # "exact" or a proxy's name: cut the strata and, under protocol "paper", chose the forget set
    content: str = ""  # of a plan that is none of PLANS, as JSON

    @classmethod
    def of(cls, algorithm: str, plan: str | Path, scores: str = "") -> Self:
        """With the plan that ships under this name, or that this TOML file holds.

        Raises:
            ValueError: no such plan, or one that is not valid.

        Example:
            >>> Cell.of("scrub", "published", "exact").algorithm
            'nothing → fine_tune → salun'
        """
        if plan in PLANS:
            return cls(algorithm, str(plan), scores)
        name = Path(plan).name.removesuffix(".toml")
        if name in PLANS or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"plan {str(plan)!r}: expected a name of letters, digits, _ and -, and none of "
                             f"{', '.join(PLANS)}")  # fmt: skip
        rules = RUM.from_toml(plan, algorithm=algorithm, ensemble=object()).to_dict()
        if "steps" in read_plan(plan):
            rules["steps"] = rules["steps"] if isinstance(rules["steps"], list) else [rules["steps"]]
            algorithm = " → ".join(dict.fromkeys(table["algorithm"] for table in rules["steps"]))
        else:
            del rules["steps"]
        return cls(algorithm, name, scores, json.dumps(rules))

    @property
    def key(self) -> str:
        """A name that is safe in a file name and unique within a comparison."""
        return "-".join(part for part in (self.algorithm.replace(" → ", "+"), self.plan, self.scores) if part)

    @property
    def rules(self) -> dict[str, Any]:
        """The plan as data; one without `steps` applies `algorithm`."""
        return json.loads(self.content) if self.content else read_plan(self.plan)

    @property
    def by_score(self) -> bool:
        """Strata by `scores`: not all of the forget set at once, nor by something that the plan names."""
        return "by" not in self.rules and self.rules.get("strata") != 1

    @property
    def links(self) -> int:
        """How many steps may differ; 1 where their number depends on the forget set."""
        rules = self.rules
        if isinstance(order := rules.get("order"), list):
            return len(order)
        return int(rules.get("strata", 1 if rules.get("by") == "class" else STRATA))

    def forgets(self, protocol: str) -> str:
        """The forget set that it is applied to and judged on, by the score that chose it."""
        return self.scores if protocol == PAPER else FORGET_SET

    def beside(self, algorithm: str, plan: str, protocol: str) -> "Cell":
        """The method without scores of its own that forgets the same examples."""
        return Cell(algorithm, plan, self.scores if protocol == PAPER else "")

    def to_dict(self) -> dict[str, str]:
        """Arguments that make it again."""
        return {name: value for name, value in asdict(self).items() if value or name != "content"}


def grid(
    algorithms: Iterable[str],
    plans: Sequence[str] = PLANS,
    scores: Sequence[str] = ("exact", "confidence"),
    protocol: str = FIXED,
) -> tuple[Cell, ...]:
    """Every plan of every algorithm, of those without strata only the plain one; plans with own algorithms come last.

    Args:
        algorithms: of the plans that name none.
        plans: names of those that ship, or paths of TOML files.
        scores: each gives a cell of its own to a plan by score; under protocol "paper", to every plan.
        protocol: one of PROTOCOLS.

    Raises:
        ValueError: unknown plan.

    Example:
        >>> [cell.key for cell in grid(["nothing", "salun"], ["vanilla", "rum"], ["exact", "loss"])]
        ['nothing-vanilla', 'salun-vanilla', 'salun-rum-exact', 'salun-rum-loss']
    """
    whole = [plan for plan in plans if "steps" in read_plan(plan)]
    cells = [
        Cell.of(algorithm, plan)
        for algorithm in algorithms
        for plan in (("vanilla",) if algorithm in WITHOUT_STRATA else plans)
        if plan not in whole
    ]
    by = {
        cell: scores if protocol == PAPER or cell.by_score else ("",)
        for cell in (*cells, *(Cell.of("", plan) for plan in whole))
    }
    return tuple(replace(cell, scores=score) for cell, each in by.items() for score in each)


def method(
    cell: Cell,
    steps: Steps,
    *,
    ensemble: Ensemble | None = None,
    seed: int = 0,
    scores: Mapping[str, ArrayLike] | None = None,
) -> RUM:
    """What `cell` names, with the hyper-parameters of each step.

    Args:
        cell: algorithm, plan and scores.
        steps: one table for all steps, or one for each in their order; a table may name an algorithm of its own.
        ensemble: where `out_of_sample` takes its targets from.
        seed: draws the strata of a plan by "random".
        scores: what a plan may cut its strata by, as of `RUM`.

    Raises:
        ValueError: unknown plan or algorithm, or a wrong number of steps.
    """
    rules = cell.rules
    if len(steps) not in (1, cell.links):
        raise ValueError(f"steps: expected {cell.links} for plan {cell.plan!r}, got {len(steps)}")
    tables = [{"algorithm": cell.algorithm, **table} for table in steps]
    rules["steps"] = tables if len(tables) > 1 else tables[0]
    if rules.get("by") == "random":
        rules["seed"] = seed
    elif cell.by_score and "strata" in rules:
        rules["by"] = cell.scores
    return replace(RUM.from_dict(rules, ensemble=ensemble), scores=scores or {})
