"""Does an environment step fast, and is its own work small beside the equations that it moves?"""

from __future__ import annotations

from benchmarks.speed import PEOPLE, measure


def test_half_a_million_steps_per_cpu_second_at_most_thrice_the_cost_of_the_equations() -> None:
    stepping, equations = measure()
    best = PEOPLE / stepping.min()  # of thirty short turns: what the machine can do between its neighbours' bursts
    assert best >= 500_000, f"{best:,.0f} steps per CPU second"
    ratio = stepping / equations
    assert ratio.min() <= 3.0, f"{ratio.round(2)} times the equations"
