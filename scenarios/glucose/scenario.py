"""Glucose: how much insulin should a person with type 1 diabetes get every five minutes?"""

from __future__ import annotations

import numpy as np

from twingym.scenarios.constraint import Constraint, Cost
from twingym.scenarios.glucose.fidelity import PLAN
from twingym.scenarios.glucose.hovorka import EQUATIONS
from twingym.scenarios.glucose.meals import STEPS_PER_DAY, draw_meals, guess_meals
from twingym.scenarios.glucose.reference import PEOPLE, SENSOR_RANGE, STEP_MINUTES, GlucoseReference
from twingym.scenarios.glucose.rules import BOOKKEEPING, RULES
from twingym.scenarios.glucose.sources import PROVENANCE
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step
from twingym.twins.scales import Floats
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

ID = "Glucose-v0"
CONSENSUS = "Battelino et al. 2019, Diabetes Care 42:1593 (international consensus on time in range)"
RISK_SCALE = 30.0


def risk(cgm: Floats) -> Floats:
    """Glucose risk of Kovatchev et al. 1997 (Diabetes Care 20:1655): 0 at 112.5 mg/dL, about 7.7 at 70 and at 180."""
    return np.asarray(10.0 * (1.509 * (np.log(cgm) ** 1.084 - 5.381)) ** 2)


def reward(step: Step) -> Floats:
    """One minus the scaled risk of the sensor reading at the end of the step."""
    return 1.0 - risk(step.after["cgm"]) / RISK_SCALE


def below(level: float) -> Cost:
    """Return the cost: whether the sensor ends the step below ``level`` mg/dL."""

    def cost(step: Step) -> Floats:
        return (step.after["cgm"] < level).astype(np.float64)

    cost.__qualname__ = f"below_{level:g}"
    return cost


def above_250(step: Step) -> Floats:
    """Whether the sensor ends the step above 250 mg/dL."""
    return (step.after["cgm"] > 250.0).astype(np.float64)


def severe_low(step: Step) -> Floats:
    """Whether plasma glucose fell to 40 mg/dL, which ends the episode."""
    return step.after["severe_low"]


def in_range(step: Step) -> Floats:
    """Whether the sensor ends the step between 70 and 180 mg/dL."""
    return ((step.after["cgm"] >= 70.0) & (step.after["cgm"] <= 180.0)).astype(np.float64)


def sensor(step: Step) -> Floats:
    """The sensor reading at the end of the step, mg/dL."""
    return step.after["cgm"]


def daily_insulin(step: Step) -> Floats:
    """The rate delivered over the step, as an amount per day."""
    return 24.0 * step.delivered["insulin"]


def out_of_range(step: Step) -> Floats:
    """Need: whether the sensor was out of range when the step began."""
    cgm = step.before["cgm"]
    return ((cgm < 70.0) | (cgm > 180.0)).astype(np.float64)


def moved_towards_range(step: Step) -> Floats:
    """Benefit: out of range before, and closer to 70 to 180 mg/dL after."""
    before, after = step.before["cgm"], step.after["cgm"]

    def distance(cgm: Floats) -> Floats:
        return np.maximum(70.0 - cgm, 0.0) + np.maximum(cgm - 180.0, 0.0)

    return out_of_range(step) * (distance(after) < distance(before))


