"""All that a loop over examples needs, once: device, precision, seeds, batches, progress, a checked step."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from unmemorize.data import Examples
from unmemorize.train.progress import track

CHECK_EVERY = 64  # steps between looks at a loss on a GPU, where each look waits for it
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class DivergedError(RuntimeError):
    """The loss of a step is not finite; the message names the epoch and the step."""


@dataclass(eq=False)
class Context:
    """Where and how a loop runs. The same seed gives the same bits on one machine with one number of torch threads.

    Args:
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", ...
        dtype: of the forward pass: "auto" (bfloat16 on a GPU that has it, else float32), "float32" or "bfloat16".
        seed: of the order of batches and of everything random in an algorithm.
        batch_size: examples in a step.
        run_dir: where a long loop keeps what it needs to go on after it was killed; None: nowhere.
        progress: show a bar on a terminal.
        save_every: seconds between the checkpoints in `run_dir`.
        criterion: the loss that training descends on and unlearning descends and ascends on: of logits, float32 (b, C),
            and labels, int64 (b,); some algorithms teach probabilities, float32 (b, C), as
            `torch.nn.functional.cross_entropy` takes them too.

    Attributes:
        costs: seconds of the parts of a step that `timed` was told of.

    Raises:
        ValueError: an unknown device or dtype, or a batch size below 1.

    Example:
        >>> from unmemorize.data import load
        >>> ctx = Context(device="cpu", batch_size=500, progress=False)
        >>> [len(batch) for batch in ctx.batches(load("digits").train)]
        [432, 432, 431]
    """

    device: torch.device | str = "auto"
    dtype: torch.dtype | str = "auto"
    seed: int = 0
    batch_size: int = 256
    run_dir: str | Path | None = None
    progress: bool = True
    save_every: float = 30.0
    criterion: Callable[[Tensor, Tensor], Tensor] = cross_entropy

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")
        self.device = _device(self.device)
        self.dtype = _dtype(self.dtype, self.device)
        self.costs: dict[str, float] = {}
        self._place = ""  # the epoch, for messages
        self._steps = 0  # taken in this epoch
        self._unchecked: list[Tensor] = []  # losses of the newest of them

    @cached_property
    def generator(self) -> Generator:
        """Random numbers for the loop, on the CPU so that they are the same for every device."""
        return Generator().manual_seed(self.seed)

    def seeded(self, seed: int) -> "Context":
        """The same context with a fresh random state."""
        return replace(self, seed=seed)

    def sgd(
        self, model: nn.Module, lr: float, momentum: float = 0.9, weight_decay: float = 5e-4, nesterov: bool = False
    ) -> Optimizer:
        """Stochastic gradient descent with the papers' defaults."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        return torch.optim.SGD(
            parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, foreach=True
        )

    def epochs(self, n: int, what: str = "", *, start: int = 0) -> Iterator[int]:
        """`start`, ..., n - 1, with a progress bar.

        Within the loop torch's own random numbers (those of dropout, say) follow from this context's; afterwards they
        go on as if nothing had been.

        Raises:
            DivergedError: the loss of a step was not finite.
        """
        numbers = range(start, n)
        with torch.random.fork_rng(devices=[self.device] if torch.device(self.device).type == "cuda" else []):
            for epoch in track(numbers, what or "epochs") if self.progress else numbers:
                torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
                self._place, self._steps = f"epoch {epoch}, ", 0
                yield epoch
                self.check()
        self._place = ""

    def batches(self, examples: Examples, *, shuffle: bool = True, batch_size: int | None = None) -> Iterator[Examples]:
        """One pass over `examples` in as few batches as `batch_size` allows, equal in size up to one example.

        No batch is a small remainder, whose normalisation statistics would be noise.
        """
        n = len(examples)
        order = torch.randperm(n, generator=self.generator) if shuffle else torch.arange(n)
        for positions in order.tensor_split(max(-(-n // (batch_size or self.batch_size)), 1)):
            yield examples.take(positions)

    def cycle(self, examples: Examples) -> Iterator[Examples]:
        """Passes over `examples` without end, each in an order of its own.

        Raises:
            ValueError: there are no examples, so there is no next batch.
        """
        if not len(examples):
            raise ValueError("examples: a cycle needs at least 1 example, got 0")
        while True:
            yield from self.batches(examples)

    def forward(self, model: nn.Module, images: Tensor) -> Tensor:
        """Logits in float32, computed in the precision of this context."""
        assert isinstance(self.device, torch.device)
        assert isinstance(self.dtype, torch.dtype)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits: Tensor = model(images)
        return logits.float()

    def loss(self, model: nn.Module, batch: Examples) -> Tensor:
        """The criterion, mean cross-entropy if none was given, of a batch, the model in train mode."""
        if not model.training:
            model.train()
        return self.criterion(self.forward(model, batch.images), batch.labels)

    def step(self, optimizer: Optimizer, loss: Tensor) -> None:
        """One step down the gradient of `loss`.

        Raises:
            DivergedError: the loss is not finite. On a CPU no step is taken then; on a GPU it is noticed up to
                `CHECK_EVERY` steps, or an epoch, later.
        """
        self._unchecked.append(loss.detach())
        self._steps += 1
        if loss.device.type == "cpu" or len(self._unchecked) >= CHECK_EVERY:
            self.check()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def check(self) -> None:
        """Look at the losses since the last look, which on a GPU waits for it.

        Raises:
            DivergedError: one of them is not finite; the first such is named.
        """
        losses, self._unchecked = [float(loss) for loss in self._unchecked], []
        for step, loss in enumerate(losses, self._steps - len(losses)):
            if not math.isfinite(loss):
                raise DivergedError(f"{self._place}step {step}: the loss is {loss}; a lower learning rate may help")

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds of the block to `costs`."""
        start = perf_counter()
        yield
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize(self.device)
        self.costs[what] = self.costs.get(what, 0.0) + perf_counter() - start

    @torch.no_grad()
    def logits(self, model: nn.Module, examples: Examples) -> Tensor:
        """Eval-mode logits, float32 (n, C), in the order of `examples`; the model's mode is kept."""
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            parts = [
                self.forward(model, examples.take(part).images.to(self.device))
                for part in torch.arange(len(examples)).split(max(self.batch_size, 512))  # type: ignore[no-untyped-call]
            ]
        finally:
            for module, mode in modes:
                module.training = mode
        return torch.cat(parts)

    def accuracy(self, model: nn.Module, examples: Examples) -> float:
        """Share of `examples` that the model gets right in eval mode; NaN of none."""
        right = self.logits(model, examples).argmax(1) == examples.labels.to(self.device)
        return float(right.double().mean())


def _device(device: torch.device | str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:N, got {device!r}") from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: {device} was asked for, this machine has {torch.cuda.device_count()} CUDA devices")
    return found


def _dtype(dtype: torch.dtype | str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise ValueError(f"dtype: expected auto, {' or '.join(DTYPES)}, got {dtype}")
    return found
