"""How are courses drawn in another unit (glucose in mmol/L)? What is evaluated keeps the unit it is declared in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.courses import CourseMoments, Courses
from twingym.evaluation.episodes import Evaluation
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.units import factors_from, in_unit
from twingym.twins.errors import unknown
from twingym.twins.variables import Variable

Number = TypeVar("Number", np.float32, np.float64)


def drawn_in_unit(evaluation: Evaluation, unit: str) -> Evaluation:
    """Return an evaluation whose variables, safe bands and courses are in ``unit`` wherever that is possible.

    Its episodes, and with them verdicts, stay as they are; its scenario is for drawing, not for living in.

    Raises:
        UnknownNameError: If no variable can be shown in that unit; suggests the nearest.
    """
    scenario = evaluation.scenario
    possible = {v.name: factors_from(v.unit) for v in scenario.every_variable() if v.unit}
    by = {name: factors[unit] for name, factors in possible.items() if unit in factors}
    if not by:
        raise unknown("unit", unit, sorted({other for factors in possible.values() for other in factors}))

    def shown(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
        return tuple(in_unit(v, unit) if v.name in by else v for v in variables)

    told: Scenario = replace(
        scenario,
        variables=shown(scenario.variables),
        inputs=shown(scenario.inputs),
        derived=shown(scenario.derived),
        band={name: (low * by.get(name, 1.0), high * by.get(name, 1.0)) for name, (low, high) in scenario.band.items()},
    )
    courses = evaluation.courses
    if isinstance(courses, Courses):
        courses = _times(courses, by)
    elif isinstance(courses, CourseMoments):
        mean, sd, quantiles = (_scaled(m, by) for m in (courses.mean, courses.sd, courses.quantiles))
        courses = CourseMoments(courses.groups, courses.time, mean, sd, quantiles, _times(courses.worst, by))
    return replace(evaluation, scenario=told, courses=courses)


def _scaled(series: Mapping[str, NDArray[Number]], by: Mapping[str, float]) -> dict[str, NDArray[Number]]:
    return {name: values * by.get(name, 1.0) for name, values in series.items()}


def _times(courses: Courses, by: Mapping[str, float]) -> Courses:
    return replace(courses, values=_scaled(courses.values, by), inputs=_scaled(courses.inputs, by))
