"""Warfarin: how many milligrams should a person take today, given genotypes and the INR so far?"""

from __future__ import annotations

from functools import partial

import numpy as np

from twingym.scenarios.constraint import Constraint, Cost
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.scenario import Bookkeeping, Parameter, Scenario
from twingym.scenarios.step import Step
from twingym.scenarios.warfarin_fidelity import PLAN
from twingym.scenarios.warfarin_reference import (
    AGE_BANDS,
    ANCESTRIES,
    CYP2C9,
    INR_RANGE,
    SEXES,
    VKORC1,
    WarfarinReference,
    draw_people,
)
from twingym.scenarios.warfarin_rules import (
    DAYS,
    HIGH,
    IWPC,
    LOW,
    MOST_MG,
    RAVVAZ,
    TARGET,
    ClinicRecord,
    Practice,
    rules,
)
from twingym.twins.fit_config import FitConfig
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

ID = "Warfarin-v0"
HAMBERG = "Hamberg et al. 2010, Clin. Pharmacol. Ther. 87:727"
GENOMES = "1000 Genomes Project, phase 3: Auton et al. 2015, Nature 526:68"
FRYAR = "Fryar et al. 2021, Vital Health Stat. 3(46) (adults in the United States, 2015 to 2018)"
NICE = "NICE guideline NG196 (2021), atrial fibrillation: signs of poor control of anticoagulation"
HYLEK = "Hylek et al. 2003, N. Engl. J. Med. 349:1019"
ROSENDAAL = "Rosendaal et al. 1993, Thromb. Haemost. 69:236"
GUESS = "assumption"
ROOT = "root of mg a week"
SETTLED = 14.0  # days after which a low INR is no longer that of somebody who has just begun

PROVENANCE = {
    "absorption": Parameter("1/h", HAMBERG, "Rate at which S-warfarin leaves the depot."),
    "steepness": Parameter("", HAMBERG, "gamma: exponent of the sigmoid."),
    "transit": Parameter("h", HAMBERG, "Mean transit times of the fast and the slow chain."),
    "baseline": Parameter("", HAMBERG, "INR without warfarin."),
    "largest_rise": Parameter("", HAMBERG, "INRmax: rise of the INR at full inhibition."),
    "allele_clearance": Parameter("L/h", HAMBERG, "Clearance of S-warfarin by CYP2C9 allele *1, *2, *3, at 71 years."),
    "clearance_age_slope": Parameter("share per year", HAMBERG, "Clearance that is lost with every year."),
    "typical_age": Parameter("years", HAMBERG, "Age at which clearances are given."),
    "volume": Parameter("L", HAMBERG, "Volume of distribution."),
    "allele_half_effect": Parameter("mg/L", HAMBERG, "Concentration of half the inhibition by VKORC1 allele G, A."),
    "elimination_spread": Parameter("log", HAMBERG, "Standard deviation of the elimination rate between people."),
    "volume_spread": Parameter("log", HAMBERG, "Standard deviation of the volume between people."),
    "half_effect_spread": Parameter("log", HAMBERG, "Standard deviation of the half-effect concentration."),
    "inr_error": Parameter("log", HAMBERG, "Standard deviation of a measured INR around the true one."),
    "ancestry_shares": Parameter("share", GUESS, "African, East Asian, European: as many, to know each equally well."),
    "cyp2c9_2_frequency": Parameter("share", GENOMES, "Of allele CYP2C9*2 (rs1799853) by ancestry."),
    "cyp2c9_3_frequency": Parameter("share", GENOMES, "Of allele CYP2C9*3 (rs1057910) by ancestry."),
    "vkorc1_a_frequency": Parameter("share", GENOMES, "Of allele A of VKORC1 -1639G>A (rs9923231) by ancestry."),
    "female_share": Parameter("share", RAVVAZ, "Of women in the cohort of Aurora Health Care."),
    "age_mean": Parameter("years", RAVVAZ, "Mean age in that cohort, the same for every ancestry and sex."),
    "age_spread": Parameter("years", RAVVAZ, "Its standard deviation."),
    "age_limits": Parameter("years", GUESS, "Where the normal distribution of ages is cut off."),
    "height_mean": Parameter("cm", FRYAR, "Of women, of men; the same for every ancestry (assumption)."),
    "height_spread": Parameter("cm", GUESS, "Standard deviation within a sex."),
    "weight_mean": Parameter("kg", FRYAR, "Of women, of men; the same for every ancestry (assumption)."),
    "weight_spread": Parameter("log", GUESS, "Standard deviation within a sex."),
    **{
        name: Parameter(unit, IWPC, about, moves=False)
        for name, unit, about in (
            ("clinical_intercept", ROOT, "Clinical formula: constant."),
            ("clinical_decade", ROOT, "Clinical formula: per whole decade of age."),
            ("clinical_height", ROOT, "Clinical formula: per cm."),
            ("clinical_weight", ROOT, "Clinical formula: per kg."),
            ("clinical_race", ROOT, "Clinical formula: African (IWPC: Black), East Asian (Asian), European (White)."),
            ("genetic_intercept", ROOT, "Pharmacogenetic formula: constant."),
            ("genetic_decade", ROOT, "Pharmacogenetic formula: per whole decade of age."),
            ("genetic_height", ROOT, "Pharmacogenetic formula: per cm."),
            ("genetic_weight", ROOT, "Pharmacogenetic formula: per kg."),
            ("genetic_race", ROOT, "Pharmacogenetic formula: African, East Asian, European, as above."),
            ("genetic_cyp2c9", ROOT, "Pharmacogenetic formula: by CYP2C9 genotype."),
            ("genetic_vkorc1", ROOT, "Pharmacogenetic formula: by VKORC1 genotype."),
        )
    },
    **{
        name: Parameter(unit, RAVVAZ, about, moves=False)
        for name, unit, about in (
            ("aurora_edges", "INR", "Where the dosing table's bands part."),
            ("aurora_factors", "", "By which the dose is multiplied in each band."),
            ("aurora_start", "mg", "Dose of the first two days below and from the age at which people count as old."),
            ("aurora_old", "years", "That age."),
            ("aurora_stable", "days", "In range, after which visits become rarer."),
            ("aurora_retest", "days", "To the next visit in range, by days in range."),
            ("skipped_doses", "doses", "Left out at an INR of 4 to 5."),
        )
    },
}


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
                about="Super-population of the 1000 Genomes Project; IWPC's Black, Asian and White.",
            ),
            Variable("sex", kind="categorical", levels=SEXES, about="Does nothing to the INR."),
            Variable("age", "years", 18.0, 100.0, about="In whole and parts."),
            Variable("age_band", kind="categorical", levels=AGE_BANDS, about="Old people clear warfarin more slowly."),
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
            Constraint("below_2", below(2.0), 0.30, unit="share of days", source=GUESS),
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
                lambda step: (np.abs(step.after["true_inr"] - TARGET) <= 0.5).astype(np.float64),
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
        sources=(HAMBERG, IWPC, RAVVAZ, GENOMES, FRYAR, NICE, HYLEK, ROSENDAAL),
    )


SCENARIO = build(Practice())
