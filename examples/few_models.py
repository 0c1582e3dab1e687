"""How many models does a memorization score take? Counts, soft counts, the margin model and the hybrid, against many.

"with images": the hybrid with what kernel regression on all other images says of each as one more proxy.

python examples/few_models.py --data digits --out runs/few-models             (980 small networks; resumed if run again)
python examples/few_models.py --data fashion.npz --out runs/few-models-fashion
"""

import argparse
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import unmemorize as um
from torch import Tensor, nn
from torch.nn import functional as F
from unmemorize.data import Examples
from unmemorize.engine import Task, run
from unmemorize.ensemble import DESIGNS, Entry, event_proxies
from unmemorize.proxies import leave_one_out

NOISE, RATIO, GROUP = 0.05, 0.7, 10  # labels flipped, share in a subset, networks trained side by side
HIDDEN, EPOCHS, BATCH, LR = 256, 40, 64, 0.1  # fits more than 99% of every subset
TRUTH = ("balanced", 500, 1000)  # design, models, seed
LONG = [(name, 40, start + seed) for seed in range(5) for name, start in (("balanced", 0), ("independent", 100))]
SHORT = [("balanced", models, seed) for seed in range(10) for models in (3, 5)]
SIZES, DRAWS = (3, 5, 10, 20, 40), 10
Z = {90: 1.6449, 95: 1.96}


