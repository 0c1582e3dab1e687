"""Training: one loop, recipes as data, checkpoints without pickle."""

from unmemorize.train.checkpoint import load_checkpoint, save_checkpoint
from unmemorize.train.context import Context, DivergedError
from unmemorize.train.fit import fit
from unmemorize.train.fit_stacked import fit_stacked
from unmemorize.train.overhead import Overhead, overhead
from unmemorize.train.recipes import RECIPES, Recipe, resolve
from unmemorize.train.resume import seconds_in
from unmemorize.train.seeds import derive_seed

__all__ = [
    "RECIPES",
    "Context",
    "DivergedError",
    "Overhead",
    "Recipe",
    "derive_seed",
    "fit",
    "fit_stacked",
    "load_checkpoint",
    "overhead",
    "resolve",
    "save_checkpoint",
    "seconds_in",
]
