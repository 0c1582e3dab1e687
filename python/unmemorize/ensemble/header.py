"""What all models of a store have in common: the data set and the recipe."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from unmemorize._files import write_durably
from unmemorize.errors import StoreError

FORMAT = "unmemorize.Ensemble/1"


@dataclass(frozen=True)
class Header:
    """Sizes and hashes of a store, and of each of its entries.

    Attributes:
        n_train: Training examples (n), at least 1.
        n_test: Test examples (m), at least 0.
        data_hash: Of the data set, its order included; None: not known.
        recipe_hash: Of the training recipe; None: not known.
    """

    n_train: int
    n_test: int
    data_hash: str | None = None
    recipe_hash: str | None = None

    def __post_init__(self) -> None:
        if self.n_train < 1 or self.n_test < 0:
            raise ValueError(f"n_train, n_test: expected at least 1 and 0, got {self.n_train} and {self.n_test}")

    def expect(self, whose: str, **expected: Any) -> None:
        """Check fields against what is ``expected`` of them.

        Raises:
            ValueError: Naming the first field that differs and both values.
        """
        for name, value in expected.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{whose}: {name} is {getattr(self, name)!r}, expected {value!r}; "
                    "models of other data or another recipe are not mixed"
                )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; other keys are passed over."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__})

    @staticmethod
    def file(folder: Path) -> Path:
        """Where a store keeps its header."""
        return folder / "ensemble.json"

    def save(self, folder: Path) -> None:
        """Write the header of the store in ``folder``, durably."""
        content = {"format": FORMAT, **self.to_dict()}
        text = json.dumps({**content, "digest": _digest(content)}, indent=2)
        write_durably(self.file(folder), (text + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the header of the store in ``folder``.

        Raises:
            FileNotFoundError: There is none.
            StoreError: It is damaged or something else.
        """
        path = cls.file(folder)
        if not path.is_file():
            raise FileNotFoundError(f"{folder}: no ensemble here ({path.name} is missing)")
        try:
            content = json.loads(path.read_bytes())
            stored = content.pop("digest")
            if content["format"] != FORMAT or stored != _digest(content):
                raise ValueError("its contents do not match its checksum")
            return cls.from_dict(content)
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise StoreError(f"{path}: damaged: {error!r}") from error


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
