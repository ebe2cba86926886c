"""Warfarin: how many milligrams should a person take today, given genotypes and the INR so far?"""

from __future__ import annotations

from functools import partial

import numpy as np

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.constraint import Constraint, Cost
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step
from twingym.scenarios.warfarin.fidelity import PLAN
from twingym.scenarios.warfarin.hamberg import EQUATIONS
from twingym.scenarios.warfarin.reference import (
    AGE_BANDS,
    ANCESTRIES,
    CYP2C9,
    INR_RANGE,
    SEXES,
    VKORC1,
    WarfarinReference,
    draw_people,
)
from twingym.scenarios.warfarin.rules import (
    DAYS,
    HIGH,
    LOW,
    MOST_MG,
    TARGET,
    ClinicRecord,
    Practice,
    rules,
)
from twingym.scenarios.warfarin.sources import (
    FRYAR,
    GENOMES,
    HAMBERG,
    HYLEK,
    IWPC,
    NICE,
    PROVENANCE,
    RAVVAZ,
    ROSENDAAL,
)
from twingym.twins.fit_config import FitConfig
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

ID = "Warfarin-v0"
SETTLED = 14.0  # days after which a low INR is no longer that of somebody who has just begun


def in_range(step: Step) -> Floats:
    """Share of the day with an INR of 2 to 3, between measurements on a straight line; Rosendaal et al. 1993."""
    begin, end = step.before["inr"], step.after["inr"]
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    inside = np.minimum(high, HIGH) - np.maximum(low, LOW)
    level = (begin >= LOW) & (begin <= HIGH)
    return np.where(high > low, np.clip(inside, 0.0, None) / np.maximum(high - low, 1e-12), level)


def out_of_range(step: Step) -> Floats:
    """Share of the day outside of 2 to 3."""
    return 1.0 - in_range(step)


def truly_in_range(step: Step) -> Floats:
    """Whether the INR without the error of measurement ends the day in range; NaN on a twin model, which has none."""
    true = step.after["true_inr"]
    return np.where(np.isnan(true), np.nan, np.abs(true - TARGET) <= 0.5)


def above(level: float) -> Cost:
    """Return the cost: whether the INR ends the day above ``level``."""

    def cost(step: Step) -> Floats:
        return (step.after["inr"] > level).astype(np.float64)

    cost.__qualname__ = f"above_{level:g}"
    return cost


def below(level: float, since: float = 0.0) -> Cost:
    """Return the cost: whether the INR ends the day below ``level``, from the day ``since`` on."""

    def cost(step: Step) -> Floats:
        return ((step.after["inr"] < level) & (step.after["day"] > since)).astype(np.float64)

    cost.__qualname__ = f"below_{level:g}_since_{since:g}"
    return cost


def away(inr: Floats) -> Floats:
    """How far an INR is from the therapeutic range."""
    return np.maximum(LOW - inr, 0.0) + np.maximum(inr - HIGH, 0.0)


def need(step: Step) -> Floats:
    """Need: the INR was out of range when the day began."""
    return (away(step.before["inr"]) > 0.0).astype(np.float64)


def benefit(step: Step) -> Floats:
    """Benefit: out of range before, and closer to it after."""
    return need(step) * (away(step.after["inr"]) < away(step.before["inr"]))


