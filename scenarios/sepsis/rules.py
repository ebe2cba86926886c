"""How is sepsis treated without learning, what counts as harm, and what does the ward keep count of?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twingym.scenarios.constraint import Cost
from twingym.scenarios.rule import Rule, Settings
from twingym.scenarios.sepsis.chain import TOLERANCE, best, number_of
from twingym.scenarios.sepsis.reference import arrivals
from twingym.scenarios.sepsis.tables import (
    ALL,
    ANTIBIOTICS,
    LEVELS,
    NONE,
    VASOPRESSORS,
    VENTILATION,
    VITALS,
    Constants,
    Numbers,
    abnormal,
    parts,
    tables,
)
from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats

DRUGS = ("antibiotics", "ventilation", "vasopressors")
BLOOD_PRESSURE = VITALS.index("blood_pressure")
LOW, HIGH = LEVELS["blood_pressure"].index("low"), LEVELS["blood_pressure"].index("high")


def signs(now: Mapping[str, Floats]) -> Numbers:
    """Return the levels of the vital signs, (4, N)."""
    return np.stack([now[name] for name in VITALS]).astype(np.intp)


def last_treatment(now: Mapping[str, Floats]) -> Numbers:
    """Return the number (N,) of the treatments that are on."""
    on = [now[name].astype(np.intp) for name in DRUGS]
    return np.asarray(ANTIBIOTICS * on[0] + VENTILATION * on[1] + VASOPRESSORS * on[2])


# -- bookkeeping -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chart:
    """The patient's chart: what is being given and, where diabetes is hidden, how likely it is after all that was seen.

    Attributes:
        constants: The chances by which diabetes shows.
    """

    constants: Constants

    def start(self, now: Values) -> dict[str, Floats]:
        """Entries on arrival: nothing is being given."""
        memory = dict.fromkeys(DRUGS, np.zeros(len(now[VITALS[0]])))
        if not self.constants.visible_diabetes:
            share, chances = arrivals(self.constants.diabetes)
            without, having = chances[:, number_of(signs(now))]
            memory["p_diabetes"] = share * having / (share * having + (1.0 - share) * without)
        return memory

    def update(self, memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
        """Entries after a step; by Bayes' rule how likely diabetes is now."""
        treatment = step.delivered["treatment"].astype(np.intp)
        kept = {name: on.astype(np.float64) for name, on in zip(DRUGS, parts(treatment), strict=True)}
        if self.constants.visible_diabetes:
            return kept
        before, after, rows = signs(step.before), signs(step.after), np.arange(len(treatment))
        given = last_treatment(memory)
        without, having = (
            np.prod([t[rows, b, a] for t, b, a in zip(chances, before, after, strict=True)], axis=0)
            for chances in (
                tables(self.constants).of(given, treatment, np.full(len(rows), diabetes)) for diabetes in (0, 1)
            )
        )
        odds, even = memory["p_diabetes"] * having, (1.0 - memory["p_diabetes"]) * without
        # A twin model may do what the tables rule out: that says nothing.
        kept["p_diabetes"] = np.where(odds + even > 0.0, odds / np.maximum(odds + even, 1e-300), memory["p_diabetes"])
        return kept


# -- harm --------------------------------------------------------------------------------------------------------------


def reward(step: Step) -> Floats:
    """1 for a discharge, -1 for a death."""
    return step.after["discharge"] - step.after["death"]


def died(step: Step) -> Floats:
    """Whether the patient died in this step."""
    return step.after["death"]


def discharged(step: Step) -> Floats:
    """Whether the patient was discharged in this step."""
    return step.after["discharge"]


def at_level(vital: str, *levels: str) -> Cost:
    """Return the cost: whether a vital sign ends the step at one of these levels."""
    numbers = [LEVELS[vital].index(level) for level in levels]

    def cost(step: Step) -> Floats:
        return np.isin(step.after[vital], numbers).astype(np.float64)

    cost.__qualname__ = f"{vital} {' or '.join(levels)}"
    return cost


def given(drug: str) -> Cost:
    """Return the cost: whether this is given in the step."""
    number = DRUGS.index(drug)

    def cost(step: Step) -> Floats:
        return parts(step.delivered["treatment"].astype(np.intp))[number].astype(np.float64)

    cost.__qualname__ = f"given {drug}"
    return cost


