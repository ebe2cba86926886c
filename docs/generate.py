"""Rewrite the scenario table of README.md from the declarations: ``python docs/generate.py``."""

from __future__ import annotations

import re
from pathlib import Path

from twingym.scenarios import Scenario, get, names
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.registry import ships

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- scenarios: written by docs/generate.py -->", "<!-- end of scenarios -->"
COLUMNS = ("scenario", "a policy decides", "step, episode, judged over", "limits", "groups", "rules to beat")


def table() -> str:
    """Return a Markdown table of the shipped scenarios."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(row(get(name)) for name in names() if ships(name))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(scenario: Scenario) -> tuple[str, ...]:
    """Return the cells of one scenario."""
    decides = [
        f"{i.name}: {', '.join(i.levels)}" if i.levels else f"{i.name}, {i.unit}" for i in scenario.interventions
    ]
    times = dict.fromkeys((1, scenario.horizon, scenario.judged_horizon))
    groups = [f"{name} ({', '.join(levels)})" for name, levels in scenario.group_levels.items()]
    return (
        f"`{scenario.env_id}`<br>{scenario.title}",
        "<br>".join(decides),
        ", ".join(duration(scenario, steps) for steps in times),
        "<br>".join(limit(c) for c in scenario.constraints),
        "<br>".join(groups),
        ", ".join(scenario.rules),
    )


def duration(scenario: Scenario, steps: int) -> str:
    """Return how long ``steps`` last, in days where they fill them."""
    length = scenario.dt * steps
    days = length / (24.0 * 60.0) if scenario.dt_unit == "min" else 0.0
    if days >= 1.0:
        return f"{days:g} days" if days > 1.0 else "1 day"
    return f"{length:g} {scenario.dt_unit.removesuffix('s') if length == 1.0 else scenario.dt_unit}"


def limit(constraint: Constraint) -> str:
    """Return a limit in a few words."""
    if constraint.hard:
        return f"{constraint.name}: never"
    if constraint.kind == "chance":
        return f"P({constraint.name} > {constraint.limit:g}) ≤ {constraint.risk:g}"
    return f"{constraint.name} ≤ {constraint.limit:g}"


def renewed(text: str) -> str:
    """Return ``text`` with the present table between the markers."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", text)


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
