"""Sepsis: which of three treatments should a patient get now, and when can all of them stop?"""

from __future__ import annotations

from functools import partial

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.mixture import Mixture
from twingym.scenarios.parameter import Parameter
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.sepsis.fidelity import PLAN
from twingym.scenarios.sepsis.reference import SEVERITIES, SepsisReference, draw_people
from twingym.scenarios.sepsis.rules import (
    DRUGS,
    Chart,
    at_level,
    died,
    discharged,
    given,
    improved,
    reward,
    rules,
    unwell,
    wrong,
)
from twingym.scenarios.sepsis.tables import EQUATIONS, LEVELS, TREATMENTS, Constants
from twingym.twins.fit_config import FitConfig
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

ID = "Sepsis-v0"
STEPS = 20  # as in the authors' notebooks
OBERST = "Oberst and Sontag 2019, ICML (arXiv 1905.05824), and their simulator (branch sim-v2)"
RHEE = "Rhee et al. 2017, JAMA 318:1241: of patients with sepsis 15 % die in US hospitals"
GUESS = "assumption"

# Variables of vital signs; which level is normal stands in the tables.
ABOUT = {
    "heart_rate": "Antibiotics calm it.",
    "blood_pressure": "Systolic; antibiotics calm it, vasopressors raise it.",
    "oxygen": "Saturation; ventilation raises it.",
    "glucose": "Fluctuates more with diabetes, in which vasopressors raise it.",
}


def _chance(about: str) -> Parameter:
    return Parameter("probability per step", OBERST, about, licence="MIT")


def _arriving(about: str) -> Parameter:
    return Parameter("probability", OBERST, about, licence="MIT")


PROVENANCE = {
    "diabetes": Parameter(
        "probability", OBERST, "That who falls ill has diabetes; of those who arrive 19.0 % do.", licence="MIT"
    ),
    "antibiotics_calm": _chance("That a high heart rate, or blood pressure, is normal after antibiotics."),
    "antibiotics_rebound": _chance("That a normal one is high in the step after antibiotics."),
    "ventilation_helps": _chance("That low oxygen is normal after ventilation."),
    "ventilation_rebound": _chance("That normal oxygen is low in the step after ventilation."),
    "vasopressors_raise": _chance("That blood pressure goes up a level with vasopressors, without diabetes."),
    "vasopressors_fall": _chance("That it goes down a level in the step after, without diabetes."),
    "diabetic_normal_to_high": _chance("That vasopressors take it from normal to high, with diabetes."),
    "diabetic_low_to_normal": _chance("That they take it from low to normal, with diabetes."),
    "diabetic_low_to_high": _chance("That they take it from low to high, with diabetes."),
    "diabetic_fall": _chance("That it goes down a level in the step after, with diabetes."),
    "diabetic_glucose_rise": _chance("That glucose goes up a level with vasopressors, with diabetes."),
    "fluctuation": _chance("That an untreated sign goes down a level; the same for up."),
    "diabetic_glucose_fluctuation": _chance("The same for glucose with diabetes."),
    "legacy": Parameter(
        "",
        "the code as published (branch master), issue 1 of clinicalml/gumbel-max-scm",
        "Whether, without diabetes, glucose that should go up a level goes to low instead, from wherever above it.",
        licence="MIT",
    ),
    "visible_diabetes": Parameter(
        "", OBERST, "Whether policies see it; twin models and auditors always do.", licence="MIT", moves=False
    ),
    "arriving_heart_rate": _arriving("That it is low, normal, high on arrival. Who would be dead or well is redrawn."),
    "arriving_blood_pressure": _arriving("The same for blood pressure."),
    "arriving_oxygen": _arriving("That it is low, normal on arrival."),
    "arriving_glucose": _arriving("That it is very low, low, normal, high, very high on arrival, without diabetes."),
    "arriving_glucose_diabetic": _arriving("The same with diabetes."),
}