def wrong(now: Values) -> Floats:
    """Count abnormal vital signs."""
    return abnormal(signs(now)).astype(np.float64)


def unwell(step: Step) -> Floats:
    """Need: whether some vital sign was abnormal when the step began."""
    return np.asarray(wrong(step.before) > 0.0, dtype=np.float64)


def improved(step: Step) -> Floats:
    """Benefit: fewer abnormal vital signs after than before."""
    return unwell(step) * (wrong(step.after) < wrong(step.before))


# -- rules -------------------------------------------------------------------------------------------------------------


def constant(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Give everybody the same, always."""
    return {"treatment": np.clip(np.rint(settings["treatment"]) + np.zeros(len(now["severity"])), NONE, ALL)}


def by_signs(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Treat what is abnormal: antibiotics while a sign is high, ventilation and vasopressors while one is low."""
    heart_rate, blood_pressure, oxygen, _ = signs(now)
    high, low = (heart_rate == HIGH) | (blood_pressure == HIGH), blood_pressure == LOW
    return {"treatment": combined(high, (oxygen == LOW) * settings["ventilation"], low * settings["vasopressors"])}


def until_well(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Antibiotics and ventilation until no sign is abnormal, vasopressors while blood pressure is low."""
    ill, low = wrong(now) > 0.0, signs(now)[BLOOD_PRESSURE] == LOW
    return {"treatment": combined(ill, ill * settings["ventilation"], ill * low * settings["vasopressors"])}


def combined(*wanted: ArrayLike) -> Floats:
    """Return the number (N,) of antibiotics, ventilation and vasopressors, each wanted from one half on, (N,)."""
    antibiotics, ventilation, vasopressors = (np.asarray(want, dtype=np.float64) >= 0.5 for want in wanted)
    number = ANTIBIOTICS * antibiotics + VENTILATION * ventilation + VASOPRESSORS * vasopressors
    return np.asarray(number, dtype=np.float64)


@dataclass(frozen=True)
class Optimal:
    """The treatment of the greatest expected discounted reward in every state, exactly.

    Where diabetes is hidden, expected over how likely it is, as if it were known from the next step on (QMDP, Littman,
    Cassandra and Kaelbling 1995): exact where it is as good as known.

    Attributes:
        constants: Those of the chain, which is worked out when the rule is first used.
    """

    constants: Constants

    def __call__(self, now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
        """Choose for N patients."""
        likely = now["diabetes" if self.constants.visible_diabetes else "p_diabetes"][:, None]
        without, having = best(self.constants)[:, last_treatment(now), number_of(signs(now))]  # (N, A) each
        worth = (1.0 - likely) * without + likely * having
        return {"treatment": (worth >= worth.max(axis=1, keepdims=True) - TOLERANCE).argmax(axis=1).astype(np.float64)}


# Whether a kind of support is given at all.
SUPPORT = {"ventilation": 1.0, "vasopressors": 1.0}
SWITCHES = {"ventilation": (0.0, 1.0), "vasopressors": (0.0, 1.0)}

EXACT = (
    "By policy iteration over all states, discounted by 0.99 a step, as the authors' clinicians before they err "
    "(Oberst and Sontag 2019)."
)
GUESSED = (
    "QMDP (Littman, Cassandra and Kaelbling 1995), not optimal: weighs the exact values, discounted by 0.99 a step, by "
    "the chance of diabetes given what was seen, as if it were known from the next step on."
)


def rules(constants: Constants) -> dict[str, Rule]:
    """Return the rule baselines for patients under these constants."""
    return {
        "none": Rule(constant, {"treatment": float(NONE)}, about="No treatment."),
        "all": Rule(constant, {"treatment": float(ALL)}, about="Everything, always: nobody can be discharged."),
        "by_signs": Rule(
            by_signs, SUPPORT, grid=SWITCHES, about="Each sign by itself, and only while it is abnormal; an assumption."
        ),
        "until_well": Rule(
            until_well,
            SUPPORT,
            grid=SWITCHES,
            about="As in the Surviving Sepsis Campaign (Evans et al. 2021, Crit. Care Med. 49:e1063) antibiotics at "
            "once and vasopressors against low pressure; when to stop is an assumption.",
        ),
        "optimal": Rule(Optimal(constants), about=EXACT if constants.visible_diabetes else GUESSED),
    }
