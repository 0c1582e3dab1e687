"""Made-up results of the shape that a study has. Nothing here was measured."""

from dataclasses import replace

import numpy as np
from unmemorize.audit import Comparison, Evaluation, Measurement
from unmemorize.report import (
    ComparisonRow,
    DataSummary,
    EnsembleSummary,
    ForgetSetSummary,
    OriginalSummary,
    Outcome,
    Profile,
    ProxyRow,
    Results,
    Sample,
    StratumSummary,
    png,
)
from unmemorize.stats import Estimate

N, FLIPPED, SIZE = 1290, 64, 135
STRATA = ("low", "medium", "high")
PARTS = ("forget", "retain", "test")


def about(value: float, half: float, n: int = 5) -> Estimate:
    return Estimate(value, value - half, value + half, n)


def judged(tow: float, mia: float, half: float) -> Comparison:
    factors = {"forget": tow**0.7, "retain": tow**0.1, "test": tow**0.2, "mia": mia / tow**0.3}
    return Comparison(
        accuracy={part: about(0.9, half / 2) for part in PARTS},
        factors={name: about(value, half / 2) for name, value in factors.items()},
        tow=about(tow, half),
        tow_mia=about(mia, half * 1.3),
    )


def evaluation(tow: float, mia: float, half: float) -> Evaluation:
    shift = {"low": 0.02, "medium": 0.0, "high": -0.05}
    return Evaluation(
        whole=judged(tow, mia, half),
        strata={name: judged(min(0.995, tow + s), min(0.99, mia + s), half * 1.4) for name, s in shift.items()},
        band=judged(0.970, 0.938, 0.008),
        band_strata={name: judged(0.968, 0.93, 0.011) for name in STRATA},
    )


def comparison() -> tuple[ComparisonRow, ...]:
    plans = (("vanilla", ""), ("shuffle", ""), ("rum", "exact"), ("rum", "confidence"))
    base = {"fine_tune": (0.945, 0.24), "neg_grad_plus": (0.861, 0.31), "salun": (0.934, 0.17)}
    rows = [ComparisonRow("nothing", "vanilla", "", evaluation(0.702, 0.655, 0.006), about(0.001, 0.0002), None, {})]
    rng = np.random.default_rng(7)
    for algorithm, (tow, share) in base.items():
        for i, (plan, scores) in enumerate(plans):
            steps = 1 if plan == "vanilla" else 3
            value = tow - 0.02 + 0.011 * i + rng.normal(0, 0.004)
            cost = share * (1 if plan == "vanilla" else 1.8 + 0.1 * i)
            rows.append(
                ComparisonRow(
                    algorithm,
                    plan,
                    scores,
                    evaluation(value, value - 0.04, 0.006 + 0.004 * i),
                    about(cost * 0.8, cost * 0.05),
                    about(cost, cost * 0.06),
                    {"steps": [{"lr": 0.05, "epochs": 5, "alpha": 0.97}] * steps},
                )
            )
    hyper = {"steps": [{"lr": 0.05, "epochs": 5}]}
    rows.append(
        ComparisonRow(
            "out_of_sample",
            "vanilla",
            "",
            evaluation(0.971, 0.944, 0.007),
            about(0.11, 0.01),
            about(0.14, 0.011),
            hyper,
        )
    )
    once = {"exact": {"subset models": 84.0}, "confidence": {"learning events": 0.02}, "": {}}
    return tuple(
        replace(
            row,
            protocol="fixed-S",
            costs={"scoring": 1e-5, "mask": 0.02, "unlearning": row.seconds.value - 0.02001},
            once=once[row.scores],
            once_share=sum(once[row.scores].values()) / 0.8,
        )
        for row in rows
    )


def digit(rng: np.random.Generator, side: int = 8) -> bytes:
    up, across = np.mgrid[0:side, 0:side]
    ring = np.exp(-((np.hypot(up - side / 2 + 0.5, across - side / 2 + 0.5) - rng.uniform(1.5, 3)) ** 2))
    return png(np.clip(ring + rng.normal(0, 0.08, (side, side)), 0, 1))


