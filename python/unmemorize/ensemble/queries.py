"""The store with the questions that it answers."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmemorize import _arrays
from unmemorize.bits import BitMatrix
from unmemorize.ensemble import estimators, influences
from unmemorize.ensemble.entry import Entry
from unmemorize.ensemble.estimators import Memorization
from unmemorize.ensemble.portable import PortableStore
from unmemorize.stats import Estimate


class Ensemble(PortableStore):
    """Many models, each trained on a known subset: what does each example do to a model that has not seen it?

    Estimates come from the entries of the kind ``reference`` alone. Example i is *in* a model that was trained on it.

    Files are read one model at a time; what is held are the bits that a question needs, packed. So memorization takes
    2 T n / 8 bytes, half as much again while they are gathered, and O(n): 1.84 GiB at the peak, as measured, of 4,000
    models and 1.28 million examples.

    Example:
        >>> import tempfile
        >>> store = Ensemble.create(tempfile.mkdtemp() + "/store", n_train=4, n_test=2)
        >>> for member in np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool):
        ...     entry_id = store.append(member, correct=member, test_correct=np.array([True, False]))
        >>> len(store), store.memorization().score
        (2, array([1., 1., 1., 1.]))
    """

    def bits(self, *names: str) -> tuple[BitMatrix, ...]:
        """Matrices of the reference models, all of the same models, whatever is appended meanwhile.

        Args:
            names: ``member`` or ``correct`` (T, n), ``test_correct`` (T, m).

        Returns:
            One matrix for each name. Memory O(T n) bits.

        Raises:
            ValueError: The store holds no reference model.
        """
        models = self.entries("reference")
        if not models:
            raise ValueError(f"{self.path}: holds no reference model; append some first")
        return tuple(self._stack(models, name) for name in names)

    def _stack(self, models: list[Entry], name: str) -> BitMatrix:
        n = self.header.n_test if name == "test_correct" else self.header.n_train
        packed = np.empty((len(models), -(-n // 8)), np.uint8)
        for row, entry in zip(packed, models, strict=True):
            row[:] = entry.array(name)
        return BitMatrix.from_packed(packed, n)

    @property
    def member(self) -> NDArray[np.bool_]:
        """Which examples each reference model was trained on: bool (T, n). Memory O(T n) bytes."""
        return self.bits("member")[0].unpack()

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which training examples each reference model gets right: bool (T, n). Memory O(T n) bytes."""
        return self.bits("correct")[0].unpack()

    @property
    def test_correct(self) -> NDArray[np.bool_]:
        """Which test examples each reference model gets right: bool (T, m). Memory O(T m) bytes."""
        return self.bits("test_correct")[0].unpack()

    def memorization(self, *, soft: bool = False, legacy: bool = False, n_threads: int | None = None) -> Memorization:
        """P[correct | in] - P[correct | not in] of every training example; see `unmemorize.memorization`.

        Args:
            soft: By p[y] in place of right and wrong, from the log-odds of the models that hold them; see
                `unmemorize.ensemble.soft_memorization`.
            legacy: As in the code published with the papers; not with ``soft``.
            n_threads: Threads to use; None: all that the process may use.

        Raises:
            ValueError: The store holds no reference model, or none with log-odds.
        """
        if not soft:
            return estimators.memorization(*self.bits("member", "correct"), legacy=legacy, n_threads=n_threads)
        if legacy:
            raise ValueError("legacy: there is no published code of the soft variant; give soft or legacy")
        models = [entry for entry in self.entries("reference") if "phi" in entry.arrays]
        if not models:
            raise ValueError(f"{self.path}: no reference model holds log-odds; append them with phi=")
        confidence = (_sigmoid(entry.array("phi").astype(np.float64)) for entry in models)
        return estimators.soft_memorization(self._stack(models, "member"), confidence, n_threads=n_threads)

    def c_score(self, *, n_threads: int | None = None) -> NDArray[np.float64]:
        """P[correct | not in] of every training example: float64 (n,), NaN where every model saw it."""
        return estimators.c_score(*self.bits("member", "correct"), n_threads=n_threads)

    def influence_topk(self, k: int, *, n_threads: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k most influential training examples of every test example; see `unmemorize.influence_topk`."""
        member, test_correct = self.bits("member", "test_correct")
        return influences.influence_topk(member, test_correct, k, n_threads=n_threads)

    def reliability(
        self, *, of: str = "memorization", splits: int = 20, seed: int = 0, n_threads: int | None = None
    ) -> Estimate:
        """Split-half reliability of "memorization" or "c_score": the ceiling of any proxy's correlation with it."""
        bits = self.bits("member", "correct")
        return estimators.reliability(*bits, of=of, splits=splits, seed=seed, n_threads=n_threads)

    def out_of_sample(self, ids: ArrayLike | None = None, *, n_threads: int | None = None) -> NDArray[np.float64]:
        """Mean softmax over the reference models that never saw an example.

        Args:
            ids: Rows of training examples, integers (k,); None: all.
            n_threads: Threads to use; None: all that the process may use.

        Returns:
            float64 (k, C), NaN where every model saw the example. Memory O(T k + n C): softmax of one model at a time.

        Raises:
            ValueError: No reference model holds softmax, or they have different numbers of classes.
            IndexError: An id is out of range.
        """
        n = self.header.n_train
        rows = np.arange(n) if ids is None else _arrays.integers(ids, "ids", "(k,)")
        outside = rows[(rows < 0) | (rows >= n)]
        if len(outside):
            raise IndexError(f"ids: {outside[0]} is out of range for an ensemble of {n} examples")
        models = [entry for entry in self.entries("reference") if "probs" in entry.arrays]
        if not models:
            raise ValueError(f"{self.path}: no reference model holds softmax; append them with probs=")
        if len({entry.arrays["probs"][1] for entry in models}) > 1:
            raise ValueError(f"{self.path}: its models have softmax of different numbers of classes")
        member = np.stack([entry.member[rows] for entry in models])
        return estimators.out_of_sample(member, (entry.array("probs")[rows] for entry in models), n_threads=n_threads)


def _sigmoid(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """p[y] of log-odds, without overflow."""
    return np.exp(-np.logaddexp(0, -phi))
