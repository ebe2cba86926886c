"""How is warfarin dosed without learning, and what does an anticoagulation clinic keep count of?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from twingym.scenarios.rule import Rule, Settings
from twingym.scenarios.step import Step, Values
from twingym.scenarios.warfarin.hamberg import CENTRAL, DAY, ROWS, S_SHARE, Day
from twingym.scenarios.warfarin.reference import Constants
from twingym.scenarios.warfarin.sources import IWPC, RAVVAZ
from twingym.twins.scales import Floats

MOST_MG = 15.0  # a day
HALF_TABLET = 0.5  # mg; doses are rounded to it
LOW, HIGH = 2.0, 3.0  # the therapeutic range
TARGET = 2.5
SMOOTHING = np.exp(-1.0 / 3.0)  # of the INR from day to day; three days
DAYS = 90
FIFTH_DAY = 4.0  # whose visit is the first that follows the table


@dataclass(frozen=True)
class Practice(Constants):
    """The numbers of the published dosing rules, beside those by which people move.

    Tuples go by ancestry (African, East Asian, European), by genotype, or by band of the INR. Coefficients of formulas
    add up to the square root of the weekly dose in mg.
    """

    clinical_intercept: float = 4.0376
    clinical_decade: float = -0.2546
    clinical_height: float = 0.0118
    clinical_weight: float = 0.0134
    clinical_race: tuple[float, ...] = (0.4060, -0.6752, 0.0)
    genetic_intercept: float = 5.6044
    genetic_decade: float = -0.2614
    genetic_height: float = 0.0087
    genetic_weight: float = 0.0128
    genetic_race: tuple[float, ...] = (-0.2760, -0.1092, 0.0)
    genetic_cyp2c9: tuple[float, ...] = (0.0, -0.5211, -0.9357, -1.0616, -1.9206, -2.3312)
    genetic_vkorc1: tuple[float, ...] = (0.0, -0.8677, -1.6974)
    aurora_edges: tuple[float, ...] = (1.5, 1.8, 2.0, 3.0, 3.4, 4.0, 5.0)
    aurora_factors: tuple[float, ...] = (1.15, 1.10, 1.075, 1.0, 0.925, 0.90, 0.875, 0.85)
    aurora_start: tuple[float, float] = (10.0, 5.0)
    aurora_old: float = 65.0
    aurora_stable: tuple[float, ...] = (2.0, 7.0, 14.0, 28.0)
    aurora_retest: tuple[float, ...] = (1.0, 5.0, 7.0, 14.0, 28.0)
    skipped_doses: float = 2.0


# -- bookkeeping -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClinicRecord:
    """What was given and measured, and what Hamberg's model concludes from it about how sensitive somebody is.

    It runs the model of a typical person of the same age and genotypes under the doses delivered. By how much more or
    less the INR rises than that person's is learned from each measurement by an extended Kalman filter on its
    logarithm, which begins at the spread between people.

    Attributes:
        constants: The model's constants.
    """

    constants: Constants

    def start(self, now: Values) -> dict[str, Floats]:
        """Counters before the first dose."""
        n, c = len(now["inr"]), self.constants
        zeros = np.zeros(n)
        memory = {
            "day": zeros,
            "last_dose": zeros,
            "smooth_inr": now["inr"].copy(),
            "amounts": np.zeros((n, ROWS)),  # of the typical person
            "log_sensitivity": zeros,
            "variance": np.full(n, (c.steepness * c.half_effect_spread) ** 2),
        }
        return {**memory, **self._shown(memory, np.ones(n))}

    def update(self, memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
        """Counters after a day."""
        c, dose, inr = self.constants, step.delivered["dose"], step.after["inr"]
        day = Day(c.typical(step.before["age"], step.before["cyp2c9"], step.before["vkorc1"]), c)
        amounts = day.pass_with(dose, memory["amounts"].T)
        typical, before = day.inr(amounts), memory["variance"]
        rise = np.exp(memory["log_sensitivity"]) * (typical - c.baseline)
        slope = rise / (c.baseline + rise)  # of the logarithm of the INR
        gain = before * slope / (before * slope**2 + c.inr_error**2)
        surprise = np.log(inr / (c.baseline + rise))
        kept = {
            "day": memory["day"] + 1.0,
            "last_dose": dose.copy(),
            "smooth_inr": np.exp(SMOOTHING * np.log(memory["smooth_inr"]) + (1.0 - SMOOTHING) * np.log(inr)),
            "amounts": np.ascontiguousarray(amounts.T),
            "log_sensitivity": memory["log_sensitivity"] + gain * surprise,
            "variance": (1.0 - gain * slope) * before,
        }
        return {**kept, **self._shown(kept, typical)}

    def _shown(self, memory: Mapping[str, Floats], typical: Floats) -> dict[str, Floats]:
        sensitivity = np.exp(memory["log_sensitivity"])
        return {
            "sensitivity": sensitivity,
            "expected_inr": self.constants.baseline + sensitivity * (typical - self.constants.baseline),
            "on_board": memory["amounts"][:, CENTRAL] / S_SHARE,
        }


# -- rules -----------------------------------------------------------------------------------------------------------


def tablets(dose: Floats) -> dict[str, Floats]:
    """Round a dose to half milligrams within the bounds."""
    return {"dose": np.clip(np.round(dose / HALF_TABLET) * HALF_TABLET, 0.0, MOST_MG)}


def fixed(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Give everybody the same dose every day."""
    return tablets(np.zeros(len(now["inr"])) + settings["dose"])