def build(practice: Practice) -> Scenario:
    """Return the scenario under these constants."""
    record = ClinicRecord(practice)
    return Scenario(
        id=ID,
        title="Starting warfarin",
        kind="patient",
        about=(
            "Daily dosing of people who start warfarin, from an INR that is measured every morning with error. How the "
            "INR answers is Hamberg's model; ancestry acts through the frequencies of CYP2C9 and VKORC1 alleles alone, "
            "age through clearance, and sex through body size, at which only the dosing formulas look. The alleles "
            "CYP2C9*5, *6, *8 and *11, which matter most in African ancestry, are not in the model. The reference is "
            "itself a model, and nothing here is for treatment decisions."
        ),
        dt=1.0,
        dt_unit="days",
        horizon=DAYS,
        people=draw_people(practice),
        traits=(
            Variable(
                "ancestry",
                kind="categorical",
                levels=ANCESTRIES,
                about="Moves the frequencies of CYP2C9 and VKORC1 alleles (super-populations of the 1000 Genomes "
                "Project) and nothing else; dosing formulas read it as race (IWPC's Black, Asian and White).",
            ),
            Variable(
                "sex",
                kind="categorical",
                levels=SEXES,
                about="Moves height and weight (Fryar et al. 2021) and nothing else: nothing of the INR.",
            ),
            Variable("age", "years", 18.0, 100.0, about="In whole and parts."),
            Variable(
                "age_band",
                kind="categorical",
                levels=AGE_BANDS,
                about="Moves nothing beyond age, with every year of which clearance falls (Hamberg et al. 2010).",
            ),
            Variable("height", "cm", 120.0, 220.0, about="Does nothing to the INR."),
            Variable("weight", "kg", 30.0, 200.0, about="Does nothing to the INR."),
            Variable("cyp2c9", kind="categorical", levels=CYP2C9, about="Decides how fast S-warfarin is cleared."),
            Variable(
                "vkorc1", kind="categorical", levels=VKORC1, about="At -1639; decides how sensitive the target is."
            ),
        ),
        variables=(
            Variable("inr", "", *INR_RANGE, scale="log", track=True, about="Measured in the morning, before the dose."),
            Variable("true_inr", "", *INR_RANGE, scale="log", audience="auditor", track=True, about="Without error."),
            Variable("concentration", "mg/L", 0.0, 20.0, audience="auditor", track=True, about="Of S-warfarin."),
        ),
        derived=(
            Variable("day", "days", 0.0, 366.0, scale="log", knee=7.0, about="Since warfarin was started."),
            Variable("last_dose", "mg", 0.0, MOST_MG, about="Yesterday's."),
            Variable("smooth_inr", "", *INR_RANGE, scale="log", about="Smoothed over three days."),
            Variable("expected_inr", "", *INR_RANGE, scale="log", about="By Hamberg's model from all doses and INRs."),
            Variable(
                "sensitivity", "", 0.2, 5.0, scale="log", about="Rise of the INR over that of a typical person so far."
            ),
            Variable("on_board", "mg", 0.0, 250.0, scale="log", knee=5.0, about="Warfarin in a typical such person."),
        ),
        bookkeeping=Bookkeeping(record.start, record.update),
        interventions=(
            Intervention("dose", "mg", low=0.0, high=MOST_MG, about="Warfarin of the day; rules use half milligrams."),
        ),
        reward=in_range,
        constraints=(
            Constraint(
                "above_4",
                above(4.0),
                0.05,
                unit="share of days",
                primary=True,
                source=f"above 4 bleeding in the brain is more frequent: {HYLEK}; the share is an assumption",
            ),
            Constraint(
                "below_2",
                below(2.0),
                0.30,
                unit="share of days",
                source=f"below 2 strokes are more severe: {HYLEK}; the share is an assumption",
            ),
            Constraint(
                "out_of_range",
                out_of_range,
                0.35,
                unit="share of time",
                source=f"{NICE}: less than 65 % of the time in range; there without the first six weeks",
            ),
            Constraint(
                "above_5",
                above(5.0),
                1.0,
                kind="chance",
                risk=0.10,
                unit="measurements",
                source=f"{NICE}: two INRs above 5; the share of people is an assumption",
            ),
            Constraint(
                "below_1_5",
                below(1.5, SETTLED),
                1.0,
                kind="chance",
                risk=0.10,
                unit="measurements",
                source=f"{NICE}: two INRs below 1.5; the share of people and the first two weeks are assumptions",
            ),
            Constraint(
                "range_gap_ancestry",
                None,
                0.05,
                kind="group_gap",
                trait="ancestry",
                metric="time_in_range",
                unit="share of time",
            ),
            Constraint(
                "range_gap_age",
                None,
                0.03,
                kind="group_gap",
                trait="age_band",
                metric="time_in_range",
                unit="share of time",
            ),
            Constraint(
                "above_4_gap_ancestry",
                None,
                0.05,
                kind="group_gap",
                trait="ancestry",
                metric="above_4",
                unit="share of days",
            ),
        ),
        groups=("ancestry", "age_band", "sex"),
        metrics=(
            Metric(
                "time_in_range", "share of time", in_range, better="more", about="INR between 2 and 3; " + ROSENDAAL
            ),
            Metric("mean_inr", "", lambda step: step.after["inr"], about="Of the measurements."),
            Metric("variation", "share of the mean", lambda step: step.after["inr"], how="variation", better="less"),
            Metric("daily_dose", "mg", lambda step: step.delivered["dose"], about="Warfarin a day."),
            Metric(
                "true_time_in_range",
                "share of days",
                truly_in_range,
                better="more",
                about="Days that end in range but for the error of measurement; reference only.",
            ),
        ),
        need=need,
        benefit=benefit,
        reference=partial(WarfarinReference, practice),
        rules=rules(practice),
        baseline="iwpc_clinical",
        # Fixed doses meet every genotype: so is learned what no rule that looks would do.
        behaviour={"fixed": 4.0, "model_based": 3.0, "aurora": 2.0, "iwpc_clinical": 2.0, "iwpc_genetic": 2.0},
        band={"inr": (LOW, HIGH)},
        window=56,
        fit=FitConfig(epochs=20, batches=100, batch_tokens=5000),
        fidelity=PLAN,
        parameters=practice,
        provenance=PROVENANCE,
        rebuild=build,
        equations=EQUATIONS,
        sources=(HAMBERG, IWPC, RAVVAZ, GENOMES, FRYAR, NICE, HYLEK, ROSENDAAL),
    )


SCENARIO = build(Practice())
