"""How likely does a treatment move each vital sign of a patient with sepsis: the numbers of Oberst and Sontag 2019.

A step applies antibiotics, ventilation, vasopressors and fluctuations, in this order. Given the treatments of two
successive steps the four vital signs move independently, so the whole model is four small tables of chances. The state,
with all that matters, has 1,440 values; ``scenarios/sepsis/chain.py`` works out what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

Numbers = NDArray[np.intp]

EQUATIONS = """\
In each step, one after the other, with probability and for whom:

| what | vital sign | moves | probability | with diabetes |
| --- | --- | --- | --- | --- |
| antibiotics on | heart rate, blood pressure | high to normal | 0.5 | 0.5 |
| antibiotics just off | heart rate, blood pressure | normal to high | 0.1 | 0.1 |
| ventilation on | oxygen | low to normal | 0.7 | 0.7 |
| ventilation just off | oxygen | normal to low | 0.1 | 0.1 |
| vasopressors on | blood pressure | low to normal | 0.7 | 0.5 |
| | | low to high | 0 | 0.4 |
| | | normal to high | 0.7 | 0.9 |
| | glucose | up a level | 0 | 0.5 |
| vasopressors just off | blood pressure | down a level | 0.1 | 0.05 |
| none of these on or just off | the sign but glucose | up, or down, a level | 0.1 each | 0.1 each |
| vasopressors not on | glucose | up, or down, a level | 0.1 each | 0.3 each |

Levels end where there is no further one. Three abnormal signs are death; no abnormal sign without any treatment is
discharge; after either nothing changes. On arrival nothing is given, heart rate and blood pressure are low, normal or
high with probability 0.25, 0.5, 0.25, oxygen is low with 0.2, glucose is very low to very high with 0.05, 0.15, 0.6,
0.15, 0.05 without and 0.01, 0.05, 0.15, 0.6, 0.19 with diabetes; whoever would be dead or well is drawn again.

Given the treatments of two successive steps the vital signs are independent, so `scenarios/sepsis/tables.py` holds one
table of chances for each. `scenarios/sepsis/chain.py` multiplies them to those of all 1,440 states and finds the best
treatment of each by policy iteration; for a patient on arrival it is worth 0.743701 (discount 0.99), and
`tests/test_sepsis.py` holds this and the chances of death and discharge of five policies to the printed digits.
"""

LEVELS = {
    "heart_rate": ("low", "normal", "high"),
    "blood_pressure": ("low", "normal", "high"),
    "oxygen": ("low", "normal"),
    "glucose": ("very_low", "low", "normal", "high", "very_high"),
}
VITALS = tuple(LEVELS)
COUNTS = tuple(len(levels) for levels in LEVELS.values())
NORMAL = tuple(levels.index("normal") for levels in LEVELS.values())
DEADLY = 3  # abnormal vital signs
# Numbered as published: 4 antibiotics + 2 ventilation + vasopressors.
TREATMENTS = (
    "none",
    "vasopressors",
    "ventilation",
    "ventilation_vasopressors",
    "antibiotics",
    "antibiotics_vasopressors",
    "antibiotics_ventilation",
    "all",
)
NONE, VASOPRESSORS, VENTILATION, ANTIBIOTICS, ALL = 0, 1, 2, 4, 7


@dataclass(frozen=True)
class Constants:
    """Every number of the scenario; units and sources stand in ``PROVENANCE`` of scenarios/sepsis/scenario.py."""

    diabetes: float = 0.2
    antibiotics_calm: float = 0.5
    antibiotics_rebound: float = 0.1
    ventilation_helps: float = 0.7
    ventilation_rebound: float = 0.1
    vasopressors_raise: float = 0.7
    vasopressors_fall: float = 0.1
    diabetic_normal_to_high: float = 0.9
    diabetic_low_to_normal: float = 0.5
    diabetic_low_to_high: float = 0.4
    diabetic_fall: float = 0.05
    diabetic_glucose_rise: float = 0.5
    fluctuation: float = 0.1
    diabetic_glucose_fluctuation: float = 0.3
    legacy: bool = False
    visible_diabetes: bool = True

    # How untreated patients arrive, by the levels declared above; nobody varies these.
    arriving_heart_rate: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.25)
    arriving_blood_pressure: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.25)
    arriving_oxygen: ClassVar[tuple[float, ...]] = (0.2, 0.8)
    arriving_glucose: ClassVar[tuple[float, ...]] = (0.05, 0.15, 0.6, 0.15, 0.05)
    arriving_glucose_diabetic: ClassVar[tuple[float, ...]] = (0.01, 0.05, 0.15, 0.6, 0.19)

    def __post_init__(self) -> None:
        """Refuse what is no chance.

        Raises:
            SpecError: Naming the constant.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float" and not 0.0 <= value <= 1.0:
                raise SpecError(f"parameter {field.name!r} is {value!r}; allowed: a probability, 0 to 1.")
            if field.type == "bool" and not isinstance(value, bool):
                raise SpecError(f"parameter {field.name!r} is {value!r}; allowed: True, False.")
            if field.name.endswith("fluctuation") and value > 0.5:
                raise SpecError(f"parameter {field.name!r} is {value!r}; allowed: 0 to 0.5, since it goes both ways.")
        total = self.diabetic_low_to_normal + self.diabetic_low_to_high
        if total > 1.0:
            raise SpecError(
                f"parameters 'diabetic_low_to_normal' and 'diabetic_low_to_high' add up to {total:g}; allowed: at most "
                "1, since at most one of them happens."
            )


