"""What the reference models of a store are, and in which groups they are trained."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from unmemorize._files import write_durably
from unmemorize.data import Data
from unmemorize.ensemble import Design
from unmemorize.errors import StoreError
from unmemorize.models import build, can_stack
from unmemorize.train import Context, Recipe, derive_seed
from unmemorize.train.context import DTYPES

REFERENCE_DESIGNS = ("balanced", "independent", "pairs", "targeted")
STACKS = (10, 5, 2)  # models trained at once, largest first
STACKED_FLOPS = (
    250e6  # of a forward pass over a batch of the whole stack; beyond, arithmetic outweighs what stacking saves
)

Group = range  # of models, trained together


@dataclass(frozen=True)
class Plan:
    """Enough to train each model of an ensemble anew, with the same bits on the same machine.

    Args:
        data_hash: of the data set.
        recipe: how each model is trained.
        design: which subset each model gets, one of `REFERENCE_DESIGNS`.
        ratio: share of the training set in each subset.
        seed: everything random follows from it.
        dtype: of the forward pass, as in `Context`.
        stack: models trained at once, in one process. Rounding depends on it, so it is part of what a model is.
        ids: rows of the candidates of design "targeted".

    Raises:
        ValueError: an unknown design or dtype, or a stack of less than 1.
    """

    data_hash: str
    recipe: Recipe
    design: str = "balanced"
    ratio: float = 0.7
    seed: int = 0
    dtype: str = "auto"
    stack: int = 1
    ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.design not in REFERENCE_DESIGNS:
            raise ValueError(f"design: no design {self.design!r}; known are {', '.join(REFERENCE_DESIGNS)}")
        if (self.design == "targeted") != bool(self.ids):
            raise ValueError(f"ids: candidates are for design 'targeted', which needs them; got {self.design!r} and "
                             f"{len(self.ids)} ids")  # fmt: skip
        if self.dtype not in ("auto", *DTYPES):
            raise ValueError(f"dtype: expected auto, {' or '.join(DTYPES)}, got {self.dtype}")
        if self.stack < 1:
            raise ValueError(f"stack: expected at least 1, got {self.stack}")

    def subsets(self, n: int, models: int) -> Design:
        """Which of `n` examples each of `models` models is trained on."""
        return Design(self.design, n, models, self.ratio, derive_seed(self.seed, "design"), list(self.ids) or None)

    def seed_of(self, model: int) -> int:
        """The seed of a model: its initial parameters and the order of its batches."""
        return derive_seed(self.seed, "reference", model)

    def block(self, models: int) -> int:
        """The models of a design that are balanced by themselves."""
        if self.design == "independent":
            return 1
        whole = Fraction(repr(float(self.ratio))).denominator
        return whole if models % whole == 0 else models

    def groups(self, first: int, models: int) -> Iterator[Group]:
        """Models `first`, ..., `models` - 1 in groups of up to `stack`.

        A group that is smaller than a block does not reach beyond it, a larger one has whole blocks: so a block is
        finished with its last group.
        """
        block = self.block(models)
        span = max(self.stack // block, 1) * block
        for start in range(first, models, span):
            end = min(start + span, models)
            yield from (range(at, min(at + self.stack, end)) for at in range(start, end, self.stack))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{**fields, "recipe": Recipe.from_dict(fields["recipe"]), "ids": tuple(fields["ids"])})


def stack_for(recipe: Recipe, of: Data, device: str = "auto", dtype: str = "auto") -> int:
    """How many models to train at once: as many as cost one CPU core more to start their operations than to do them.

    Measured on one core (docs/ensembles.md): a stack of 5 trains the small network for digits 1.35 times as fast, and
    nothing is won where a step has more than `STACKED_FLOPS`; in bfloat16, where as many take half as long, than twice
    that. A GPU was not measured: there it is 1.
    """
    network, ctx = build(recipe.model, of), Context(device=device, dtype=dtype)
    if torch.device(ctx.device).type != "cpu" or not can_stack(network, of.shape):
        return 1
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(2, *of.shape))
    flops = counter.get_total_flops() / 2 * recipe.batch_size
    most = STACKED_FLOPS * (2 if ctx.dtype == torch.bfloat16 else 1)
    return next((stack for stack in STACKS if stack * flops <= most), 1)


class Books:
    """The file beside a store that says what its reference models are and how many were asked for.

    Args:
        folder: of the store.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "training.json"

    def load(self) -> tuple[Plan, list[int]] | None:
        """The plan and the numbers of models asked for, smallest first; None where nothing was trained yet.

        Raises:
            StoreError: the file is damaged, or of another version of this package.
        """
        if not self.path.exists():
            return None
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return Plan.from_dict(content["plan"]), [int(size) for size in content["sizes"]]
        except (ValueError, LookupError, TypeError) as error:
            raise StoreError(f"{self.path}: damaged, or of another version: {error!r}") from error

    def claim(self, plan: Plan, models: int, n: int) -> list[int]:
        """Enter `models` models of `plan` for `n` training examples; the sizes the ensemble grew through.

        Raises:
            ValueError: the store holds models of another plan, or those of fewer models are not among those of more.
        """
        found = self.load()
        ours = plan.to_dict()
        theirs, sizes = (found[0].to_dict(), found[1]) if found else (ours, [])
        for name, value in ours.items():
            if theirs[name] != value:
                raise ValueError(
                    f"{self.path.parent}: holds models of {name} {theirs[name]!r}, expected {value!r}; "
                    "name another folder"
                )
        for size in sizes:
            rows = zip(plan.subsets(n, size).rows(), plan.subsets(n, models).rows(), strict=False)
            if not all(np.array_equal(*pair) for pair in rows):
                raise ValueError(
                    f"models: a {plan.design} design of {size} models does not grow to one of {models}; from the first "
                    f"on, ask for multiples of {Fraction(repr(float(plan.ratio))).denominator}"
                )
        if not sizes or models > sizes[-1]:
            sizes = [*sizes, models]
            content = {"plan": ours, "sizes": sizes}
            write_durably(self.path, (json.dumps(content, indent=2) + "\n").encode())
        return sizes
