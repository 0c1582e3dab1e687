"""The store: who was trained on what, and what each model said."""

import json
import re
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import time_ns
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays
from unmemorize._files import write_durably
from unmemorize.bits import BitMatrix
from unmemorize.ensemble import estimators
from unmemorize.ensemble.entry import Entry, encode, fingerprint, publish
from unmemorize.errors import StoreError
from unmemorize.events import LearningEvents
from unmemorize.stats import Estimate

KINDS = ("reference", "unlearned", "oracle")
HEADER = "ensemble.json"
SUFFIX = ".entry"


class Ensemble:
    """An append-only folder of model records. Open one with `open` or make one with `create`.

    Any number of processes and hosts may append at once: each entry is a file of its own, which appears whole or not
    at all and is durable when `append` returns. A damaged entry is named in a warning and skipped.

    Example:
        >>> import tempfile
        >>> store = Ensemble.create(tempfile.mkdtemp() + "/store", n_train=4, n_test=2)
        >>> in_out = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
        >>> for member in in_out:
        ...     _ = store.append(member, correct=member, test_correct=[True, False])
        >>> len(store), store.memorization().score
        (2, array([1., 1., 1., 1.]))
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.n_train: int = header["n_train"]
        self.n_test: int = header["n_test"]
        self.data_hash: str | None = header["data_hash"]
        self.recipe_hash: str | None = header["recipe_hash"]

    @classmethod
    def create(
        cls,
        path: str | Path,
        n_train: int,
        n_test: int,
        *,
        data_hash: str | None = None,
        recipe_hash: str | None = None,
    ) -> Self:
        """Make an empty store; a store that is there already with the same header is opened.

        Args:
            path: a new or empty folder.
            n_train: n, training examples.
            n_test: m, test examples.
            data_hash: of the data set, its order included.
            recipe_hash: of the training recipe.

        Raises:
            FileExistsError: the folder holds something else.
            ValueError: a count below 1, or a store of other data or another recipe.
        """
        path = Path(path)
        if n_train < 1 or n_test < 0:
            raise ValueError(f"n_train, n_test: expected at least 1 and 0, got {n_train} and {n_test}")
        header = {"format": 1, "n_train": n_train, "n_test": n_test, "data_hash": data_hash, "recipe_hash": recipe_hash}
        if (path / HEADER).exists():
            store = cls.open(path, data_hash=data_hash, recipe_hash=recipe_hash)
            store._same_shape(n_train, n_test, "this store")
            return store
        if path.exists() and any(path.iterdir()):
            raise FileExistsError(f"{path}: holds files but no ensemble; name an empty or a new folder")
        (path / "entries").mkdir(parents=True, exist_ok=True)
        write_durably(path / HEADER, (json.dumps(header, indent=2) + "\n").encode())
        return cls(path, header)

    @classmethod
    def open(cls, path: str | Path, *, data_hash: str | None = None, recipe_hash: str | None = None) -> Self:
        """Open a store; hashes that are given must be those of the store.

        Raises:
            FileNotFoundError: no store there.
            StoreError: its header is damaged.
            ValueError: it is of other data or another recipe.
        """
        path = Path(path)
        if not (path / HEADER).is_file():
            raise FileNotFoundError(f"{path}: no ensemble here ({HEADER} is missing)")
        try:
            header = json.loads((path / HEADER).read_bytes())
            store = cls(path, header)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path / HEADER}: damaged: {error}") from error
        store._same("data", store.data_hash, data_hash, str(path))
        store._same("recipe", store.recipe_hash, recipe_hash, str(path))
        return store

    def append(
        self,
        member: ArrayLike,
        correct: ArrayLike,
        test_correct: ArrayLike,
        *,
        phi: ArrayLike | None = None,
        test_phi: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        events: LearningEvents | None = None,
        kind: str = "reference",
        forget_hash: str | None = None,
        meta: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        """Add one model's record; it is durable when this returns.

        Args:
            member: bool (n,), what the model was trained on.
            correct: bool (n,), which training examples it gets right.
            test_correct: bool (m,), which test examples it gets right.
            phi: floating (n,), log-odds of the true label; kept as float16.
            test_phi: floating (m,), the same of the test examples.
            probs: floating (n, C), softmax; kept as float16, 2 n C bytes.
            events: learning events of this training run.
            kind: "reference", "unlearned" or "oracle"; only references feed the estimators.
            forget_hash: of the forget set of an unlearned model or an oracle.
            meta: what JSON can hold: seed, versions, seconds. A "data_hash" or "recipe_hash" in it must be the store's.
            key: a name of the caller's, safe in a file name: appended again with one key, a model counts once.

        Returns:
            The entry's id.

        Raises:
            TypeError: a dtype that does not fit.
            ValueError: a shape or value that does not fit, a record of other data, or a key that is taken by another.
            OSError: the disk is full, ...; the store is as it was.
        """
        meta = meta or {}
        if kind not in KINDS:
            raise ValueError(f"kind: no kind {kind!r}; known are {', '.join(KINDS)}")
        if key is not None and not re.fullmatch(r"[\w][\w.-]{0,199}", key):
            raise ValueError(f"key: expected letters, digits, '.', '_' and '-', at most 200, got {key!r}")
        self._same("data", self.data_hash, meta.get("data_hash"), "meta")
        self._same("recipe", self.recipe_hash, meta.get("recipe_hash"), "meta")
        arrays = {
            "member": _packed(member, "member", self.n_train),
            "correct": _packed(correct, "correct", self.n_train),
            "test_correct": _packed(test_correct, "test_correct", self.n_test),
        }
        for name, values, length in (("phi", phi, self.n_train), ("test_phi", test_phi, self.n_test)):
            if values is not None:
                arrays[name] = _halves(values, name, length, 1)
        if probs is not None:
            arrays["probs"] = _halves(probs, "probs", self.n_train, 2)
        if events is not None:
            arrays |= {f"proxy/{name}": values.astype(np.float32) for name, values in events.proxies().items()}
        record = {"kind": kind, "forget_hash": forget_hash, "meta": meta}
        name = key or f"{time_ns():020d}-{uuid.uuid4().hex}"
        return self._publish(name, encode(arrays, record))

    def _publish(self, name: str, content: bytes) -> str:
        path = self.path / "entries" / f"{name}{SUFFIX}"
        if not publish(path, content) and Entry(path).fingerprint != fingerprint(content):
            raise ValueError(f"key: {name!r} is taken by another model in {self.path}; give each its own")
        return name

    def entries(self, kind: str | None = "reference") -> Iterator[Entry]:
        """The sound entries of a kind (None: of any), in the order of their ids; damaged ones are warned of."""
        for entry in self._files():
            try:
                if kind in (None, entry.record["kind"]):
                    entry.check()
                    yield entry
            except StoreError as error:
                warnings.warn(f"{error}; it is skipped", stacklevel=3)

    def _files(self) -> Iterator[Entry]:
        folder = self.path / "entries"
        names = sorted(path.name for path in folder.iterdir())
        yield from (Entry(folder / name) for name in names if name.endswith(SUFFIX) and not name.startswith("."))

    def __len__(self) -> int:
        return sum(1 for _ in self.entries())

    def verify(self) -> dict[str, str]:
        """Read every entry; what is wrong with each damaged one, by its id. An empty dict: all is well."""
        damage = {}
        for entry in self._files():
            try:
                entry.check()
            except StoreError as error:
                damage[entry.id] = str(error)
        return damage

    def describe(self) -> dict[str, Any]:
        """What the store holds: sizes, hashes, entries by kind, bytes on disk, damaged entries."""
        counts = {kind: sum(1 for _ in self.entries(kind)) for kind in KINDS}
        size = sum(entry.path.stat().st_size for entry in self._files())
        about = {"n_train": self.n_train, "n_test": self.n_test, "data_hash": self.data_hash}
        return {**about, "recipe_hash": self.recipe_hash, **counts, "bytes": size, "damaged": self.verify()}

    def merge(self, other: "str | Path | Ensemble") -> Self:
        """Copy the entries of another store that this one does not have.

        Raises:
            ValueError: the other store is of other data, another recipe or other sizes.
        """
        theirs = other if isinstance(other, Ensemble) else Ensemble.open(other)
        self._same("data", self.data_hash, theirs.data_hash, str(theirs.path))
        self._same("recipe", self.recipe_hash, theirs.recipe_hash, str(theirs.path))
        theirs._same_shape(self.n_train, self.n_test, str(self.path))
        for entry in theirs.entries(None):
            self._publish(entry.id, entry.path.read_bytes())
        return self

    def matrices(self) -> tuple[BitMatrix, BitMatrix, BitMatrix]:
        """Member and correct (T, n), test_correct (T, m) of the reference models, one bit an element.

        Raises:
            ValueError: the store holds no reference model.
        """
        rows: dict[str, list[NDArray[np.uint8]]] = {"member": [], "correct": [], "test_correct": []}
        for entry in self.entries():
            for name, parts in rows.items():
                parts.append(np.array(entry.array(name)))
        if not rows["member"]:
            raise ValueError(f"{self.path}: holds no reference model; train some first")
        sizes = {"member": self.n_train, "correct": self.n_train, "test_correct": self.n_test}
        member, correct, test = (BitMatrix.from_packed(np.stack(rows[name]), sizes[name]) for name in rows)
        return member, correct, test

    def memorization(self, *, legacy: bool = False, n_threads: int | None = None) -> estimators.Memorization:
        """Exact memorization of every training example; see `estimators.memorization`."""
        member, correct, _ = self.matrices()
        return estimators.memorization(member, correct, legacy=legacy, n_threads=n_threads)

    def c_score(self, *, n_threads: int | None = None) -> NDArray[np.float64]:
        """P[correct | not a member] of every training example."""
        member, correct, _ = self.matrices()
        return estimators.c_score(member, correct, n_threads=n_threads)

    def influence_topk(self, k: int, *, n_threads: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k most influential training examples of every test example; see `estimators.influence_topk`."""
        member, _, test = self.matrices()
        return estimators.influence_topk(member, test, k, n_threads=n_threads)

    def reliability(self, *, splits: int = 20, seed: int = 0, n_threads: int | None = None) -> Estimate:
        """Split-half reliability of the memorization scores: the ceiling of any proxy's correlation with them."""
        member, correct, _ = self.matrices()
        return estimators.reliability(member, correct, splits=splits, seed=seed, n_threads=n_threads)

    def out_of_sample(self, ids: ArrayLike | None = None) -> NDArray[np.float64]:
        """Mean softmax over the reference models that never saw an example.

        Args:
            ids: rows of training examples; None: all.

        Returns:
            float64 (len(ids), C), NaN where every model saw the example. One entry is in memory at a time.

        Raises:
            ValueError: no entry holds softmax.
            IndexError: an id that is out of range.
        """
        rows = np.arange(self.n_train) if ids is None else _arrays.integers(ids, "ids")
        if rows.size and (rows.min() < 0 or rows.max() >= self.n_train):
            wrong = rows.max() if rows.max() >= self.n_train else rows.min()
            raise IndexError(f"ids: {wrong} is out of range for an ensemble of {self.n_train} examples")
        total: NDArray[np.float64] | None = None
        count = np.zeros(len(rows))
        for entry in self.entries():
            if "probs" not in entry.names:
                continue
            probs = entry.array("probs")
            total = np.zeros((len(rows), probs.shape[1])) if total is None else total
            out = ~_unpacked(entry.array("member"), self.n_train)[rows]
            total[out] += probs[rows[out]]
            count += out
        if total is None:
            raise ValueError(f"{self.path}: no entry holds softmax; append models with probs=")
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / count[:, None]

    def _same(self, what: str, ours: str | None, theirs: str | None, where: str) -> None:
        if ours is not None and theirs is not None and ours != theirs:
            raise ValueError(f"{where}: {what} hash is {theirs}, expected {ours} as in {self.path}; models of other "
                             f"{what} are not mixed")  # fmt: skip

    def _same_shape(self, n_train: int, n_test: int, where: str) -> None:
        if (n_train, n_test) != (self.n_train, self.n_test):
            raise ValueError(f"{self.path}: has {self.n_train} training and {self.n_test} test examples, "
                             f"{where} has {n_train} and {n_test}")  # fmt: skip


