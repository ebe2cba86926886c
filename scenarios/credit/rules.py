"""What does a lender's file keep count of, what is earned and lost, and who is granted a loan without learning?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.credit.reference import Constants
from twingym.scenarios.credit.tables import GROUPS, demographic_parity, equal_opportunity, worth_it
from twingym.scenarios.rule import Rule, Settings
from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats

CYCLES = 40
BLACK = GROUPS.index("black")
LONG_AGO = float(CYCLES)  # since a default that never was


def credit_file(group_visible: bool) -> Bookkeeping:
    """Return the counters of a lender's file, with the applicant's group if the lender may see it."""

    def start(now: Values) -> dict[str, Floats]:
        zeros = np.zeros(len(now["score"]))
        file = {"loans": zeros, "defaults": zeros, "cycles_since_default": np.full(len(zeros), LONG_AGO)}
        return file | ({"group": now["race"].copy()} if group_visible else {})

    def update(memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
        defaulted, waited = step.after["defaulted"], memory["cycles_since_default"]
        return {
            **memory,
            "loans": memory["loans"] + step.delivered["loan"],
            "defaults": memory["defaults"] + defaulted,
            "cycles_since_default": np.where(defaulted > 0.0, 0.0, np.minimum(waited + 1.0, LONG_AGO)),
        }

    return Bookkeeping(start, update)


# -- money, harm and need ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ledger:
    """What loans do, to the lender and to those who get them.

    Attributes:
        constants: Earnings, losses, and the tables of scores.
    """

    constants: Constants

    def profit(self, step: Step) -> Floats:
        """Earned on a loan that is repaid, less what a default costs."""
        c, defaulted = self.constants, step.after["defaulted"]
        return np.asarray(c.earned * (step.delivered["loan"] - defaulted) - c.lost * defaulted)

    def written_off(self, step: Step) -> Floats:
        """What the lender loses on a default."""
        return self.constants.lost * step.after["defaulted"]

    def chance(self, step: Step) -> Floats:
        """Chance to repay a loan of this cycle, by the score before it."""
        return self.constants.table.chance(step.before["race"], step.before["score"])

    def over_lent(self, step: Step) -> Floats:
        """Whether a loan was granted that lowers the expected score (Liu et al. 2018, active harm)."""
        return step.delivered["loan"] * (self.chance(step) < self.constants.rising)

    def granted_to_good(self, step: Step) -> Floats:
        """Benefit: the part of the chance to repay that was given a loan."""
        return step.delivered["loan"] * self.chance(step)


def granted(step: Step) -> Floats:
    """Whether the loan was granted."""
    return step.delivered["loan"]


def defaulted(step: Step) -> Floats:
    """Whether a loan was granted and not repaid."""
    return step.after["defaulted"]


def score_lost(step: Step) -> Floats:
    """Points by which the score of somebody fell who was granted a loan."""
    return step.delivered["loan"] * np.maximum(step.before["score"] - step.after["score"], 0.0)


def score_moved(step: Step) -> Floats:
    """Points by which the score moved."""
    return step.after["score"] - step.before["score"]


def score(step: Step) -> Floats:
    """The score after the cycle."""
    return step.after["score"]


def denied_though_good(step: Step) -> Floats:
    """Whether a loan was denied that would have been repaid; unknown (NaN) to a twin model."""
    return (1.0 - step.delivered["loan"]) * step.after["would_have_repaid"]


# -- rules -------------------------------------------------------------------------------------------------------------


def by_group(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Grant from a score on that is each group's own."""
    least = np.where(now["group"] == BLACK, settings["black"], settings["white"])
    return {"loan": (now["score"] >= least).astype(np.float64)}


def by_score(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Grant from the same score on to everybody."""
    return {"loan": (now["score"] >= settings["least"]).astype(np.float64)}


def everybody(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Grant every application."""
    return {"loan": np.ones(len(now["score"]))}


def nobody(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Grant none."""
    return {"loan": np.zeros(len(now["score"]))}


LIU = "Liu et al. 2018 (arXiv 1803.04383)"
POINTS = {"black": "points", "white": "points", "least": "points"}
GRID = (500.0, 550.0, 575.0, 600.0, 625.0, 650.0, 675.0, 700.0)


def rules(constants: Constants) -> dict[str, Rule]:
    """Return the lender's rules, their thresholds computed from the tables as they are before the first cycle.

    A lender who may not see groups knows the tables of all people together, and has no parity rules.
    """
    visible = constants.group_visible
    known = constants.table if visible else constants.table.pooled()

    def threshold(grants: Floats, about: str) -> Rule:
        least = np.round(known.least(grants), 1).tolist()
        names = GROUPS if visible else ("least",)
        settings = dict(zip(names, least, strict=True))
        return Rule(by_group if visible else by_score, settings, dict.fromkeys(names, GRID), units=POINTS, about=about)

    found = {
        "max_utility": threshold(
            worth_it(known.repay, constants.break_even),
            f"Grants what earns something in its cycle: max-utility of {LIU}.",
        ),
        "score_raising": threshold(
            worth_it(known.repay, constants.rising),
            f"Grants what is expected to raise the score: where the outcome curve of {LIU} is highest.",
        ),
        "one_threshold": Rule(
            by_score, {"least": 620.0}, {"least": GRID}, units=POINTS, about="The same score for everybody; assumption."
        ),
        "approve_all": Rule(everybody, about="Grants every application."),
        "deny_all": Rule(nobody, about="Grants none: the score then only moves by other news."),
    }
    if visible:
        costs = constants.earned, constants.lost
        found["demographic_parity"] = threshold(
            demographic_parity(known, *costs), f"Equal shares granted, at the highest profit of a cycle: {LIU}."
        )
        found["equal_opportunity"] = threshold(
            equal_opportunity(known, *costs),
            f"Equal shares granted of those who would repay, at the highest profit of a cycle: {LIU}.",
        )
    return found
