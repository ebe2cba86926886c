"""Does an environment step fast, and is its own work small beside what moves people, and several heads beside one?"""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.speed import PEOPLE, measure, measure_heads


def test_half_a_million_steps_per_cpu_second_at_most_thrice_the_cost_of_the_equations() -> None:
    stepping, equations = measure()
    best = PEOPLE / stepping.min()  # of thirty short turns: what the machine can do between its neighbours' bursts
    assert best >= 500_000, f"{best:,.0f} steps per CPU second"
    ratio = stepping / equations
    assert ratio.min() <= 3.0, f"{ratio.round(2)} times the equations"


@pytest.mark.parametrize("people", [1024, 64])
def test_all_heads_cost_at_most_15_percent_more_than_one(people: int) -> None:
    every, one = measure_heads(people)
    ratio = np.sort(every / one)
    assert ratio[len(ratio) // 4] <= 1.15, f"{ratio.round(2)} times the cost of one head, by turns"