def _packed(values: ArrayLike, name: str, length: int) -> NDArray[np.uint8]:
    array, dtype = _arrays.to_numpy(values)
    if dtype != "bool":
        raise TypeError(f"{name}: expected bool, got {dtype}")
    if array.shape != (length,):
        raise ValueError(f"{name}: expected shape ({length},) to match this ensemble, got {array.shape}")
    return np.packbits(array, bitorder="little")


def _unpacked(bits: NDArray[np.uint8], length: int) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=length, bitorder="little").view(np.bool_)


def _halves(values: ArrayLike, name: str, length: int, dimensions: int) -> NDArray[np.float16]:
    """As float16; what is beyond its range becomes its largest value, as a log-odds of 65504 is as certain as any."""
    array, dtype = _arrays.to_numpy(values)
    if array.dtype.kind != "f":
        raise TypeError(f"{name}: expected floating numbers, got {dtype}")
    if array.ndim != dimensions or len(array) != length:
        shape = f"({length},)" if dimensions == 1 else f"({length}, C)"
        raise ValueError(f"{name}: expected shape {shape} to match this ensemble, got {array.shape}")
    if np.isnan(array).any():
        raise ValueError(f"{name}: {int(np.isnan(array).sum())} of {array.size} values are NaN")
    limit = float(np.finfo(np.float16).max)
    return np.clip(array, -limit, limit).astype(np.float16)