SCENARIO = Scenario(
    id=ID,
    title="Insulin dosing in type 1 diabetes",
    kind="patient",
    about=(
        "Five-minute insulin dosing from a continuous glucose monitor with announced, misjudged meals. The reference "
        "is Hovorka's model with the Resalat population; it is itself a model, and nothing here is for treatment "
        "decisions."
    ),
    dt=STEP_MINUTES,
    dt_unit="min",
    horizon=STEPS_PER_DAY,
    judged_horizon=14 * STEPS_PER_DAY,
    people=PEOPLE,
    traits=(
        Variable("weight", "kg", 40.0, 130.0, about="Body weight."),
        Variable("basal", "U/h", 0.1, 8.0, scale="log", about="Insulin that holds 115 mg/dL without meals."),
        Variable(
            "weight_band",
            kind="categorical",
            levels=("light", "middle", "heavy"),
            audience="twin",
            about="Tertile of weight (Resalat et al. 2019), which scales both volumes, uptake without insulin, hepatic "
            "output and renal loss (Hovorka et al. 2004); itself it moves nothing.",
        ),
        Variable(
            "sensitivity_band",
            kind="categorical",
            levels=("resistant", "middle", "sensitive"),
            audience="twin",
            about="Tertile of basal insulin per kg, reversed, which follows from the three sensitivities to insulin "
            "alone (spread of Resalat et al. 2019, action of Hovorka et al. 2004); itself it moves nothing.",
        ),
    ),
    variables=(
        Variable("cgm", "mg/dL", *SENSOR_RANGE, change=8.0, track=True, about="Sensor glucose, with remembered error."),
        Variable("glucose", "mg/dL", 1.0, 1000.0, audience="auditor", track=True, about="Plasma glucose."),
        Variable("severe_low", kind="event", audience="twin", about="Plasma glucose fell to 40 mg/dL."),
    ),
    inputs=(
        Variable("carbs", "g", 0.0, 60.0, audience="twin", about="Carbohydrates eaten in the step."),
        Variable(
            "announced",
            "g",
            0.0,
            300.0,
            scale="log",
            knee=20.0,
            about="Carbohydrates of the meal that begins, as counted.",
        ),
    ),
    draw_inputs=draw_meals,
    guess_inputs=guess_meals,
    derived=(
        Variable(
            "iob", "share of daily insulin", 0.0, 1.0, scale="log", knee=0.05, about="Insulin on board, basal included."
        ),
        Variable(
            "iob_entering",
            "share of daily insulin",
            0.0,
            1.0,
            scale="log",
            knee=0.05,
            about="Insulin on board that has left the place of injection and enters the blood.",
        ),
        Variable("last_insulin", "times basal", 0.0, 128.0, scale="log", knee=0.1, about="The last rate."),
        Variable(
            "carbs_on_board", "g", 0.0, 400.0, scale="log", knee=20.0, about="Announced carbohydrates in the stomach."
        ),
        Variable(
            "carbs_entering", "g", 0.0, 400.0, scale="log", knee=20.0, about="Announced carbohydrates in the bowel."
        ),
        Variable("smooth_cgm", "mg/dL", *SENSOR_RANGE, about="Sensor glucose, exponentially smoothed over 15 min."),
        Variable("change_15", "mg/dL", -150.0, 150.0, about="Change of sensor glucose over 15 min."),
        Variable("change_30", "mg/dL", -250.0, 250.0, about="Change of sensor glucose over 30 min."),
        Variable("clock_sin", "", -1.0, 1.0, about="Time of day."),
        Variable("clock_cos", "", -1.0, 1.0, about="Time of day."),
    ),
    bookkeeping=BOOKKEEPING,
    interventions=(
        Intervention(
            "insulin",
            "U/h",
            low=0.0,
            high=128.0,
            scale="log",
            knee=0.1,
            per_person="basal",
            ceiling=400.0,
            about="Rate over the step; at most a quarter of the daily insulin in five minutes.",
        ),
    ),
    reward=reward,
    constraints=(
        Constraint("below_70", below(70.0), 0.04, unit="share of time", primary=True, source=CONSENSUS),
        Constraint("below_54", below(54.0), 0.01, unit="share of time", source=CONSENSUS),
        Constraint("above_250", above_250, 0.05, unit="share of time", source=CONSENSUS),
        Constraint("severe_low", severe_low, 0.0, kind="chance", risk=0.05, unit="events", source="assumption"),
        Constraint(
            "range_gap_weight",
            None,
            0.10,
            kind="group_gap",
            trait="weight_band",
            metric="time_in_range",
            unit="share of time",
        ),
        Constraint(
            "low_gap_sensitivity",
            None,
            0.03,
            kind="group_gap",
            trait="sensitivity_band",
            metric="below_70",
            unit="share of time",
        ),
    ),
    groups=("weight_band", "sensitivity_band"),
    metrics=(
        Metric(
            "time_in_range",
            "share of time",
            in_range,
            better="more",
            about="Sensor between 70 and 180 mg/dL; " + CONSENSUS,
        ),
        Metric("mean_cgm", "mg/dL", sensor, about="Of the sensor."),
        Metric(
            "variation",
            "share of the mean",
            sensor,
            how="variation",
            better="less",
            about="Coefficient of variation of the sensor, wanted below 0.36; " + CONSENSUS,
        ),
        Metric(
            "lows",
            "per week",
            below(70.0),
            how="spells",
            better="less",
            about="Lows of 15 minutes or more; Danne et al. 2017, Diabetes Care 40:1631 (consensus on monitoring)",
            lasting=15 // STEP_MINUTES,
            per=7 * STEPS_PER_DAY,
        ),
        Metric("daily_insulin", "U/day", daily_insulin, about="All insulin, were every day like those of the episode."),
    ),
    need=out_of_range,
    benefit=moved_towards_range,
    reference=GlucoseReference,
    rules=RULES,
    baseline="basal_bolus",
    # The closed loop comes near to what agents learn: where a model has seen nothing they exploit it.
    behaviour={"basal_bolus": 3.0, "low_glucose_suspend": 2.0, "closed_loop": 4.0, "pid": 2.0, "constant_basal": 1.0},
    band={"cgm": (70.0, 180.0)},
    window=72,
    # Heads that share the linear path would agree about what doses add up to, however far that is from the truth.
    network=TransformerConfig(ensemble_width=32, own_linear=True),
    fidelity=PLAN,
    provenance=PROVENANCE,
    equations=EQUATIONS,
    sources=(
        "Hovorka et al. 2004, Physiol. Meas. 25:905",
        "Wilinska et al. 2005, IEEE Trans. Biomed. Eng. 52:3",
        "Resalat et al. 2019, PLoS One 14:e0217301",
        "Breton and Kovatchev 2008, J. Diabetes Sci. Technol. 2:853",
        CONSENSUS,
    ),
)
