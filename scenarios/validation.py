"""Does a scenario contradict itself?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, NamedTuple

from twingym.twins.errors import SpecError

if TYPE_CHECKING:
    from twingym.scenarios.scenario import Scenario

RETURN_METRIC = "return"


class Check(NamedTuple):
    """What must hold of a field."""

    holds: bool
    field: str
    value: object
    allowed: str


def validate(scenario: Scenario) -> None:
    """Refuse a scenario that contradicts itself.

    Raises:
        SpecError: Naming the scenario, the field, its value and what is allowed.
    """
    for topic in (
        _itself,
        _variables,
        _interventions,
        _pairs,
        _groups,
        _metrics,
        _constraints,
        _rules,
        _constants,
        _plan,
    ):
        # One at a time: a later check may rely on an earlier one.
        for check in topic(scenario):
            if not check.holds:
                raise SpecError(
                    f"scenario {scenario.id!r}: {check.field} is {check.value!r}; allowed: {check.allowed}."
                )


def _itself(s: Scenario) -> Iterator[Check]:
    name, dash, version = s.id.rpartition("-v")
    named = name.isidentifier() and bool(dash) and version.isdigit()
    yield Check(named, "id", s.id, "a name and a version, such as 'Glucose-v0'")
    yield Check(s.kind in ("patient", "consumer"), "kind", s.kind, "patient, consumer")
    yield Check(0 < s.dt < math.inf, "dt", s.dt, f"a positive number of {s.dt_unit}")
    for field, steps in (("horizon", s.horizon), ("judged_horizon", s.judged_horizon), ("window", s.window)):
        yield Check(isinstance(steps, int) and steps >= 1, field, steps, "a whole number of steps, at least 1")
    yield Check(s.ending in ("truncation", "end"), "ending", s.ending, "truncation, end")
    yield Check(hasattr(s.people, "sample"), "people", s.people, "a source of people, such as a Population")
    yield Check(callable(s.reward), "reward", s.reward, "a function from a step to numbers (N,)")


def _variables(s: Scenario) -> Iterator[Check]:
    yield Check(bool(s.variables), "variables", s.variables, "at least one")
    yield Check(bool(s.interventions), "interventions", s.interventions, "at least one")
    twice = _repeated([v.name for v in s.every_variable()] + [i.name for i in s.interventions])
    once = "each name once among traits, variables, inputs, derived and interventions"
    yield Check(not twice, "variables", twice, once)
    for kind in ("traits", "inputs", "derived"):
        events = [v.name for v in getattr(s, kind) if v.kind == "event"]
        yield Check(not events, kind, events, "no events; what ends an episode is one of the variables")
        seldom = [v.name for v in getattr(s, kind) if v.intermittent]
        yield Check(not seldom, kind, seldom, "nothing intermittent; what may not be measured is one of the variables")
    for number, variable in enumerate(s.variables):
        counts = [v.name for v in s.variables[:number] if v.recurrent and v.seen_by("twin")]
        counted = not variable.amount_of or variable.amount_of in counts
        allowed = f"a recurrent count declared before: {counts}"
        yield Check(counted, f"variables[{variable.name}].amount_of", variable.amount_of, allowed)
    known = {v.name for v in s.every_variable()}
    for name, (low, high) in s.band.items():
        yield Check(name in known, "band", name, f"(low, high) by variable, from {sorted(known)}")
        yield Check(low < high, f"band[{name}]", (low, high), f"low < high, in {s.variable(name).unit or '1'}")


def _interventions(s: Scenario) -> Iterator[Check]:
    traits = {v.name: v for v in s.traits}
    for intervention in s.interventions:
        field, trait = f"interventions[{intervention.name}].per_person", intervention.per_person
        if trait is not None:
            yield Check(trait in traits, field, trait, f"a trait: {sorted(traits)}")
            yield Check(traits[trait].seen_by("policy"), field, trait, "a trait that the policy sees")
    kinds = {i.categorical for i in s.interventions}
    yield Check(len(kinds) == 1, "interventions", [i.name for i in s.interventions], "all amounts or all levels")


def _pairs(s: Scenario) -> Iterator[Check]:
    kept, drawn, met = s.bookkeeping is not None, s.draw_inputs is not None, s.benefit is not None
    yield Check(bool(s.derived) == kept, "bookkeeping", s.bookkeeping, "given exactly when there are derived variables")
    yield Check(bool(s.inputs) == drawn, "draw_inputs", s.draw_inputs, "given exactly when there are inputs")
    guessed = "given only where an input is hidden from policies"
    hidden = any(not v.seen_by("policy") for v in s.inputs)
    yield Check(s.guess_inputs is None or hidden, "guess_inputs", s.guess_inputs, guessed)
    yield Check((s.need is not None) == met, "benefit", s.benefit, "given exactly when need is")


def _groups(s: Scenario) -> Iterator[Check]:
    levels = {v.name for v in s.traits if v.kind == "categorical"}
    for group in s.groups:
        yield Check(group in levels, "groups", group, f"names of categorical traits: {sorted(levels)}")
    yield Check(not _repeated(s.groups), "groups", s.groups, "each once")


def _metrics(s: Scenario) -> Iterator[Check]:
    for metric in s.metrics:
        field, ways = f"metrics[{metric.name}]", ("mean", "sum", "variation", "spells")
        yield Check(metric.how in ways, f"{field}.how", metric.how, ", ".join(ways))
        yield Check(metric.lasting >= 1, f"{field}.lasting", metric.lasting, "steps that begin a spell, at least 1")
        yield Check(metric.per >= 0, f"{field}.per", metric.per, "steps, or 0 for the whole episode")
        counted = metric.how == "spells" or (metric.lasting, metric.per) == (1, 0)
        yield Check(counted, f"{field}.how", metric.how, "spells, where lasting or per is given")
    twice = _repeated([RETURN_METRIC, *(c.name for c in s.constraints), *(m.name for m in s.metrics)])
    names = f"each name once among metrics, constraints and {RETURN_METRIC!r}"
    yield Check(not twice, "constraints or metrics", twice, names)


def _constraints(s: Scenario) -> Iterator[Check]:
    first = [c for c in s.constraints if c.primary]
    yield Check(len(first) == 1, "constraints", [c.name for c in first], "exactly one with primary=True")
    yield Check(
        first[0].cost is not None, "constraints", first[0].name, "a primary constraint with a cost at each step"
    )
    gaps = [c for c in s.constraints if c.kind == "group_gap"]
    fair = "at least one group_gap (fairness is a constraint like any other)"
    yield Check(bool(gaps), "constraints", [c.name for c in s.constraints], fair)
    measured = {RETURN_METRIC, *(c.name for c in s.constraints), *(m.name for m in s.metrics)} - {c.name for c in gaps}
    for gap in gaps:
        yield Check(gap.trait in s.groups, f"constraints[{gap.name}].trait", gap.trait, f"one of {list(s.groups)}")
        known = gap.metric in measured
        yield Check(known, f"constraints[{gap.name}].metric", gap.metric, f"one of {sorted(measured)}")


def _rules(s: Scenario) -> Iterator[Check]:
    yield Check(s.baseline in s.rules, "baseline", s.baseline, f"one of the rules {sorted(s.rules)}")
    shared = "a rule with the same settings for everybody"
    yield Check(not s.rules[s.baseline].per_person, "baseline", s.baseline, shared)
    for name, weight in s.behaviour.items():
        yield Check(name in s.rules, "behaviour", name, f"weights by rule name, from {sorted(s.rules)}")
        yield Check(not s.rules[name].per_person, "behaviour", name, shared)
        yield Check(0 <= weight < math.inf, f"behaviour[{name}]", weight, "a weight of 0 or more")
    weighed = sum(s.behaviour.values()) > 0
    yield Check(weighed, "behaviour", dict(s.behaviour), "at least one rule with a positive weight")


def _constants(s: Scenario) -> Iterator[Check]:
    varied = s.parameters is not None
    yield Check(varied == (s.rebuild is not None), "rebuild", s.rebuild, "given exactly when parameters are")
    if varied:
        yield Check(is_dataclass(s.parameters), "parameters", s.parameters, "a dataclass of constants")
        names = {f.name for f in fields(s.parameters)}
        # What nobody may vary can stand beside them, in their class.
        fixed = {name for name in s.provenance if hasattr(type(s.parameters), name)}
        differ = sorted((names | fixed) ^ set(s.provenance))
        yield Check(not differ, "provenance", differ, "a source for each of the parameters, and no other")


def _plan(s: Scenario) -> Iterator[Check]:
    plan = s.fidelity
    if plan is None:
        return
    observed = [v.name for v in s.variables]
    yield Check(plan.variable in observed, "fidelity.variable", plan.variable, f"one of {observed}")
    measured = [RETURN_METRIC, *(m.name for m in s.metrics)]
    yield Check(plan.metric in measured, "fidelity.metric", plan.metric, f"one of {measured}")
    yield Check(plan.drift in s.rules, "fidelity.drift", plan.drift, f"one of the rules {sorted(s.rules)}")
    for name, (rule, settings) in plan.policies.items():
        yield Check(rule in s.rules, f"fidelity.policies[{name}]", rule, f"one of the rules {sorted(s.rules)}")
        unknown = sorted(set(settings) - set(s.rules[rule].settings))
        has = f"settings of {rule}: {sorted(s.rules[rule].settings)}"
        yield Check(not unknown, f"fidelity.policies[{name}]", unknown, has)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
