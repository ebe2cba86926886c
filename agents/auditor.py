"""What could a policy do that saw what is hidden? It can act on the reference only, for scale."""

from __future__ import annotations

from dataclasses import replace

from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import unknown
from twingym.twins.variables import Variable


def reveal(scenario: Scenario, *names: str) -> Scenario:
    """Return the scenario with hidden variables and traits shown to the policy.

    Everything else works on it as usual: an oracle is trained and judged like any agent, with
    ``dynamics="reference"``. Reward, costs and rules are the same functions, so the results compare.

    Args:
        scenario: The problem.
        *names: Variables, traits or inputs to show; everything that is hidden, events excepted, if none is named.

    Raises:
        UnknownNameError: If there is no such variable.
    """
    for name in names:
        scenario.variable(name)
    hidden = {v.name for v in scenario.every_variable() if not v.seen_by("policy") and v.kind != "event"}
    for name in names:
        if name not in hidden:
            raise unknown("hidden variable", name, hidden, "The policy sees the others already.")
    shown = set(names) or hidden

    def opened(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
        return tuple(replace(v, audience="policy") if v.name in shown else v for v in variables)

    return replace(
        scenario,
        traits=opened(scenario.traits),
        variables=opened(scenario.variables),
        inputs=opened(scenario.inputs),
        derived=opened(scenario.derived),
    )
