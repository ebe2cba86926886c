"""Which kind of people is meant: trait names and level names, as `twingym show` prints them, to numbers."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Condition
from twingym.twins.errors import CohortError, unknown
from twingym.twins.variables import Variable


def condition_in_numbers(scenario: Scenario, condition: Mapping[str, object]) -> Condition:
    """Return a condition with every level name as its number.

    Raises:
        UnknownNameError: If there is no such trait or level; suggests the nearest.
        CohortError: If a range is no pair of numbers.
    """
    found: dict[str, object] = {}
    for name, want in condition.items():
        variable = _trait(scenario, name)
        if isinstance(want, tuple) and (len(want) != 2 or not all(isinstance(end, Real) for end in want)):
            raise CohortError(
                f"condition[{name!r}] is {want!r}; allowed: a range (low, high) in {variable.unit or '1'}, one value, "
                "or a set of values."
            )
        if isinstance(want, set | frozenset | list):
            found[name] = [_number(variable, one) for one in want]
        else:
            found[name] = want if isinstance(want, tuple) else _number(variable, want)
    return found


def fixed_in_numbers(scenario: Scenario, fixed: Mapping[str, object]) -> dict[str, float]:
    """Return imposed trait values with every level name as its number.

    Raises:
        UnknownNameError: If there is no such trait or level; suggests the nearest.
        CohortError: If a value is beyond the trait's bounds.
    """
    found = {name: _number(_trait(scenario, name), value) for name, value in fixed.items()}
    for name, number in found.items():
        variable = scenario.variable(name)
        if not variable.low <= number <= variable.high:
            levels = f", {' < '.join(variable.levels)}" if variable.levels else ""
            raise CohortError(
                f"fixed[{name!r}] is {number:g}; allowed: {variable.low:g} to {variable.high:g} "
                f"{variable.unit or '(level)'}{levels}."
            )
    return found


def _trait(scenario: Scenario, name: str) -> Variable:
    traits = {v.name: v for v in scenario.traits}
    if name not in traits:
        raise unknown("trait", name, traits)
    return traits[name]


def _number(variable: Variable, value: object) -> float:
    if isinstance(value, str) and variable.levels:
        if value not in variable.levels:
            raise unknown(f"level of {variable.name}", value, variable.levels)
        return float(variable.levels.index(value))
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise CohortError(f"trait {variable.name!r} is asked for as {value!r}; allowed: a number.") from error
