"""Models per minute by technique, interleaved, medians: `python benches/throughput.py`.

Every technique trains models of 70% subsets of the embedded digits with the recipe "digits" and asks each for its
answers on the whole training and test set. Workers are started before the clock.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Subset
from unmemorize import Context, data, ensemble, models, train
from unmemorize.engine import Crew
from unmemorize.engine.plan import Plan
from unmemorize.engine.references import train_panel
from unmemorize.engine.training import train_ensemble

ROUNDS = 2 if len(sys.argv) < 2 else int(sys.argv[1])
SOURCE = {"name": "digits", "noise": 0.05}
DIGITS = data.load(**SOURCE)
RECIPE = train.RECIPES["digits"]
MEMBER = ensemble.balanced(len(DIGITS.train), 20, 0.7)


class Images(Dataset[tuple[Tensor, int]]):
    """What a tutorial would have."""

    def __init__(self, examples: data.Examples) -> None:
        self.images, self.labels = examples.images, examples.labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.images[i], int(self.labels[i])


def first_loop() -> int:
    """Dataset, DataLoader, one model after another."""
    whole, test = Images(DIGITS.train), Images(DIGITS.test)
    model = models.build(RECIPE.model, DIGITS, seed=0)
    loader = DataLoader(Subset(whole, np.flatnonzero(MEMBER[0]).tolist()), batch_size=RECIPE.batch_size, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=RECIPE.lr, momentum=0.9, weight_decay=5e-4)
    steps = RECIPE.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: RECIPE.lr_at(step / (steps + 1)) / RECIPE.lr)
    model.train()
    for _ in range(RECIPE.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        for part in (whole, test):
            torch.cat([model(images).argmax(1) == labels for images, labels in DataLoader(part, batch_size=256)])
    return 1


def in_this_process(stack: int) -> int:
    """`fit` or `fit_stacked`, the data held as tensors, learning events recorded."""
    ctx = Context(device="cpu", progress=False)
    panel, _ = train_panel(Plan(DIGITS.hash, RECIPE, stack=stack), DIGITS, MEMBER[:stack], range(stack), ctx)
    for part in (DIGITS.train, DIGITS.test):
        ctx.logits(panel, part)
    return stack


def with_threads(count: int, work: Callable[[], int]) -> Callable[[], int]:
    def run() -> int:
        torch.set_num_threads(count)
        return work()

    return run


def by_workers(crew: Crew, dtype: str, stack: int) -> Callable[[], int]:
    """The engine as it is: trained, asked and stored."""
    plan = Plan(DIGITS.hash, RECIPE, stack=stack, dtype=dtype)
    count = 20 if stack > 1 else 4

    def run() -> int:
        with TemporaryDirectory() as folder:
            store = train_ensemble(folder, plan, count, SOURCE, executor=crew)
            assert len(store) == count
        return count

    return run


def techniques(stack: ExitStack) -> Iterator[tuple[str, Callable[[], int]]]:
    yield "Dataset, DataLoader, 2 threads", with_threads(2, first_loop)
    for threads in (1, 2):
        yield f"tensors, {threads} thread{'s' * (threads > 1)}", with_threads(threads, lambda: in_this_process(1))
    for count in (2, 5):
        yield f"tensors, 1 thread, stacks of {count}", with_threads(1, lambda count=count: in_this_process(count))
    crew = stack.enter_context(Crew(2))
    for dtype, count in (("float32", 1), ("float32", 5), ("bfloat16", 5), ("bfloat16", 10)):
        yield f"engine, 2 workers, stacks of {count}, {dtype}", by_workers(crew, dtype, count)


def main() -> None:
    rates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        work = dict(techniques(stack))
        for turn in range(ROUNDS + 1):  # the first warms up
            for name, run in work.items():
                start = perf_counter()
                done = run()
                if turn:
                    rates.setdefault(name, []).append(60 * done / (perf_counter() - start))
    middle = {name: median(found) for name, found in rates.items()}
    first = max(rate for name, rate in middle.items() if name.startswith("Dataset"))
    tensors = max(rate for name, rate in middle.items() if name in ("tensors, 1 thread", "tensors, 2 threads"))
    print("| technique | models/min | range | over the first loop | over tensors alone |\n" + "| --- " * 5 + "|")
    for name, rate in middle.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"| {name} | {rate:.0f} | {low:.0f}–{high:.0f} | {rate / first:.2f} | {rate / tensors:.2f} |")


if __name__ == "__main__":
    main()
