"""The methods of a comparison: algorithms under plans."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from unmemorize import unlearn
from unmemorize.ensemble import Ensemble
from unmemorize.rum import RUM

PLANS = ("vanilla", "shuffle", "rum")
WITHOUT_STRATA = ("nothing", "retrain")  # the floor and the ceiling: the same under every plan

Steps = list[dict[str, Any]]  # hyper-parameters, one table for each step of the plan


@dataclass(frozen=True)
class Cell:
    """One method of a comparison: an algorithm, the plan that applies it, and the scores that cut its strata."""

    algorithm: str
    plan: str = "vanilla"  # one of PLANS
    scores: str = ""  # "exact" or a proxy's name; only plan "rum" has strata by score

    @property
    def key(self) -> str:
        """A name that is safe in a file name and unique within a comparison."""
        return "-".join(part for part in (self.algorithm, self.plan, self.scores) if part)


def grid(
    algorithms: Iterable[str], plans: Sequence[str] = PLANS, scores: Sequence[str] = ("exact", "confidence")
) -> tuple[Cell, ...]:
    """Every plan of every algorithm, "rum" once for each score; of those without strata only the plain one; none twice.

    Raises:
        ValueError: unknown plan.

    Example:
        >>> [cell.key for cell in grid(["nothing", "salun"], ["vanilla", "rum"], ["exact", "loss"])]
        ['nothing-vanilla', 'salun-vanilla', 'salun-rum-exact', 'salun-rum-loss']
    """
    for plan in plans:
        if plan not in PLANS:
            raise ValueError(f"plan: no plan {plan!r}; known are {', '.join(PLANS)}")
    cells = (
        Cell(algorithm, plan, score)
        for algorithm in algorithms
        for plan in (("vanilla",) if algorithm in WITHOUT_STRATA else plans)
        for score in (scores if plan == "rum" else ("",))
    )
    return tuple(dict.fromkeys(cells))


def method(cell: Cell, steps: Steps, *, ensemble: Ensemble | None = None, seed: int = 0) -> Any:
    """The algorithm or RUM plan that `cell` names, with the hyper-parameters of each step.

    Args:
        cell: algorithm, plan and scores.
        steps: one table for "vanilla", one for each stratum otherwise, lowest stratum first.
        ensemble: where `out_of_sample` takes its targets from.
        seed: draws the random parts of plan "shuffle".

    Raises:
        ValueError: unknown plan or algorithm, or a wrong number of steps.
    """
    extra = {} if ensemble is None else {"ensemble": ensemble}
    algorithms = [unlearn.make(cell.algorithm, **table, **extra) for table in steps]
    if cell.plan == "vanilla":
        if len(algorithms) != 1:
            raise ValueError(f"steps: expected 1 for plan 'vanilla', got {len(algorithms)}")
        return algorithms[0]
    if cell.plan == "shuffle":
        return RUM.shuffle(algorithms, seed)
    if cell.plan == "rum":
        return RUM.refine(algorithms)
    raise ValueError(f"plan: no plan {cell.plan!r}; known are {', '.join(PLANS)}")
