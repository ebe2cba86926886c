"""Does an environment step fast, and is its own work small beside what moves people, and several heads beside one?"""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.speed import PEOPLE, measure, measure_env, measure_heads

from twingym.scenarios import names
from twingym.scenarios.registry import ships

SHIPPED = list(filter(ships, names()))


def test_half_a_million_steps_per_cpu_second_at_most_thrice_the_cost_of_the_equations() -> None:
    stepping, equations = measure()
    best = PEOPLE / stepping.min()  # of thirty short turns: what the machine can do between its neighbours' bursts
    assert best >= 500_000, f"{best:,.0f} steps per CPU second"
    ratio = stepping / equations
    assert ratio.min() <= 3.0, f"{ratio.round(2)} times the equations"


@pytest.mark.parametrize("name", SHIPPED)
def test_people_who_come_and_go_make_a_hundred_thousand_steps_per_cpu_second(name: str) -> None:
    best = PEOPLE / measure_env(name).min()
    assert best >= 100_000, f"{best:,.0f} steps per CPU second"


# 128 is what agents train on; at 1,024 nothing fits into the caches any more.
@pytest.mark.parametrize("people", [64, 128, 1024])
@pytest.mark.parametrize("name", SHIPPED)
def test_all_heads_cost_at_most_15_percent_more_than_one(people: int, name: str) -> None:
    every, one = measure_heads(people, name)
    ratio = np.sort(every / one)
    assert ratio[len(ratio) // 4] <= 1.15, f"{ratio.round(2)} times the cost of one head, by turns"
