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
        for name, kind in (("n_train", int), ("n_test", int), ("data_hash", str | None), ("recipe_hash", str | None)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name}: got {getattr(self, name)!r}")
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
        write_durably(self.file(folder), seal({"format": FORMAT, **self.to_dict()}))

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
            return cls.from_dict(unseal(path.read_bytes(), FORMAT))
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise StoreError(f"{path}: damaged: {error!r}") from error


def seal(content: Mapping[str, Any]) -> bytes:
    """JSON with its own checksum, to be read by people too."""
    return (json.dumps({**content, "digest": _digest(content)}, indent=2) + "\n").encode()


def unseal(sealed: bytes, expected: str) -> dict[str, Any]:
    """The inverse of `seal`.

    Raises:
        ValueError: It was altered or is of another format; for what is no such JSON, AttributeError, LookupError,
            TypeError or RecursionError too.
    """
    content: dict[str, Any] = json.loads(sealed)
    stored = content.pop("digest")
    if content["format"] != expected or stored != _digest(content):
        raise ValueError("its contents do not match its checksum")
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