def forget_set(name: str, samples: int, rng: np.random.Generator) -> ForgetSetSummary:
    ranges = {"low": (-0.02, 0.0), "medium": (0.011, 0.034), "high": (0.81, 1.0)}
    flips = {"low": 0, "medium": 1, "high": 41}
    strata = []
    for stratum, (low, high) in ranges.items():
        shown = tuple(
            Sample(
                id=int(rng.integers(0, 1797)),
                label=str(i % 10),
                true_label=str((i + 3) % 10 if stratum == "high" and i % 5 else i % 10),
                score=float(rng.uniform(low, high)),
                png=digit(rng),
            )
            for i in range(samples)
        )
        strata.append(StratumSummary(stratum, SIZE // 3, flips[stratum], low, high, shown))
    rule = "low-medium-high by exact memorization, medium nearest the median"
    return ForgetSetSummary(name, rule, "9f2c" * 16, tuple(strata))


def profile(rng: np.random.Generator) -> Profile:
    flipped = np.zeros(N, dtype=bool)
    flipped[rng.choice(N, FLIPPED, replace=False)] = True
    score = np.where(flipped, rng.beta(9, 1.3, N), np.clip(rng.exponential(0.05, N) - 0.02, -0.06, 1))
    hard = rng.random(N) < 0.08
    score = np.where(hard & ~flipped, rng.beta(1.5, 2, N), score)
    score[:3] = np.nan
    noise = {"confidence": 0.05, "max_confidence": 0.16, "entropy": 0.18, "accuracy": 0.09, "loss": 0.05, "el2n": 0.06}
    proxies = {name: np.nan_to_num(score) + rng.normal(0, s, N) for name, s in noise.items()}
    proxies["forgetting_events"] = np.where(rng.random(N) < 0.02, np.inf, np.rint(np.nan_to_num(score) * 6))
    order = np.argsort(np.where(np.isnan(score), 2.0, score))
    stratum = np.full(N, -1)
    third = SIZE // 3
    stratum[order[:third]] = 0
    stratum[order[N // 2 : N // 2 + third]] = 1
    stratum[order[N - 3 - third : N - 3]] = 2
    return Profile(np.arange(N), score, rng.uniform(0.01, 0.08, N), proxies, flipped, stratum)


def proxies() -> tuple[ProxyRow, ...]:
    known = {
        "confidence": (0.871, 0.89),
        "max_confidence": (0.765, 0.31),
        "entropy": (0.758, 0.29),
        "accuracy": (0.842, 0.86),
        "loss": (0.868, 0.91),
        "el2n": (0.861, 0.9),
        "forgetting_events": (0.552, 0.47),
    }
    return tuple(
        ProxyRow(
            name,
            Estimate(rho, rho - 0.019, rho + 0.017, N),
            Estimate(recall, recall - 0.08, min(1.0, recall + 0.06), FLIPPED),
            {"low": 0.62, "medium": 0.38, "high": recall * 0.95},
            0.021,
            0.021 / 84,
        )
        for name, (rho, recall) in known.items()
    )


def study() -> Results:
    """A study with everything in it, like the demo's."""
    rng = np.random.default_rng(3)
    return Results(
        title="135 of 1,290 handwritten digits unlearned (synthetic fixture)",
        seeds={"run": 0, "noise": 0, "design": 1, "original": [11, 12, 13, 14, 15], "oracle": [21, 22, 23, 24, 25]},
        versions={"unmemorize": "0.1.0", "python": "3.11.2", "torch": "2.15.0+cu130", "numpy": "2.4.6"},
        data=DataSummary("digits", N, 144, 363, 10, 0.05, FLIPPED, "51ab" * 16),
        original=OriginalSummary(
            "convnet",
            "digits",
            {"train": about(0.9985, 0.001), "val": about(0.942, 0.011), "test": about(0.951, 0.009)},
            about(0.82, 0.03),
        ),
        ensemble=EnsembleSummary(
            100, 0.7, "balanced", about(0.921, 0.008, N), Estimate(0.92, 0.83, 0.97, FLIPPED), 84.0
        ),
        profile=profile(rng),
        proxies=proxies(),
        forget_sets=(forget_set("by exact memorization", 12, rng), forget_set("same examples by confidence", 0, rng)),
        comparison=comparison(),
        stages=(
            ("train the original models", 4.4),
            ("train the ensemble", 86.0),
            ("score, choose forget sets", 1.7),
            ("retrain oracles", 4.1),
            ("unlearn", 71.2),
            ("audit", 2.2),
        ),
        command="unmemorize demo --out runs/demo --seed 0",
        caption="protocol fixed-S, oracle-tuned, 30 trials a method",
        notes=("Hyper-parameters were tuned beforehand with 30 trials for each plan.",),
    )


def request_results() -> Results:
    """One deletion request on one checkpoint, without oracles."""
    rng = np.random.default_rng(4)
    before = {
        "forget": 1.0,
        "forget/low": 1.0,
        "forget/medium": 1.0,
        "forget/high": 1.0,
        "retain": 0.998,
        "test": 0.951,
    }
    after = {
        "forget": 0.63,
        "forget/low": 1.0,
        "forget/medium": 0.84,
        "forget/high": 0.04,
        "retain": 0.995,
        "test": 0.948,
    }
    mia = {"forget": 0.12, "forget/low": 0.1, "forget/medium": 0.11, "forget/high": 0.15}
    mia_after = {"forget": 0.48, "forget/low": 0.2, "forget/medium": 0.36, "forget/high": 0.88}
    steps = tuple(
        {
            "stratum": name,
            "algorithm": "neg_grad_plus",
            "size": 45,
            "seconds": 0.21,
            "accuracy": {**after, "forget": 0.9 - 0.1 * i},
        }
        for i, name in enumerate(STRATA)
    )
    return Results(
        title="135 examples unlearned with neg_grad_plus (synthetic fixture)",
        seeds={"unlearn": 0},
        versions={"unmemorize": "0.1.0", "torch": "2.15.0"},
        data=DataSummary("photos/customers", N, 144, 363, 10, hash="51ab" * 16),
        forget_sets=(forget_set("request", 6, rng),),
        outcome=Outcome(
            "neg_grad_plus",
            Measurement(before, mia),
            Measurement(after, mia_after),
            "rum",
            "confidence",
            0.63,
            {"steps": [{"lr": 0.01, "epochs": 5, "alpha": 0.97}] * 3},
            steps,
            "runs/unlearned/model.safetensors",
            "c0de" * 16,
        ),
        command="unmemorize unlearn --checkpoint model.safetensors --data photos/customers --ids ids.csv",
    )
