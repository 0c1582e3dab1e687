"""What an experiment is: its settings, which name everything that is trained, and the seeds derived from them."""

import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Self

from unmemorize._files import UNFINISHED, write_durably
from unmemorize.errors import StoreError
from unmemorize.experiment.methods import FIXED, PROTOCOLS
from unmemorize.train import derive_seed, resolve


@dataclass(frozen=True)
class Settings:
    """One experiment. Two experiments with equal settings give equal numbers on one machine."""

    data: str = "digits"
    noise: float = 0.05  # share of training labels flipped
    data_seed: int = 0  # draws the flips
    val_share: float = 0.1
    normalize: bool = True
    recipe: str = "digits"
    device: str = "auto"
    seed: int = 0
    models: int = 100  # subset models of the ensemble
    ratio: float = 0.7  # share of the training set in each subset
    runs: int = 5  # training seeds: independent originals, and as many oracles
    unlearnings: int = 1  # unlearning seeds, of each original
    attacks: int = 1  # evaluation seeds, of each unlearned model and each oracle
    size: int = 135  # examples to forget
    scores: tuple[str, ...] = ("exact", "confidence")  # what strata may be cut by
    protocol: str = FIXED  # one of PROTOCOLS: the exact score chooses what all methods forget, or each score does

    def __post_init__(self) -> None:
        resolve(self.recipe)
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol: no protocol {self.protocol!r}; known are {', '.join(PROTOCOLS)}")
        if not 0.0 < self.ratio < 1.0:
            raise ValueError(f"ratio: expected a share above 0 and below 1, got {self.ratio}")
        for name, least in (("models", 4), ("runs", 1), ("unlearnings", 1), ("attacks", 1), ("size", 3)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")

    @property
    def source(self) -> dict[str, Any]:
        """What `unmemorize.data.load` needs to load the data set."""
        options = {"val_share": self.val_share, "normalize": self.normalize, "noise": self.noise}
        return {"name": self.data, **options, "seed": self.data_seed}

    def seed_of(self, role: str, index: int = 0) -> int:
        """A seed of its own for each thing that is random: no two roles share a stream."""
        return derive_seed(self.seed, role, index)

    def seeds(self) -> dict[str, int | list[int]]:
        """Every seed that the experiment uses, by role."""
        single = {role: self.seed_of(role) for role in ("design", "reliability")}
        each = {role: [self.seed_of(role, i) for i in range(self.runs)] for role in ("original", "oracle", "shuffle")}
        return {"run": self.seed, "data": self.data_seed, **single, **each, "attack": list(range(self.attacks))}

    def save(self, folder: Path) -> None:
        """Claim `folder` for this experiment.

        Raises:
            FileExistsError: the folder holds another experiment, or files that are none.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "settings.json"
        if path.exists():
            self._same_as(Settings.load(folder), folder)
            return
        if any(not entry.name.endswith(UNFINISHED) for entry in folder.iterdir()):
            raise FileExistsError(f"{folder}: holds files but no experiment; name an empty or a new folder")
        write_durably(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def _same_as(self, other: "Settings", folder: Path) -> None:
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if ours != theirs:
                raise FileExistsError(
                    f"{folder}: holds another run, with {field.name} {theirs!r} where this one has {ours!r}; "
                    "name another folder, or remove it"
                )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the settings that claimed `folder`.

        Raises:
            StoreError: the file is damaged, or of another version of this package.
        """
        path = folder / "settings.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text())
            values["scores"] = tuple(values["scores"])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: damaged, or of another version: {error}") from error


@cache
def load_settings(folder: str) -> Settings:
    """`Settings.load`, once a process."""
    return Settings.load(Path(folder))