@cache
def load(data: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test images as vectors, with labels; images of 28 x 28 at half their resolution."""
    of = um.data.load(data, noise=NOISE, val_share=0.1 if data == "digits" else 0)
    n = len(of.train) // 10 * 10  # all subsets of one size
    images, test = (part.images if data == "digits" else F.avg_pool2d(part.images, 2) for part in (of.train, of.test))
    return images[:n].flatten(1), of.train.labels[:n], test.flatten(1), of.test.labels


class Networks(nn.Module):
    """Two-layer networks side by side."""

    def __init__(self, count: int, inputs: int, classes: int, random: torch.Generator) -> None:
        super().__init__()

        def layer(rows: int, columns: int, gain: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(count, rows, columns, generator=random) * gain / rows**0.5)

        self.first, self.first_bias = layer(inputs, HIDDEN, 2**0.5), nn.Parameter(torch.zeros(count, 1, HIDDEN))
        self.last, self.last_bias = layer(HIDDEN, classes, 0.5**0.5), nn.Parameter(torch.zeros(count, 1, classes))

    def forward(self, x: Tensor) -> Tensor:
        """(count, b, inputs) -> (count, b, classes)."""
        hidden = torch.relu(torch.baddbmm(self.first_bias, x, self.first))
        return torch.baddbmm(self.last_bias, hidden, self.last)


def fit(images: Tensor, labels: Tensor, members: np.ndarray, seed: int) -> tuple[Networks, list[um.LearningEvents]]:
    """Train a network on each subset, all at once."""
    count, n, classes = len(members), int(members[0].sum()), int(labels.max()) + 1
    networks = Networks(count, images.shape[1], classes, torch.Generator().manual_seed(seed))
    random = torch.Generator().manual_seed(seed)
    events = [um.LearningEvents(len(images)) for _ in members]
    ids = torch.stack([torch.from_numpy(row.nonzero()[0]) for row in members])
    steps = n // BATCH
    total = EPOCHS * steps
    optimizer = torch.optim.SGD(networks.parameters(), lr=LR, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / (0.2 * total), (total - t) / (0.8 * total))
    )
    for epoch in range(EPOCHS):
        order = torch.stack([row[torch.randperm(n, generator=random)] for row in ids])
        for at in order.tensor_split(steps, dim=1):
            z, y = networks(images[at]), labels[at]
            optimizer.zero_grad()
            (F.cross_entropy(z.flatten(0, 1), y.flatten()) * count).backward()
            optimizer.step()
            schedule.step()
            for record, *batch in zip(events, at, z.detach(), y, strict=True):
                record.update(*batch, epoch=epoch)
    return networks, events


def group(data: str, folder: str, name: str, models: int, draw: int, first: int) -> dict[str, float]:
    """Train a group of a design; what they say goes to two stores, log-odds as phi to one and margins to the other."""
    images, labels, test, test_labels = load(data)
    members = DESIGNS[name](len(images), models, RATIO, draw)[first : first + GROUP]
    start = process_time()
    seed = (draw * 1000 + models) * 1000 + first + 10**9 * (name == "balanced")
    networks, events = fit(images, labels, members, seed)
    seconds = (process_time() - start) / len(members)
    with torch.no_grad():
        z = networks(images.expand(len(members), -1, -1)).double()
        test_correct = networks(test.expand(len(members), -1, -1)).argmax(2) == test_labels
    correct = z.argmax(2) == labels
    at = labels.expand(len(members), -1)[..., None]
    own, others = z.gather(2, at).squeeze(2), z.scatter(2, at, -torch.inf)
    for what, phi in (("phi", own - others.logsumexp(2)), ("margin", own - others.amax(2))):
        store = um.Ensemble.open(Path(folder) / what)
        for t, record in enumerate(events):
            store.append(
                members[t], correct[t].numpy(), test_correct[t].numpy(), phi=phi[t].numpy(), events=record,
                key=f"{name}-{models}-{draw}-{first + t:03d}", meta={"seconds": seconds},
            )  # fmt: skip
    inside = correct.numpy()[members].mean()
    return {
        "seconds": seconds, "in": float(inside), "out": float(correct.numpy()[~members].mean()),
        "test": float(test_correct.double().mean()),
    }  # fmt: skip


class Chosen(um.Ensemble):
    """Some models of a store."""

    def __init__(self, store: um.Ensemble, models: list[Entry]) -> None:
        super().__init__(store.path, store.header)
        self.models = models

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The chosen models."""
        return self.models


def draws(entries: dict[str, Entry], name: str, size: int) -> list[list[Entry]]:
    """Up to ten disjoint groups of models of a design: three and five balanced ones have designs of their own."""
    designs = SHORT if name == "balanced" and size < 10 else LONG
    found = []
    for design, models, seed in designs:
        if design == name and (models == size or models == 40):
            keys = [f"{name}-{models}-{seed}-{t:03d}" for t in range(models)]
            starts = range(0, models - size + 1, size)
            found += [[entries[key] for key in keys[start : start + size]] for start in starts if keys[-1] in entries]
    return found[:: max(len(found) // DRAWS, 1)][:DRAWS]


def soft(models: list[Entry]) -> um.Memorization:
    """Mean confidence of the models in minus that of the models out."""
    member = np.stack([entry.member for entry in models])
    p = 1 / (1 + np.exp(-np.stack([entry.array("phi") for entry in models]).astype(float)))
    n_in, n_out = member.sum(0), (~member).sum(0)
    with np.errstate(invalid="ignore"):
        score = (p * member).sum(0) / n_in - (p * ~member).sum(0) / n_out
    return um.Memorization(score, np.full(len(score), np.nan), n_in, n_out)


def mean(values: np.ndarray) -> float:
    """NaN of none."""
    return float(values.mean()) if len(values) else np.nan


def interval(values: list[float]) -> um.stats.Estimate:
    """Over draws; NaN where some have no value."""
    if np.isnan(values).any():
        return um.stats.Estimate(np.nan, np.nan, np.nan, len(values))
    return um.stats.t_interval(values)


def agreement(found: um.Memorization, truth: um.Memorization) -> dict[str, float]:
    """How near scores are to the truth; where there is no estimate, the mean of the others stands for it."""
    score = np.where(np.isnan(found.score), np.nanmean(found.score), found.score)
    n, tenth = len(score), len(score) // 10
    ours, theirs = (np.argsort(-s, kind="stable")[:tenth] for s in (score, truth.score))
    cut = um.strata(score, 3), um.strata(truth.score, 3)
    shares = {f"stratum {k}": ((cut[0] == k) & (cut[1] == k)).sum() / (cut[1] == k).sum() for k in range(3)}
    off = np.abs(score - truth.score)
    total = np.hypot(found.std_error, truth.std_error)
    known, unsure = ~np.isnan(total), ~np.isnan(total) & (score > 0.1) & (score < 0.9)
    return {
        "spearman": um.stats.spearman(score, truth.score, resamples=0).value,
        "pearson": float(np.corrcoef(score, truth.score)[0, 1]),
        "rmse": float(np.sqrt((off**2).mean())),
        "top tenth": len(np.intersect1d(ours, theirs)) / tenth,
        **{name: float(value) for name, value in shares.items()},
        **{f"coverage {level}": mean((off < z * total)[known]) for level, z in Z.items()},
        **{f"middle {level}": mean((off < z * total)[unsure]) for level, z in Z.items()},
        "claimed": float(np.sqrt(mean(total[known] ** 2))),
        "n": n,
    }


def measure(data: str, folder: Path) -> dict[str, Any]:
    """Every estimator in every cell."""
    images, labels, _, _ = load(data)
    ids = torch.arange(len(images))
    others = leave_one_out(Examples(images, labels, ids, ids.numpy()), um.Context(device="cpu"))
    stores = {what: um.Ensemble.open(folder / what) for what in ("phi", "margin")}
    entries = {what: {str(entry.key): entry for entry in store.entries()} for what, store in stores.items()}
    name, models, seed = TRUTH
    many = [entries["phi"][f"{name}-{models}-{seed}-{t:03d}"] for t in range(models)]
    truth = Chosen(stores["phi"], many).memorization()
    halves = [Chosen(stores["phi"], [m for t, m in enumerate(many) if t // 10 % 2 == half]) for half in (0, 1)]
    first, second = (half.memorization() for half in halves)
    result: dict[str, Any] = {"halves": agreement(first, second), "noise": float(np.sqrt((truth.std_error**2).mean()))}
    for design in ("balanced", "independent"):
        for size in SIZES:
            cells: dict[str, list[dict[str, float]]] = {}
            chosen = draws(entries["phi"], design, size)
            for group_ in chosen:
                ensemble = Chosen(stores["phi"], group_)
                margin = Chosen(stores["margin"], [entries["margin"][str(entry.key)] for entry in group_])
                proxies = event_proxies(ensemble)
                with np.errstate(invalid="ignore"):
                    found = {
                        "hard": ensemble.memorization(), "soft": soft(group_),
                        "margin": um.hybrid_memorization(ensemble, {}),
                        "hybrid": um.hybrid_memorization(ensemble, proxies),
                        "with images": um.hybrid_memorization(ensemble, {**proxies, "images": others}),
                        "hybrid of z_y - max": um.hybrid_memorization(margin, proxies),
                    }  # fmt: skip
                for estimator, scores in found.items():
                    cells.setdefault(estimator, []).append(agreement(scores, truth))
            for estimator, values in cells.items():
                result[f"{design}/{size}/{estimator}"] = {
                    metric: interval([value[metric] for value in values]) for metric in values[0]
                }
            print(f"{design} {size}: {len(chosen)} draws", flush=True)
    return result


def table(result: dict[str, Any]) -> str:
    """Markdown: mean and half of the 95% interval over the draws."""
    columns = ["spearman", "pearson", "rmse", "top tenth", "stratum 0", "stratum 1", "stratum 2"]
    columns += ["coverage 90", "coverage 95", "middle 90", "middle 95", "claimed"]
    lines = [f"| design | T | estimator | {' | '.join(columns)} |", "|---" * (len(columns) + 3) + "|"]
    for cell, found in result.items():
        if "/" in cell:
            shown = [
                "–" if np.isnan(found[c].value) else f"{found[c].value:.3f} ± {found[c].high - found[c].value:.3f}"
                for c in columns
            ]
            lines.append(f"| {' | '.join(cell.split('/'))} | {' | '.join(shown)} |")
    halves = " | ".join(f"{result['halves'][c]:.3f}" for c in columns)
    return "\n".join([*lines, f"| truth | 250 | against its other half | {halves} |"])


def draw(result: dict[str, Any], path: Path) -> None:
    """RMSE and overlap of the most memorized tenth by number of models."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, metric in zip(axes, ("rmse", "top tenth"), strict=True):
        for colour, estimator in enumerate(("hard", "soft", "margin", "hybrid", "with images")):
            for design, line in (("balanced", "-"), ("independent", ":")):
                found = [result[f"{design}/{size}/{estimator}"][metric] for size in SIZES]
                bars = [[f.value - f.low for f in found], [f.high - f.value for f in found]]
                label = estimator if design == "balanced" else None
                axis.errorbar(
                    SIZES, [f.value for f in found], bars, ls=line, color=f"C{colour}", label=label, capsize=2
                )
        axis.set(xscale="log", xlabel="models (T)", ylabel=metric, xticks=SIZES, xticklabels=SIZES)
        axis.minorticks_off()
    axes[0].legend(title="— balanced, ··· independent")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train what is not trained yet, measure, write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="digits, or an .npz of images of 28 x 28")
    parser.add_argument("--out", type=Path, required=True, help="folder of the stores, table and figure")
    parser.add_argument("--workers", type=int, help="processes")
    chosen = parser.parse_args()
    images, _, test, _ = load(chosen.data)
    for what in ("phi", "margin"):
        um.Ensemble.create(chosen.out / what, len(images), len(test))
    tasks = [
        Task(f"{name}-{models}-{seed}-{first:03d}", "few_models:group",
             {"data": chosen.data, "name": name, "models": models, "draw": seed, "first": first})
        for name, models, seed in (TRUTH, *LONG, *SHORT)
        for first in range(0, models, GROUP)
    ]  # fmt: skip
    done = run(tasks, chosen.out / "tasks", shared={"folder": str(chosen.out)}, workers=chosen.workers)
    print(
        {
            key: round(float(np.mean([result[key] for result in done.values()])), 4)
            for key in ("in", "out", "test", "seconds")
        }
    )
    result = measure(chosen.data, chosen.out)
    text = table(result)
    (chosen.out / "table.md").write_text(text + f"\n\nnoise of the truth: {result['noise']:.4f}\n")
    draw(result, chosen.out / "figure.png")
    print(text)


if __name__ == "__main__":
    main()
