"""Is an env step cheap beside the equations that it moves?"""

from __future__ import annotations

from benchmarks.speed import measure


def test_a_step_costs_at_most_twice_its_equations() -> None:
    stepping, equations = measure()
    ratio = stepping / equations
    assert ratio.min() <= 2.0, f"{ratio.round(2)} times the equations"