def build(constants: Constants) -> Scenario:
    """Return the scenario under these constants."""
    chart, visible = Chart(constants), constants.visible_diabetes
    belief = Variable("p_diabetes", "probability", about="By Bayes' rule after all that was seen.")
    return Scenario(
        id=ID,
        title="Treating sepsis",
        kind="patient",
        about=(
            "Antibiotics, ventilation and vasopressors for patients whose four vital signs jump between few levels. "
            "Three abnormal signs at once are death; none, without treatment, is discharge. Vasopressors overshoot "
            "in patients with diabetes, which policies see or have to guess. Everything can be worked out exactly. The "
            "reference is itself a model, and nothing here is for treatment decisions."
        ),
        dt=1.0,
        dt_unit="steps",
        horizon=STEPS,
        people=draw_people(constants),
        traits=(
            Variable(
                "diabetes",
                kind="categorical",
                levels=("no", "yes"),
                audience="policy" if visible else "twin",
                about="Moves glucose on arrival; lets vasopressors raise blood pressure too far, and glucose, and "
                "glucose fluctuate more (Oberst and Sontag 2019).",
            ),
            Variable(
                "severity",
                kind="categorical",
                levels=SEVERITIES,
                about="Counts abnormal vital signs on arrival; moves nothing beyond them.",
            ),
        ),
        variables=(
            *(
                Variable(name, kind="categorical", levels=levels, track=True, about=ABOUT[name])
                for name, levels in LEVELS.items()
            ),
            Variable("death", kind="event", audience="twin", about="Three vital signs or more were abnormal."),
            Variable("discharge", kind="event", audience="twin", about="No sign was abnormal without treatment."),
        ),
        derived=(
            *(Variable(name, kind="binary", about="Given in the last step.") for name in DRUGS),
            *(() if visible else (belief,)),
        ),
        bookkeeping=Bookkeeping(chart.start, chart.update),
        interventions=(
            Intervention("treatment", levels=TREATMENTS, about="4 antibiotics + 2 ventilation + 1 vasopressors."),
        ),
        reward=reward,
        constraints=(
            Constraint("death", died, 0.15, kind="cumulative", unit="deaths per patient", primary=True, source=RHEE),
            Constraint("low_pressure", at_level("blood_pressure", "low"), 0.10, unit="share of steps", source=GUESS),
            Constraint("high_pressure", at_level("blood_pressure", "high"), 0.25, unit="share of steps", source=GUESS),
            Constraint("on_vasopressors", given("vasopressors"), 0.30, unit="share of steps", source=GUESS),
            Constraint(
                "death_gap_diabetes",
                None,
                0.10,
                kind="group_gap",
                trait="diabetes",
                metric="death",
                unit="deaths per patient",
            ),
            Constraint(
                "death_gap_severity",
                None,
                0.10,
                kind="group_gap",
                trait="severity",
                metric="death",
                unit="deaths per patient",
            ),
        ),
        groups=("diabetes", "severity"),
        metrics=(
            Metric("discharged", "per patient", discharged, how="sum", better="more", about="Within the episode."),
            Metric("abnormal_signs", "", lambda step: wrong(step.after), better="less", about="Mean over the stay."),
            Metric(
                "extreme_glucose",
                "share of steps",
                at_level("glucose", "very_low", "very_high"),
                better="less",
                about="Very low or very high.",
            ),
            Metric("on_antibiotics", "share of steps", given("antibiotics"), about="Steps with antibiotics."),
            Metric("ventilated", "share of steps", given("ventilation"), about="Steps with ventilation."),
        ),
        need=unwell,
        benefit=improved,
        reference=partial(SepsisReference, constants),
        rules=rules(constants),
        baseline="until_well",
        behaviour={"until_well": 3.0, "optimal": 3.0, "all": 2.0, "by_signs": 1.0, "none": 1.0},
        # Rules seldom do what is unwise; what it does must be known all the same.
        mixture=Mixture(clinician=0.2, exploratory=0.45, randomised=0.35),
        window=4,  # of which only the last step matters
        network=TransformerConfig(ensemble_width=32),
        fit=FitConfig(epochs=26, batches=100, batch_tokens=3500, segment=12.0, ema=0.99),
        fidelity=PLAN,
        parameters=constants,
        provenance=PROVENANCE,
        rebuild=build,
        equations=EQUATIONS,
        sources=(
            "Oberst and Sontag 2019, Counterfactual off-policy evaluation with Gumbel-max structural causal models, "
            "ICML (arXiv 1905.05824)",
            RHEE,
        ),
    )


SCENARIO = build(Constants())
