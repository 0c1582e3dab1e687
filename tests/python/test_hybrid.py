"""Memorization from few models: right where the truth is known, honest about its errors."""

from pathlib import Path

import numpy as np
import pytest
import unmemorize as um
from scipy.stats import norm
from unmemorize.ensemble import (
    balanced,
    event_proxies,
    hybrid_c_score,
    hybrid_confidence,
    independent,
    margins,
    undecided,
)
from unmemorize.ensemble.margins import Observed, Prior, Scale

N = 1500


class World:
    """Log-odds whose distribution is known: one example in ten is learned only if it is trained on."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        flipped = self.random.random(N) < 0.1
        self.inside = self.random.normal(5, 1.5, N)
        self.outside = np.where(flipped, self.random.normal(-3, 2, N), self.random.normal(5, 3, N))
        self.spread = self.random.gamma(4, 0.5, N)
        self.proxies = {"loss": -self.outside + self.random.normal(0, 1.5, N), "noise": self.random.normal(size=N)}
        self.p_out = norm.cdf(self.outside / self.spread)
        self.score = norm.cdf(self.inside) - self.p_out

    def phi(self, member: np.ndarray) -> np.ndarray:
        return np.where(member, self.inside, self.outside) + self.random.normal(size=member.shape) * np.where(
            member, 1, self.spread
        )

    def store(self, path: Path, member: np.ndarray) -> um.Ensemble:
        return fill(path, member, self.phi(member))


def fill(path: Path, member: np.ndarray, phi: np.ndarray, order: np.ndarray | None = None) -> um.Ensemble:
    store = um.Ensemble.create(path, member.shape[1], 1)
    for t in range(len(member)) if order is None else order:
        store.append(member[t], phi[t] > 0, np.array([True]), phi=phi[t], key=f"{t:03d}")
    return store


def rmse(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def test_ten_models_say_more_than_twenty_counted(tmp_path: Path) -> None:
    world = World()
    member = balanced(N, 20)
    phi = world.phi(member)
    few, many = fill(tmp_path / "few", member[:10], phi[:10]), fill(tmp_path / "many", member, phi)
    hard, counted = few.memorization().score, many.memorization().score
    alone = um.hybrid_memorization(few, {}).score
    hybrid = um.hybrid_memorization(few, world.proxies).score
    assert rmse(hybrid, world.score) < min(rmse(counted, world.score), rmse(alone, world.score))
    assert rmse(alone, world.score) < 0.8 * rmse(hard, world.score)
    assert um.stats.spearman(hybrid, world.score).value > um.stats.spearman(hard, world.score).value + 0.1


@pytest.mark.parametrize("models", [3, 10])
def test_intervals_hold_what_they_say(tmp_path: Path, models: int) -> None:
    """Independent subsets of three leave a third of the examples in every model; those have intervals too."""
    world = World(1)
    store = world.store(tmp_path / "s", independent(N, models, seed=2))
    for found, truth in (
        (um.hybrid_memorization(store, world.proxies), world.score),
        (hybrid_c_score(store, world.proxies), world.p_out),
    ):
        value = found.score if isinstance(found, um.Memorization) else found.value
        off = np.abs(value - truth) / np.maximum(found.std_error, 1e-3)
        unsure = found.std_error > 0.05
        assert unsure.sum() > 100
        for level, quantile in ((0.9, 1.645), (0.95, 1.96)):
            assert abs((off[unsure] < quantile).mean() - level) < 0.04


def test_the_standard_error_is_the_error(tmp_path: Path) -> None:
    world = World(2)
    found = um.hybrid_memorization(world.store(tmp_path / "s", balanced(N, 10)), world.proxies)
    assert abs(rmse(found.score, world.score) / np.sqrt(np.mean(found.std_error**2)) - 1) < 0.1


def test_the_chance_is_the_integral() -> None:
    """Of Phi(mu / s) over the posterior of mu and s, by sums over a fine grid of mu."""
    seen = Observed(np.array([0, 1, 4]), np.array([0.0, 1.5, -0.3]), np.array([0.0, 0.0, 2.5]))
    pairs = margins._SCALES.shape[1]
    shares = np.random.default_rng(0).dirichlet(np.ones(pairs))
    prior = Prior(np.array([0.5, -1.0, 0.4]), np.array([1.0, 2.0, 0.5]), np.array([1.0, 0.5, 0.8]), shares)
    found = margins.right(seen, prior)
    mu = np.linspace(-30, 30, 60001)
    for i, k in enumerate(seen.models):
        total = first = second = 0.0
        for (a, b), share in zip(margins._SCALES.T, shares, strict=True):
            spread = b * prior.spread[i]
            density = share * norm.pdf(mu, prior.mean[i], np.sqrt(a * prior.scatter[i]))
            if k:
                squares = seen.squares[i] + k * (seen.mean[i] - mu) ** 2
                density = density * (2 * np.pi * spread) ** (-k / 2) * np.exp(-squares / (2 * spread))
            chance = norm.cdf(mu / np.sqrt(spread))
            total, first, second = (
                total + density.sum(), first + (density * chance).sum(), second + (density * chance**2).sum(),
            )  # fmt: skip
        assert found.value[i] == pytest.approx(first / total, abs=2e-3)
        assert found.std_error[i] == pytest.approx(np.sqrt(second / total - (first / total) ** 2), abs=0.02)


def test_observed_is_count_mean_and_squares() -> None:
    random = np.random.default_rng(0)
    phi, side = random.normal(size=(6, 20)), random.random((6, 20)) < 0.5
    side[:, 0] = False
    seen = Observed.of(phi, side)
    for i in range(20):
        x = phi[side[:, i], i]
        assert seen.models[i] == len(x)
        if len(x):
            assert (seen.mean[i], seen.squares[i]) == pytest.approx((x.mean(), ((x - x.mean()) ** 2).sum()))
        else:
            assert (seen.mean[i], seen.squares[i]) == (0, 0)


def test_the_cut_leaves_as_many_above_as_are_right() -> None:
    """A model of many classes may be right with log-odds below 0."""
    phi = np.random.default_rng(0).normal(size=(5, 40))
    correct = phi > -0.4
    scale = Scale.of(phi, correct, np.ones_like(correct))
    np.testing.assert_array_equal(scale(phi) > 0, correct)
    np.testing.assert_allclose(scale.probability(scale(phi)), 1 / (1 + np.exp(-phi)))


def test_confidence_is_what_a_model_gives_an_example_that_it_has_not_seen(tmp_path: Path) -> None:
    world = World(3)
    found = hybrid_confidence(world.store(tmp_path / "s", balanced(N, 3)), world.proxies)
    fresh = world.outside + np.random.default_rng(9).normal(size=(400, N)) * world.spread
    truth = (1 / (1 + np.exp(-fresh))).mean(axis=0)
    for low, high in ((0, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1)):
        those = (found >= low) & (found <= high)
        assert abs(found[those].mean() - truth[those].mean()) < 0.08


def test_examples_in_every_model_are_told_from_the_others(tmp_path: Path) -> None:
    world = World(4)
    member = balanced(N, 10)
    always = np.arange(N) % 5 == 0
    store = world.store(tmp_path / "s", member | always)
    found = um.hybrid_memorization(store, world.proxies)
    assert np.isnan(store.memorization().score[always]).all()
    assert set(found.n_out[always]) == {0}
    assert rmse(found.score[always], world.score[always]) < 0.25
    assert found.std_error[always].mean() > 2 * found.std_error[~always].mean()


def test_log_odds_that_never_differ(tmp_path: Path) -> None:
    member = balanced(60, 10)
    found = um.hybrid_memorization(fill(tmp_path / "s", member, np.where(member, 4.0, -4.0)))
    np.testing.assert_allclose(found.score, 1, atol=1e-6)
    assert found.std_error.max() < 1e-3
    same = um.hybrid_memorization(fill(tmp_path / "t", member, np.full(member.shape, np.inf)))
    np.testing.assert_allclose(same.score, 0, atol=1e-6)


def test_the_order_of_appending_changes_no_bit(tmp_path: Path) -> None:
    world = World(5)
    member = balanced(N, 10)
    phi = world.phi(member)
    there, back = (
        um.hybrid_memorization(fill(tmp_path / name, member, phi, order), world.proxies)
        for name, order in (("a", np.arange(10)), ("b", np.arange(10)[::-1]))
    )
    np.testing.assert_array_equal(there.score, back.score)
    np.testing.assert_array_equal(there.std_error, back.std_error)


def test_proxies_come_from_the_learning_events_in_the_store(tmp_path: Path) -> None:
    """Each is the mean over the models of its rank among their examples, whatever its direction."""
    world = World(6)
    member = balanced(N, 4)
    phi = world.phi(member)
    store = um.Ensemble.create(tmp_path / "s", N, 1)
    for t, row in enumerate(member):
        events = um.LearningEvents(N)
        ids = row.nonzero()[0]
        early = world.outside[ids] / 3
        events.update(ids, np.stack([early, -early], axis=1), np.zeros(len(ids), int), epoch=0)
        store.append(row, phi[t] > 0, np.array([True]), phi=phi[t], events=events, key=str(t))
    with_events, without = um.hybrid_memorization(store), um.hybrid_memorization(store, {})
    assert rmse(with_events.score, world.score) < 0.8 * rmse(without.score, world.score)
    recorded = event_proxies(store)
    assert set(recorded) == set(events.proxies())
    np.testing.assert_allclose(um.hybrid_memorization(store, recorded).score, with_events.score, atol=1e-12)


@pytest.mark.parametrize(
    ("proxies", "message"),
    [
        ({"loss": np.zeros(3)}, r"proxies\['loss'\]: expected 60 values to match the store, got 3"),
        ({"loss": np.full(60, np.nan)}, r"proxies\['loss'\]: 60 of 60 are NaN"),
    ],
)
def test_bad_proxies_are_named(tmp_path: Path, proxies: dict[str, np.ndarray], message: str) -> None:
    member = balanced(60, 10)
    store = fill(tmp_path / "s", member, np.where(member, 4.0, -4.0))
    with pytest.raises(ValueError, match=message):
        um.hybrid_memorization(store, proxies)
    with pytest.raises(TypeError, match=r"proxies\['loss'\]: expected real numbers"):
        um.hybrid_memorization(store, {"loss": np.array(["a"] * 60)})


def test_what_a_store_lacks_is_named(tmp_path: Path) -> None:
    member = balanced(60, 10)
    one = fill(tmp_path / "one", member[:1], np.ones((1, 60)))
    with pytest.raises(ValueError, match="holds 1 reference models; expected at least 2"):
        um.hybrid_memorization(one)
    one.append(member[1], member[1], np.array([True]), key="bare")
    with pytest.raises(ValueError, match="1 of 2 reference models hold no log-odds"):
        um.hybrid_memorization(one)
    whole = fill(tmp_path / "whole", np.ones((3, 60), bool), np.ones((3, 60)))
    with pytest.raises(ValueError, match="all models were trained on all examples, or none"):
        um.hybrid_memorization(whole)


def test_further_models_go_to_the_undecided(tmp_path: Path) -> None:
    world = World(7)
    found = um.hybrid_memorization(world.store(tmp_path / "s", balanced(N, 10)), world.proxies)
    cuts = [0.25, 0.75]
    ids = undecided(found, cuts)
    right = np.digitize(found.score, cuts) == np.digitize(world.score, cuts)
    decided = np.setdiff1d(np.arange(N), ids)
    assert 0 < len(ids) < N / 2
    assert right[decided].mean() > 0.97 > 0.9 > right[ids].mean()
    assert set(undecided(found, cuts, level=0.5)) < set(ids)
    hard = um.Memorization(np.array([np.nan, 0.9, 0.3]), np.array([np.nan, 0.05, 0.1]), *np.zeros((2, 3), int))
    assert undecided(hard, cuts).tolist() == [0, 2]
    with pytest.raises(ValueError, match="cuts: 1 of 1 are NaN"):
        undecided(found, [np.nan])
    with pytest.raises(ValueError, match="level: expected a share above 0 and below 1, got 95"):
        undecided(found, cuts, level=95)