@dataclass(frozen=True)
class Dosing:
    """The published rules, and one that inverts the model.

    Attributes:
        practice: Their numbers.
    """

    practice: Practice

    def aurora(self, now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
        """Start with 10 mg, the old with 5, look on the third day, and follow the table from the fifth."""
        p, day = self.practice, np.rint(now["day"])
        young, old = p.aurora_start
        begun = np.where(now["age"] < p.aurora_old, young, old)
        third = np.where(now["inr"] >= LOW, old, begun * self._factor(now["inr"]))
        memory["dose"] = np.where(day < 2.0, begun, np.where(day == 2.0, third, memory["dose"]))
        memory["wait"] = np.where(day == 0.0, FIFTH_DAY, memory["wait"])
        return self._followed(now, memory)

    def clinical(self, now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
        """Start with the dose of the clinical formula."""
        return self._by_formula(self.clinical_dose(now, settings["race_terms"]), now, memory, settings)

    def genetic(self, now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
        """Start with the dose of the pharmacogenetic formula."""
        return self._by_formula(self.genetic_dose(now, settings["race_terms"]), now, memory, settings)

    def model_based(self, now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
        """Give what holds the target by Hamberg's model, as sensitive as the person seems; less while above range."""
        p = self.practice
        body = p.typical(now["age"], now["cyp2c9"], now["vkorc1"])
        inhibition = np.clip((settings["target"] - p.baseline) / (p.largest_rise * now["sensitivity"]), 0.0, 0.9)
        concentration = body.half_effect * (inhibition / (1.0 - inhibition)) ** (1.0 / p.steepness)
        dose = concentration * body.elimination * body.volume * DAY / S_SHARE
        return tablets(np.where(now["expected_inr"] > settings["stop_above"], 0.0, dose))

    # -- formulas ----------------------------------------------------------------------------------------------------

    def clinical_dose(self, now: Mapping[str, Floats], race_terms: float | Floats) -> Floats:
        """IWPC's clinical formula, mg a day (N,); its race terms are multiplied by ``race_terms``."""
        p, race = self.practice, now["ancestry"].astype(np.intp)
        root = (
            p.clinical_intercept
            + p.clinical_decade * np.floor(now["age"] / 10.0)
            + p.clinical_height * now["height"]
            + p.clinical_weight * now["weight"]
            + race_terms * np.array(p.clinical_race)[race]
        )
        return np.asarray(root**2 / 7.0)

    def genetic_dose(self, now: Mapping[str, Floats], race_terms: float | Floats) -> Floats:
        """IWPC's pharmacogenetic formula, mg a day (N,); its race terms are multiplied by ``race_terms``."""
        p, race = self.practice, now["ancestry"].astype(np.intp)
        root = (
            p.genetic_intercept
            + p.genetic_decade * np.floor(now["age"] / 10.0)
            + p.genetic_height * now["height"]
            + p.genetic_weight * now["weight"]
            + np.array(p.genetic_cyp2c9)[now["cyp2c9"].astype(np.intp)]
            + np.array(p.genetic_vkorc1)[now["vkorc1"].astype(np.intp)]
            + race_terms * np.array(p.genetic_race)[race]
        )
        return np.asarray(root**2 / 7.0)

    def _by_formula(
        self, dose: Floats, now: Values, memory: dict[str, Floats], settings: Settings
    ) -> dict[str, Floats]:
        first = np.rint(now["day"]) == 0.0
        memory["dose"] = np.where(first, dose, memory["dose"])
        memory["wait"] = np.where(first, FIFTH_DAY, memory["wait"])
        followed = self._followed(now, memory)
        return {"dose": np.where(np.asarray(settings["adjust"]) > 0.5, followed["dose"], tablets(dose)["dose"])}

    # -- the table of Aurora -----------------------------------------------------------------------------------------

    def _band(self, inr: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        return np.searchsorted(self.practice.aurora_edges, np.round(inr, 2), side="right")

    def _factor(self, inr: Floats) -> Floats:
        return np.asarray(np.array(self.practice.aurora_factors)[self._band(inr)])

    def _followed(self, now: Values, memory: dict[str, Floats]) -> dict[str, Floats]:
        """Change doses by the table on the days of a visit, and remember when the next one is.

        Memory: ``dose`` in force, days to ``wait`` for the next visit, doses to ``skip``, whether an INR above 5 is
        ``awaiting`` its fall to 3, days ``stable`` in range, and the ``interval`` before this visit.
        """
        p, inr = self.practice, now["inr"]
        due = memory["wait"] < 0.5
        band, waiting = self._band(inr), memory["awaiting"] > 0.0
        within = (inr >= LOW) & (inr <= HIGH)
        looked = due & ~waiting
        memory["dose"] = np.where(looked & ~within, memory["dose"] * self._factor(inr), memory["dose"])
        grown = np.where(memory["stable"] > 0.0, memory["stable"] + memory["interval"], 1.0)
        memory["stable"] = np.where(looked, np.where(within, grown, 0.0), memory["stable"])
        memory["awaiting"] = np.where(looked, band == len(p.aurora_edges), np.where(due, inr > HIGH, waiting)) * 1.0
        skipping = looked & (band == len(p.aurora_edges) - 1)
        memory["skip"] = np.where(skipping, p.skipped_doses, memory["skip"])
        again = np.array(p.aurora_retest)[np.searchsorted(p.aurora_stable, memory["stable"], side="right")]
        week = np.where(skipping, p.skipped_doses + 7.0, 7.0)
        interval = np.where(memory["awaiting"] > 0.0, 2.0, np.where(looked & within, again, week))
        memory["interval"] = np.where(due, interval, memory["interval"])
        memory["wait"] = np.where(due, interval, memory["wait"]) - 1.0
        withheld = (memory["awaiting"] > 0.0) | (memory["skip"] > 0.0)
        memory["skip"] = np.maximum(memory["skip"] - 1.0, 0.0)
        return tablets(np.where(withheld, 0.0, memory["dose"]))


MEMORY = ("dose", "wait", "skip", "awaiting", "stable", "interval")
FORMULA = {"race_terms": 1.0, "adjust": 1.0}
FORMULA_GRID = {"race_terms": (0.0, 1.0), "adjust": (0.0, 1.0)}


def rules(practice: Practice) -> dict[str, Rule]:
    """Return the rule baselines by name."""
    dosing = Dosing(practice)
    return {
        "fixed": Rule(
            fixed,
            {"dose": 5.0},
            grid={"dose": (2.0, 3.0, 4.0, 5.0, 6.0, 7.5)},
            units={"dose": "mg a day"},
            about="The same for everybody, whatever the INR: why warfarin is monitored.",
        ),
        "aurora": Rule(
            dosing.aurora,
            memory=MEMORY,
            about="The protocol of Aurora Health Care, which knows nothing but age and INR; " + RAVVAZ + ".",
        ),
        "iwpc_clinical": Rule(
            dosing.clinical,
            FORMULA,
            grid=FORMULA_GRID,
            memory=MEMORY,
            about="The clinical formula with or without race terms, kept or adjusted by Aurora's table; " + IWPC + ".",
        ),
        "iwpc_genetic": Rule(
            dosing.genetic,
            FORMULA,
            grid=FORMULA_GRID,
            memory=MEMORY,
            about="The pharmacogenetic formula with or without race terms, kept or adjusted likewise; " + IWPC + ".",
        ),
        "model_based": Rule(
            dosing.model_based,
            {"target": TARGET, "stop_above": 3.5},
            grid={"target": (2.3, 2.4, 2.5, 2.6), "stop_above": (3.0, 3.5, 4.0)},
            about="Inverts Hamberg's model for how sensitive somebody has turned out to be; the rule is an assumption.",
        ),
    }
