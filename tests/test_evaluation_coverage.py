"""Do bounds cover what they say they cover, on costs full of zeros with long tails?

Truths are known because the populations are; people are drawn again and again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from twingym.evaluation.bounds import Estimate, gap_of, mean_of, over_training, share_of, tail_of
from twingym.evaluation.resampling import bootstrap, groups_of
from twingym.twins.scales import Floats

pytestmark = pytest.mark.slow
LEVEL = 0.95
ROUNDS = 2000
Draw = Callable[[np.random.Generator, int], Floats]


def zeros_and(share: float, amount: Draw) -> Draw:
    return lambda generator, n: np.where(generator.random(n) < share, amount(generator, n), 0.0)


def gamma(generator: np.random.Generator, n: int) -> Floats:
    return generator.gamma(0.5, 1.0, n)


def beta(generator: np.random.Generator, n: int) -> Floats:
    return generator.beta(0.5, 8.0, n)


def lognormal(generator: np.random.Generator, n: int) -> Floats:
    return generator.lognormal(0.0, 1.0, n)


# Share of people affected, what it costs them, and the mean over everybody.
COSTS: dict[str, tuple[Draw, float]] = {
    "half, gamma": (zeros_and(0.5, gamma), 0.25),
    "tenth, gamma": (zeros_and(0.1, gamma), 0.05),
    "third, share of time": (zeros_and(0.3, beta), 0.3 * 0.5 / 8.5),
    "few, share of time": (zeros_and(0.05, beta), 0.05 * 0.5 / 8.5),
    "half, lognormal": (zeros_and(0.5, lognormal), 0.5 * np.exp(0.5)),
    "fifth, lognormal": (zeros_and(0.2, lognormal), 0.2 * np.exp(0.5)),
    "few, lognormal": (zeros_and(0.05, lognormal), 0.05 * np.exp(0.5)),
}


def covered(estimates: list[Estimate], truth: float) -> tuple[float, float]:
    """Return how often the upper and the lower bound hold."""
    above = np.mean([e.upper(LEVEL) >= truth - 1e-12 for e in estimates])
    below = np.mean([e.lower(LEVEL) <= truth + 1e-12 for e in estimates])
    return float(above), float(below)


@pytest.mark.parametrize("people", [200, 500])
@pytest.mark.parametrize("cost", COSTS)
def test_the_bounds_of_a_mean_cost(cost: str, people: int) -> None:
    draw, truth = COSTS[cost]
    generator = np.random.default_rng(people)
    above, below = covered([mean_of(draw(generator, people), cost=True) for _ in range(ROUNDS)], truth)
    print(f"{cost}, {people} people: upper {above:.3f}, lower {below:.3f}")
    assert 0.93 <= above <= 0.985
    assert 0.93 <= below <= 0.98


@pytest.mark.parametrize("people", [200, 500])
def test_students_t_would_cover_far_too_little(people: int) -> None:
    from scipy.stats import t as student

    draw, truth = COSTS["fifth, lognormal"]
    samples = draw(np.random.default_rng(0), ROUNDS * people).reshape(ROUNDS, people)
    reach = student.ppf(LEVEL, people - 1) * samples.std(axis=1, ddof=1) / np.sqrt(people)
    held = np.mean(samples.mean(axis=1) + reach >= truth)
    print(f"Student's t, {people} people: upper {held:.3f}")
    assert held < 0.92


def test_very_few_people_affected() -> None:
    # Two in a hundred of 200: four people carry all that is known.
    generator = np.random.default_rng(3)
    draw = zeros_and(0.02, beta)
    above, _ = covered([mean_of(draw(generator, 200), cost=True) for _ in range(ROUNDS)], 0.02 * 0.5 / 8.5)
    print(f"four of 200: upper {above:.3f}")
    assert above >= 0.90


@pytest.mark.parametrize("truth", [0.005, 0.05, 0.3])
def test_the_bounds_of_a_share(truth: float) -> None:
    generator = np.random.default_rng(4)
    draws = [share_of((generator.random(200) < truth).astype(float)) for _ in range(ROUNDS)]
    above, below = covered(draws, truth)
    assert above >= 0.94
    assert below >= 0.94


@pytest.mark.parametrize("cost", ["half, gamma", "third, share of time", "fifth, lognormal"])
@pytest.mark.parametrize("people", [200, 500])
def test_the_bounds_of_a_tail(cost: str, people: int) -> None:
    draw, _ = COSTS[cost]
    generator = np.random.default_rng(people)
    everybody = np.sort(draw(generator, 4_000_000))
    truth = float(everybody[-int(0.05 * len(everybody)) :].mean())
    above, below = covered([tail_of(draw(generator, people)[:, None], 0.05) for _ in range(ROUNDS)], truth)
    print(f"worst 5 % of {cost}, {people} people: upper {above:.3f}, lower {below:.3f}")
    assert 0.93 <= above <= 0.995
    assert 0.92 <= below <= 0.98


@pytest.mark.parametrize(
    ("means", "scales"),
    [((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ((0.3, 0.0, 0.0), (1.0, 1.0, 1.0)), ((0.0, 0.0, 0.0), (3.0, 1.0, 1.0))],
    ids=["alike", "one apart", "one with the worse tail"],
)
@pytest.mark.parametrize("people", [80, 160])
def test_the_bounds_of_a_gap(means: tuple[float, ...], scales: tuple[float, ...], people: int) -> None:
    draw, mean = zeros_and(0.3, gamma), 0.15
    generator = np.random.default_rng(people)
    labels = np.repeat(np.arange(3), people)
    groups = list(groups_of(labels).values())
    centres = np.array(means) + mean * np.array(scales)
    truth = float(centres.max() - centres.min())
    estimates = [
        gap_of(draw(generator, 3 * people) * np.array(scales)[labels] + np.array(means)[labels], groups, cost=True)
        for _ in range(300)
    ]
    above, below = covered(estimates, truth)
    print(f"gap {means} x {scales}, {people} each: upper {above:.3f}, lower {below:.3f}")
    assert above >= 0.93
    assert below >= 0.93


def test_the_bounds_over_three_training_seeds() -> None:
    generator = np.random.default_rng(6)
    draw, mean = COSTS["half, gamma"]
    estimates = []
    naive = []
    for _ in range(ROUNDS):
        person = draw(generator, 200)
        runs = [person + 1.0 + 0.1 * shift for shift in generator.normal(0.0, 1.0, 3)]
        estimates.append(over_training([mean_of(run, cost=True) for run in runs]))
        naive.append(mean_of(np.mean(runs, axis=0), cost=True))
    truth = mean + 1.0
    above, below = covered(estimates, truth)
    print(f"three training seeds: upper {above:.3f}, lower {below:.3f}; people alone {covered(naive, truth)}")
    assert 0.93 <= above <= 0.99
    assert 0.93 <= below <= 0.99
    assert covered(naive, truth)[1] < 0.90


def test_the_intervals_of_groups() -> None:
    generator = np.random.default_rng(7)
    groups = [np.arange(0, 60), np.arange(60, 200)]
    draw, truth = COSTS["half, gamma"]
    held = []
    for _ in range(400):
        low, high = bootstrap(draw(generator, 200)[:, None], groups, draws=1000).interval()
        held.append((low[:, 0] <= truth) & (truth <= high[:, 0]))
    share = np.mean(held, axis=0)
    print(f"95 % intervals of groups of 60 and 140: {share.round(3)}")
    assert (share >= 0.90).all()
