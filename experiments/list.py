"""List the scenarios, one line each."""

from __future__ import annotations

from dataclasses import dataclass

from twingym.experiments.cli import run_module
from twingym.experiments.console import console, table
from twingym.scenarios import Scenario, registry
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import SpecError, WeightsError


@dataclass(frozen=True)
class Args:
    """List the scenarios."""


def run(args: Args) -> None:
    """Print a table; a scenario that cannot be loaded is named with its error and does not hide the others."""
    found = table("", "environment id", "about", "step", "episode", "interventions", "constraints", "dynamics")
    for name in registry.names():
        try:
            scenario = registry.get(name)
        except SpecError as error:
            found.add_row(name, f"[red]{error}[/]")
            continue
        dynamics = ["transformer"] if has_weights(scenario) else []
        dynamics += ["reference"] if scenario.reference is not None else []
        found.add_row(
            scenario.env_id,
            scenario.title,
            f"{scenario.dt:g} {scenario.dt_unit}",
            f"{scenario.horizon} steps",
            ", ".join(i.name for i in scenario.interventions),
            ", ".join(c.name for c in scenario.constraints),
            ", ".join(dynamics),
        )
    console().print(found)


def has_weights(scenario: Scenario) -> bool:
    """Return whether a folder of weights lies where this scenario's belong; one made in memory has no such place."""
    try:
        return weights_folder(scenario).is_dir()
    except WeightsError:
        return False


if __name__ == "__main__":
    run_module(__file__)
