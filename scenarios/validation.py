"""Does a scenario contradict itself?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from twingym.twins.errors import SpecError

if TYPE_CHECKING:
    from twingym.scenarios.scenario import Scenario

RETURN_METRIC = "return"


def validate(scenario: Scenario) -> None:
    """Refuse a scenario that contradicts itself.

    Raises:
        SpecError: Naming the scenario, the field, its value and what is allowed.
    """

    def refuse(fieldname: str, value: object, allowed: str) -> SpecError:
        return SpecError(f"scenario {scenario.id!r}: {fieldname} is {value!r}; allowed: {allowed}.")

    name, dash, version = scenario.id.rpartition("-v")
    if not (name.isidentifier() and dash and version.isdigit()):
        raise refuse("id", scenario.id, "a name and a version, such as 'Glucose-v0'")
    if scenario.dt <= 0:
        raise refuse("dt", scenario.dt, f"a positive number of {scenario.dt_unit}")
    if scenario.horizon < 1 or scenario.judged_horizon < 1:
        raise refuse("horizon", (scenario.horizon, scenario.judged_horizon), "at least 1 step")
    if scenario.ending not in ("truncation", "end"):
        raise refuse("ending", scenario.ending, "truncation, end")
    if not scenario.variables:
        raise refuse("variables", scenario.variables, "at least one")
    if not scenario.interventions:
        raise refuse("interventions", scenario.interventions, "at least one")

    declared = [v.name for v in scenario.every_variable()] + [i.name for i in scenario.interventions]
    twice = [n for n, count in Counter(declared).items() if count > 1]
    if twice:
        raise refuse("variables", twice, "each name once among traits, variables, inputs, derived and interventions")

    for number, variable in enumerate(scenario.variables):
        counts = [v.name for v in scenario.variables[:number] if v.recurrent and v.seen_by("twin")]
        if variable.amount_of and variable.amount_of not in counts:
            allowed = f"a recurrent count declared before: {counts}"
            raise refuse(f"variables[{variable.name}].amount_of", variable.amount_of, allowed)

    traits = {v.name: v for v in scenario.traits}
    for intervention in scenario.interventions:
        trait = intervention.per_person
        if trait is not None and trait not in traits:
            raise refuse(f"interventions[{intervention.name}].per_person", trait, f"a trait: {sorted(traits)}")
        if trait is not None and not traits[trait].seen_by("policy"):
            raise refuse(f"interventions[{intervention.name}].per_person", trait, "a trait that the policy sees")
    kinds = {i.categorical for i in scenario.interventions}
    if len(kinds) > 1:
        raise refuse("interventions", [i.name for i in scenario.interventions], "all amounts or all levels")

    if bool(scenario.derived) != (scenario.bookkeeping is not None):
        raise refuse("bookkeeping", scenario.bookkeeping, "given exactly when there are derived variables")
    if bool(scenario.inputs) != (scenario.draw_inputs is not None):
        raise refuse("draw_inputs", scenario.draw_inputs, "given exactly when there are inputs")
    if (scenario.need is None) != (scenario.benefit is None):
        raise refuse("benefit", scenario.benefit, "given exactly when need is")

    for group in scenario.groups:
        if group not in traits or traits[group].kind != "categorical":
            raise refuse("groups", group, "names of categorical traits")
    _validate_constraints(scenario)

    if scenario.baseline not in scenario.rules:
        raise refuse("baseline", scenario.baseline, f"one of the rules {sorted(scenario.rules)}")
    for rule in scenario.behaviour:
        if rule not in scenario.rules:
            raise refuse("behaviour", rule, f"weights by rule name, from {sorted(scenario.rules)}")
    if sum(scenario.behaviour.values()) <= 0:
        raise refuse("behaviour", dict(scenario.behaviour), "at least one rule with a positive weight")


def _validate_constraints(scenario: Scenario) -> None:
    names = [c.name for c in scenario.constraints]
    allowed = {RETURN_METRIC, *names, *(m.name for m in scenario.metrics)}

    def error(fieldname: str, value: object, what: str) -> SpecError:
        return SpecError(f"scenario {scenario.id!r}: {fieldname} is {value!r}; allowed: {what}.")

    if len(set(names)) != len(names):
        raise error("constraints", names, "each name once")
    if sum(c.primary for c in scenario.constraints) != 1:
        raise error("constraints", [c.name for c in scenario.constraints if c.primary], "exactly one with primary=True")
    if scenario.primary.cost is None:
        raise error("constraints", scenario.primary.name, "a primary constraint with a cost at each step")
    gaps = [c for c in scenario.constraints if c.kind == "group_gap"]
    if not gaps:
        raise error("constraints", names, "at least one group_gap (fairness is a constraint like any other)")
    for gap in gaps:
        if gap.trait not in scenario.groups:
            raise error(f"constraints[{gap.name}].trait", gap.trait, f"one of the groups {list(scenario.groups)}")
        if gap.metric not in allowed - {c.name for c in gaps}:
            raise error(f"constraints[{gap.name}].metric", gap.metric, f"one of {sorted(allowed)}")
