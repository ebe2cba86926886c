"""Credit: to whom should a lender grant a loan, again and again, when each loan moves the score?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from twingym.scenarios.constraint import Constraint
from twingym.scenarios.credit.fidelity import plan
from twingym.scenarios.credit.reference import EQUATIONS, SEXES, Constants, CreditReference, draw_people
from twingym.scenarios.credit.rules import (
    CYCLES,
    LONG_AGO,
    Ledger,
    credit_file,
    defaulted,
    denied_though_good,
    granted,
    rules,
    score,
    score_lost,
    score_moved,
)
from twingym.scenarios.credit.tables import GROUPS, HIGHEST, LOWEST, read_tables
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.mixture import Mixture
from twingym.scenarios.parameter import Parameter
from twingym.scenarios.scenario import Scenario
from twingym.twins.fit_config import FitConfig
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

ID = "Credit-v0"
LIU = "Liu, Dean, Rolf, Simchowitz and Hardt 2018, Delayed Impact of Fair Machine Learning, ICML (arXiv 1803.04383)"
REPORT = "Board of Governors of the Federal Reserve System 2007, Report to the Congress on Credit Scoring"
DIGITISED = f"{REPORT}, as digitised for Hardt, Price and Srebro 2016 (arXiv 1610.02413)"
FITTED = "fitted to what Liu's max-utility rule (defaults cost 4) does on these tables: "
GUESS = "assumption"

PROVENANCE = {
    "mean_black": Parameter("points", DIGITISED, "Mean score of black applicants."),
    "mean_white": Parameter("points", DIGITISED, "Mean score of white applicants."),
    "sd_black": Parameter("points", f"{DIGITISED}; {FITTED}it selects .168.", "Standard deviation of their scores."),
    "sd_white": Parameter("points", f"{DIGITISED}; {FITTED}it selects .663.", "Standard deviation of their scores."),
    "middle_black": Parameter(
        "points", f"{DIGITISED}; {FITTED}it begins at 645.0.", "Score at which one in two black applicants repays."
    ),
    "middle_white": Parameter(
        "points", f"{DIGITISED}; {FITTED}it begins at 613.8.", "Score at which one in two white applicants repays."
    ),
    "width_black": Parameter(
        "points", f"{DIGITISED}; fitted to the mean chance to repay, .3366.", "Their odds to repay grow e-fold over it."
    ),
    "width_white": Parameter(
        "points", f"{DIGITISED}; fitted to the mean chance to repay, .7587.", "Their odds to repay grow e-fold over it."
    ),
    "share_black": Parameter(
        "share", DIGITISED, "Of the two groups' applicants; the parity rules weigh groups by it.", moves=False
    ),
    "drawn_black": Parameter(
        "share", GUESS, "Of the people drawn: half, so that both groups are judged with like certainty."
    ),
    "raised": Parameter("points", LIU, "Added to the score by a loan that is repaid."),
    "lowered": Parameter("points", LIU, "Taken from the score by a default."),
    "other_news": Parameter(
        "points", GUESS, "Standard deviation of what else moves the score in a cycle; 0 as published."
    ),
    "earned": Parameter("repaid loans", LIU, "Earned on a loan that is repaid: the unit of money.", moves=False),
    "lost": Parameter("repaid loans", LIU, "Lost on a default; the paper has 4 and 10.", moves=False),
    "group_visible": Parameter(
        "", GUESS, "Whether the lender sees the group; if not, auditors do all the same.", moves=False
    ),
    "tables": Parameter(
        "",
        DIGITISED,
        "Read by `from_files`, in place of means, deviations, middles and widths; percentiles become points as in the "
        "code of Liu et al. 2018, whose national distribution has no source (assumption).",
    ),
}
HARM = f"active harm as defined by {LIU}; the limit is an assumption"


def build(constants: Constants, name: str = ID) -> Scenario:
    """Return the scenario under these constants, with id ``name``."""
    known, ledger, visible = rules(constants), Ledger(constants), constants.group_visible
    shown = (Variable("group", kind="categorical", levels=GROUPS, about="The race, shown to policies."),)
    seen = "Policies see it as `group`." if visible else "Policies do not see it: `group_visible` is False."
    weights = {
        "max_utility": 2.0,
        "score_raising": 2.0,
        "one_threshold": 2.0,
        "demographic_parity": 1.0,
        "equal_opportunity": 1.0,
        "approve_all": 1.0,
    }
    return Scenario(
        id=name,
        title="Lending to the same people over and over",
        kind="consumer",
        about=(
            "Forty loan cycles of the same applicants. Who repays is scored higher, who defaults lower, and who is "
            "denied has no chance of either: the delayed impact of Liu et al. 2018. The groups differ in scores and, "
            "at the same score, in the chance to repay; by default both follow a synthetic calibration to published "
            "means. The reference is itself a model, of tables from 2003."
        ),
        dt=1.0,
        dt_unit="loan cycles",
        horizon=CYCLES,
        ending="end",
        people=draw_people(constants),
        traits=(
            Variable(
                "race",
                kind="categorical",
                levels=GROUPS,
                audience="twin",
                about="Moves first scores and the chance to repay at a score, by published tables or, by default, a "
                f"calibration to them (Federal Reserve 2007), and nothing else. {seen}",
            ),
            Variable(
                "sex",
                kind="categorical",
                levels=SEXES,
                audience="twin",
                about="Moves nothing (assumption): drawn evenly, whatever the race.",
            ),
        ),
        variables=(
            Variable("defaulted", kind="binary", track=True, about="On a loan that was granted in the cycle."),
            Variable("score", "points", LOWEST, HIGHEST, change=75.0, track=True, about="After the cycle."),
            Variable(
                "would_have_repaid",
                kind="binary",
                audience="auditor",
                track=True,
                about="A loan of the cycle, granted or not.",
            ),
        ),
        derived=(
            *(shown if visible else ()),
            Variable("loans", "", 0.0, float(CYCLES), about="Granted so far."),
            Variable("defaults", "", 0.0, float(CYCLES), scale="log", knee=2.0, about="So far."),
            Variable("cycles_since_default", "cycles", 0.0, LONG_AGO, about=f"{LONG_AGO:g} if there was none."),
        ),
        bookkeeping=credit_file(visible),
        interventions=(Intervention("loan", levels=("deny", "grant"), about="What becomes of the application."),),
        reward=ledger.profit,
        constraints=(
            Constraint("defaults", defaulted, 0.0075, unit="defaults per cycle", primary=True),
            Constraint("over_lending", ledger.over_lent, 0.0075, unit="share of cycles", source=HARM),
            Constraint("score_decline", score_lost, 300.0, kind="chance", risk=0.03, unit="points lost under loans"),
            Constraint("write_offs", ledger.written_off, 8.0, kind="cvar", risk=0.05, unit="repaid loans"),
            Constraint(
                "approval_gap_race",
                None,
                0.20,
                kind="group_gap",
                trait="race",
                metric="granted",
                unit="share of cycles",
            ),
            Constraint(
                "score_gap_race",
                None,
                50.0,
                kind="group_gap",
                trait="race",
                metric="score_change",
                unit="points",
            ),
        ),
        groups=("race", "sex"),
        metrics=(
            Metric("granted", "share of cycles", granted, about="Applications that were granted."),
            Metric("score_change", "points", score_moved, how="sum", better="more", about=f"Delayed impact; {LIU}"),
            Metric("mean_score", "points", score, better="more", about="After each cycle."),
            Metric(
                "denied_though_good",
                "share of cycles",
                denied_though_good,
                better="less",
                about="Denied, though they would have repaid; reference only.",
            ),
        ),
        need=ledger.chance,
        benefit=ledger.granted_to_good,
        reference=partial(CreditReference, constants),
        rules=known,
        baseline="max_utility",
        behaviour={rule: weight for rule, weight in weights.items() if rule in known},
        # Rules never lend to who scores low, yet agents will try.
        mixture=Mixture(clinician=0.2, exploratory=0.3, randomised=0.5),
        band={"score": (LOWEST, HIGHEST)},
        window=CYCLES + 1,
        network=TransformerConfig(ensemble_width=32),
        fit=FitConfig(epochs=20, batches=100, batch_tokens=2000),
        fidelity=plan(known),
        parameters=constants,
        provenance=PROVENANCE,
        rebuild=partial(build, name=name),
        equations=EQUATIONS,
        sources=(
            LIU,
            DIGITISED,
            "D'Amour et al. 2020, Fairness is not Static, FAT* (seven score bins; tests/test_credit.py)",
            "Hardt, Price and Srebro 2016, Equality of Opportunity in Supervised Learning (arXiv 1610.02413)",
        ),
    )


def from_files(
    distribution: str | Path, performance: str | Path, totals: str | Path, name: str = "CreditTables-v0"
) -> Scenario:
    """Return the scenario on the report's tables in place of the synthetic calibration.

    A file of your own with ``SCENARIO = from_files(...)`` is a scenario like any other: ``twingym fit --env`` it.

    Args:
        distribution: ``transrisk_cdf_by_race_ssa.csv``.
        performance: ``transrisk_performance_by_race_ssa.csv``.
        totals: ``totals.csv``.
        name: Id of the scenario.

    Raises:
        SpecError: If a file is missing, or is no such table; see :func:`~.tables.read_tables`.
        UnknownNameError: If a column is missing.
    """
    tables = read_tables(Path(distribution), Path(performance), Path(totals))
    share = float(tables.people[0])
    return build(replace(Constants(), tables=tables, share_black=share), name)


SCENARIO = build(Constants())
