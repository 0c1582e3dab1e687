"""Accuracy and agreement of recipes: `python benches/recipes.py --data FILE.npz --recipes fast paper --out FOLDER`.

Agreement is the share of test examples that two models of different seeds, trained on the same examples, answer alike.
Seconds are those of one core. Interrupted, the same command goes on with the models that are missing.
"""

import argparse
from itertools import combinations
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any

import numpy as np
from unmemorize import Context, models, train
from unmemorize.engine import Task, run
from unmemorize.engine.references import load


def trained(data: str, noise: float, recipe: str, seed: int) -> dict[str, Any]:
    """A model of a seed: what it is right about, and what it answers to the test set."""
    of, how = load(name=data, noise=noise, val_share=0.0), train.resolve(recipe)
    ctx = Context(device="cpu", seed=seed, progress=False)
    start = process_time()
    model = train.fit(models.build(how.model, of, seed=seed), of.train, how, ctx)
    return {
        "n": len(of.train), "epochs": how.epochs, "seconds": process_time() - start,
        "train": ctx.accuracy(model, of.train), "test": ctx.accuracy(model, of.test),
        "answers": ctx.logits(model, of.test).argmax(1).tolist(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="digits, or an .npz of images")
    parser.add_argument("--noise", type=float, default=0.0, help="share of flipped labels")
    parser.add_argument("--recipes", nargs="+", default=["digits"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    chosen = parser.parse_args()
    said = {"data": chosen.data, "noise": chosen.noise}
    tasks = {
        recipe: [
            Task(f"{recipe}-{seed}", "recipes:trained", {**said, "recipe": recipe, "seed": seed})
            for seed in range(chosen.seeds)
        ]
        for recipe in chosen.recipes
    }
    done = run([task for each in tasks.values() for task in each], chosen.out, workers=chosen.workers)
    print("| recipe | n | epochs | train | test | agreement | seconds |\n" + "| --- " * 7 + "|")
    for recipe, each in tasks.items():
        found = [done[task.key] for task in each]
        pairs = combinations([np.array(one["answers"]) for one in found], 2)
        alike = mean(float((ours == theirs).mean()) for ours, theirs in pairs)
        right, test, seconds = (mean(one[key] for one in found) for key in ("train", "test", "seconds"))
        n, epochs = found[0]["n"], found[0]["epochs"]
        print(f"| {recipe} | {n:,} | {epochs} | {right:.3f} | {test:.3f} | {alike:.3f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