def parts(treatment: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return whether antibiotics, ventilation and vasopressors are on, each (N,), 0 or 1."""
    return treatment >> 2 & 1, treatment >> 1 & 1, treatment & 1


def abnormal(vitals: NDArray[np.generic]) -> Numbers:
    """Count, per patient (N,), the vital signs (4, N) that are not normal."""
    return np.asarray((vitals != np.array(NORMAL)[:, None]).sum(axis=0), dtype=np.intp)


class Tables(NamedTuple):
    """Chances of the next level of each vital sign; the last two axes are its levels before and after.

    Attributes:
        heart_rate: By antibiotics before and now, (2, 2, 3, 3).
        blood_pressure: By antibiotics and vasopressors, both before and now, and diabetes, (2, 2, 2, 2, 2, 3, 3).
        oxygen: By ventilation before and now, (2, 2, 2, 2).
        glucose: By vasopressors now and diabetes, (2, 2, 5, 5).
    """

    heart_rate: Floats
    blood_pressure: Floats
    oxygen: Floats
    glucose: Floats

    def of(self, before: Numbers, now: Numbers, diabetes: Numbers) -> tuple[Floats, ...]:
        """Return the tables (N, L, L) of each vital sign in one step of N patients; see :func:`conditions`."""
        return tuple(table[c] for table, c in zip(self, conditions(before, now, diabetes), strict=True))


def conditions(before: Numbers, now: Numbers, diabetes: Numbers) -> tuple[tuple[Numbers, ...], ...]:
    """Return what decides which row of each of the :class:`Tables` holds: numbers 0 or 1, each (N,).

    Args:
        before: Numbers of the last treatments, (N,).
        now: Numbers of the treatments of this step, (N,).
        diabetes: 0 or 1, (N,).
    """
    antibiotics, ventilation, vasopressors = zip(parts(before), parts(now), strict=True)
    return antibiotics, (*antibiotics, *vasopressors, diabetes), ventilation, (vasopressors[1], diabetes)


@lru_cache(maxsize=16)
def tables(constants: Constants) -> Tables:
    """Return the chances under these constants; read-only."""
    c = constants
    heart_rate, blood_pressure = np.empty((2, 2, 3, 3)), np.empty((2, 2, 2, 2, 2, 3, 3))
    oxygen, glucose = np.empty((2, 2, 2, 2)), np.empty((2, 2, 5, 5))
    for before, now in np.ndindex(2, 2):
        antibiotics = _first(
            (now, moving(3, {(2, 1): c.antibiotics_calm})), (before, moving(3, {(1, 2): c.antibiotics_rebound}))
        )
        ventilation = _first(
            (now, moving(2, {(0, 1): c.ventilation_helps})), (before, moving(2, {(1, 0): c.ventilation_rebound}))
        )
        heart_rate[before, now] = fluctuating(3, c.fluctuation) if antibiotics is None else antibiotics
        oxygen[before, now] = fluctuating(2, c.fluctuation) if ventilation is None else ventilation
        for earlier, present, diabetes in np.ndindex(2, 2, 2):
            vasopressors = _first((present, _rising(c, diabetes)), (earlier, _falling(c, diabetes)))
            acting = [move for move in (antibiotics, vasopressors) if move is not None]
            found = fluctuating(3, c.fluctuation) if not acting else np.eye(3)
            for move in acting:
                found = found @ move
            blood_pressure[before, now, earlier, present, diabetes] = found
    for diabetes in range(2):
        rise = c.diabetic_glucose_rise * diabetes
        glucose[1, diabetes] = moving(5, {(k, k + 1): rise for k in range(4)})
        glucose[0, diabetes] = fluctuating(5, c.diabetic_glucose_fluctuation if diabetes else c.fluctuation)
    if c.legacy:  # without diabetes, whoever should go up a level goes to "low", from wherever above it
        f = c.fluctuation
        glucose[0, 0] = moving(5, {(0, 1): f, (1, 0): f, (2, 1): 2.0 * f, (3, 2): f, (3, 1): f, (4, 3): f, (4, 1): f})
    made = Tables(heart_rate, blood_pressure, oxygen, glucose)
    for table in made:
        table.setflags(write=False)
    return made


def _first(*moves: tuple[int, Floats]) -> Floats | None:
    """Return the first of the moves whose flag is set."""
    return next((move for flag, move in moves if flag), None)


def moving(levels: int, chances: Mapping[tuple[int, int], float]) -> Floats:
    """Chances (L, L) of going from one level to another as given, else of staying."""
    found = np.eye(levels)
    for (start, end), chance in chances.items():
        found[start, end] += chance
        found[start, start] -= chance
    return found


def fluctuating(levels: int, chance: float) -> Floats:
    """Chances (L, L) of going down a level and of going up one, ``chance`` each; who is at an end stays there."""
    steps = [(k, k + 1) for k in range(levels - 1)]
    return moving(levels, {step: chance for step in steps + [(b, a) for a, b in steps]})


def _rising(c: Constants, diabetes: int) -> Floats:
    """What vasopressors do to blood pressure, (3, 3)."""
    if not diabetes:
        return moving(3, {(0, 1): c.vasopressors_raise, (1, 2): c.vasopressors_raise})
    low = {(0, 1): c.diabetic_low_to_normal, (0, 2): c.diabetic_low_to_high}
    return moving(3, {**low, (1, 2): c.diabetic_normal_to_high})


def _falling(c: Constants, diabetes: int) -> Floats:
    """What blood pressure does in the step after vasopressors, (3, 3)."""
    fall = c.diabetic_fall if diabetes else c.vasopressors_fall
    return moving(3, {(1, 0): fall, (2, 1): fall})
