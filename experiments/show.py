"""Show what a scenario measures, decides, wants and forbids, with units and sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.table import Table

from twingym.experiments.cli import run_module
from twingym.experiments.console import console, table
from twingym.scenarios import registry
from twingym.scenarios.recorded import Recorded
from twingym.scenarios.scenario import Scenario


@dataclass(frozen=True)
class Args:
    """Show one scenario."""

    env: Annotated[str, tyro.conf.Positional]
    """Id of the scenario, or the path of its file or of its table's spec."""


def run(args: Args) -> None:
    """Print variables, interventions, limits with their sources, groups, rules and sources."""
    scenario = registry.get(args.env)
    page = console()
    page.print(f"[bold]{scenario.env_id}[/]  {scenario.title}\n{scenario.about}\n")
    page.print(
        f"One step is {scenario.dt:g} {scenario.dt_unit}; {scenario.horizon} steps are a training episode, verdicts "
        f"are reached over {scenario.judged_horizon}."
    )
    for part in (variables, interventions, constraints, metrics, rules):
        page.print(part(scenario))
    for name, levels in scenario.group_levels.items():
        page.print(f"[bold]group[/] {name}: {', '.join(levels)}  {scenario.variable(name).about}")
    if scenario.parameters is not None:
        page.print(parameters(scenario))
    if scenario.recorded is not None:
        page.print(sources(scenario.recorded))
    for source in scenario.sources:
        page.print(f"[bold]source[/] {source}")


def variables(scenario: Scenario) -> Table:
    """Return the table of traits, variables, inputs and derived values."""
    found = table("what is known about a person", "name", "role", "kind", "unit", "range", "seen by", "about")
    roles = {
        "trait": scenario.traits,
        "observed": scenario.variables,
        "input": scenario.inputs,
        "derived": scenario.derived,
    }
    for role, declared in roles.items():
        for v in declared:
            span = ", ".join(v.levels) if v.levels else f"{v.low:g} to {v.high:g}"
            found.add_row(
                v.name, role, v.kind, v.unit, span, {"policy": "everybody"}.get(v.audience, v.audience), v.about
            )
    return found


def interventions(scenario: Scenario) -> Table:
    """Return the table of what a policy decides."""
    found = table("what a policy decides", "name", "unit", "range", "about")
    for i in scenario.interventions:
        times = f" times {i.per_person}" if i.per_person else ""
        span = ", ".join(i.levels) if i.levels else f"{i.low:g} to {i.high:g}{times} ({i.scale})"
        found.add_row(i.name, i.unit, span, i.about)
    return found


def constraints(scenario: Scenario) -> Table:
    """Return the table of limits with their sources."""
    found = table("what must not happen", "name", "kind", "limit", "unit", "of", "source")
    for c in scenario.constraints:
        limit = f"{c.limit:g}" + (f" in {c.risk:.0%} of people" if c.kind in ("chance", "cvar") else "")
        of = f"{c.metric} between {c.trait}" if c.trait else "hard" if c.hard else "primary" if c.primary else ""
        found.add_row(c.name, c.kind, limit, c.unit, of, c.source)
    return found


def metrics(scenario: Scenario) -> Table:
    """Return the table of what is reported without a limit."""
    found = table("what is reported besides", "name", "unit", "over an episode", "better", "about")
    for m in scenario.metrics:
        found.add_row(m.name, m.unit, m.how, m.better, m.about)
    return found


def rules(scenario: Scenario) -> Table:
    """Return the table of rule baselines."""
    found = table("rule baselines", "name", "settings", "found by trying", "about")
    for name, rule in scenario.rules.items():
        settings = ", ".join(
            f"{key} {value:g} {rule.units.get(key, '')}".strip()
            for key, value in rule.settings.items()
            if isinstance(value, int | float)
        )
        tried = ", ".join(f"{key} {min(values):g} to {max(values):g}" for key, values in rule.grid.items())
        whose = f"{tried} for each person" if rule.per_person else tried
        found.add_row(name + (" (baseline)" if name == scenario.baseline else ""), settings, whose, rule.about)
    return found


def parameters(scenario: Scenario) -> Table:
    """Return the table of constants that may be varied."""
    found = table("constants", "name", "value", "unit", "source", "about")
    for name, parameter in scenario.provenance.items():
        value = getattr(scenario.parameters, name)
        found.add_row(
            name,
            f"{value:g}" if isinstance(value, int | float) else str(value),
            parameter.unit,
            parameter.source,
            parameter.about,
        )
    return found


def sources(recorded: Recorded) -> Table:
    """Return the table of where each quantity was recorded."""
    counts = ", ".join(f"{count:,} {split}" for split, count in recorded.described()["people"].items())
    found = table(f"where it was recorded: {counts}", "name", "table", "file", "column", "lag", "missing")
    for name, p in recorded.provenance.items():
        found.add_row(name, p.table, p.file, p.column, f"{p.lag:g} {p.lag_unit}", f"{p.missing:.0%}")
    return found


if __name__ == "__main__":
    run_module(__file__)
