"""How is insulin dosed without learning, and what does a pump keep count of?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.glucose.hovorka import CARB_TIME, INSULIN_TIME
from twingym.scenarios.glucose.meals import STEPS_PER_DAY
from twingym.scenarios.glucose.reference import DAILY_PER_BASAL, STEP_MINUTES
from twingym.scenarios.rule import Rule, Settings
from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats

STEPS_PER_HOUR = 60 // STEP_MINUTES
CARB_DECAY = np.exp(-STEP_MINUTES / CARB_TIME)
TREND_DECAY = np.exp(-STEP_MINUTES / 15.0)  # of the smoothed glucose; 15 min
INSULIN_DECAY = np.exp(-STEP_MINUTES / INSULIN_TIME)


def daily_insulin(now: Mapping[str, Floats]) -> Floats:
    """Total daily insulin, U, shape (N,): 1.78 times what basal delivers (Resalat 2019)."""
    return DAILY_PER_BASAL * 24.0 * now["basal"]


# -- bookkeeping -----------------------------------------------------------------------------------------------------


def start(now: Values) -> dict[str, Floats]:
    """Counters at birth: at rest under basal, nothing eaten, midnight."""
    n = len(now["cgm"])
    basal_share = now["basal"] * INSULIN_TIME / 60.0 / daily_insulin(now)
    zeros = np.zeros(n)
    memory = {"depot1": basal_share, "depot2": basal_share, "gut1": zeros, "gut2": zeros, "steps": zeros}
    memory["past"] = np.repeat(now["cgm"][:, None], 6, axis=1)  # (N, 6): the last half hour, oldest first
    memory["smooth"] = now["cgm"].copy()
    return {**memory, **_shown(memory, now["cgm"], zeros), "last_insulin": np.ones(n)}


def update(memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
    """Counters after a step; insulin and announced carbohydrates pass Hovorka's two depots each, at usual speed.

    What is in a second depot enters the blood now, what is in the first will do so later: a sum would not tell.
    """
    dose = step.delivered["insulin"] / STEPS_PER_HOUR / daily_insulin(step.before)
    depot1 = memory["depot1"] + dose
    gut1 = memory["gut1"] + step.before["announced"]
    cgm = step.after["cgm"]
    kept = {
        "depot2": INSULIN_DECAY * (memory["depot2"] + STEP_MINUTES / INSULIN_TIME * depot1),
        "depot1": INSULIN_DECAY * depot1,
        "gut2": CARB_DECAY * (memory["gut2"] + STEP_MINUTES / CARB_TIME * gut1),
        "gut1": CARB_DECAY * gut1,
        "steps": memory["steps"] + 1.0,
        "past": np.concatenate([memory["past"][:, 1:], step.before["cgm"][:, None]], axis=1),
        "smooth": TREND_DECAY * memory["smooth"] + (1.0 - TREND_DECAY) * cgm,
    }
    last = step.delivered["insulin"] / step.before["basal"]
    return {**kept, **_shown(kept, cgm, kept["steps"]), "last_insulin": last}


def _shown(memory: Mapping[str, Floats], cgm: Floats, steps: Floats) -> dict[str, Floats]:
    angle = 2.0 * np.pi * (steps % STEPS_PER_DAY) / STEPS_PER_DAY
    return {
        "iob": memory["depot1"] + memory["depot2"],
        "iob_entering": memory["depot2"],
        "carbs_on_board": memory["gut1"],
        "carbs_entering": memory["gut2"],
        "smooth_cgm": memory["smooth"],
        "change_15": cgm - memory["past"][:, 3],
        "change_30": cgm - memory["past"][:, 0],
        "clock_sin": np.sin(angle),
        "clock_cos": np.cos(angle),
    }


BOOKKEEPING = Bookkeeping(start, update)

# -- rules -----------------------------------------------------------------------------------------------------------

BASAL_SHARE = 2.0 * INSULIN_TIME / 60.0 / (DAILY_PER_BASAL * 24.0)  # insulin on board at rest, share of daily insulin
BOLUS_SETTINGS = {"carb_factor": 500.0, "correction_factor": 1800.0, "target": 140.0, "basal_factor": 1.0}
# A carb ratio is the carb factor over daily insulin, how far a unit lowers glucose the correction factor over it.
BOLUS_UNITS = {"carb_factor": "g", "correction_factor": "mg/dL", "target": "mg/dL", "basal_factor": "times basal"}
LOWEST_TARGET = 80.0  # mg/dL before meals; American Diabetes Association, Standards of Care (80 to 130)


def constant_basal(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Deliver the basal rate and nothing else."""
    return {"insulin": settings["factor"] * now["basal"]}


def basal_bolus(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Basal, and at meals carbohydrates over the carb ratio plus a correction, less what is still on board."""
    daily = daily_insulin(now)
    meal = now["announced"] * daily / settings["carb_factor"]
    on_board = np.maximum(now["iob"] - BASAL_SHARE, 0.0) * daily
    correction = np.maximum((now["cgm"] - settings["target"]) * daily / settings["correction_factor"] - on_board, 0.0)
    bolus = np.where(now["announced"] > 0.0, meal + correction, 0.0)
    return {"insulin": settings["basal_factor"] * now["basal"] + STEPS_PER_HOUR * bolus}


def stacked_corrections(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Basal-bolus that also corrects high glucose every hour, as if nothing of what was given were still on board."""
    memory["waited"] = memory["waited"] + 1.0
    high = (memory["waited"] >= settings["every"]) & (now["cgm"] > settings["target"])
    memory["waited"] = np.where(high, 0.0, memory["waited"])
    excess = (now["cgm"] - settings["target"]) * daily_insulin(now) / settings["correction_factor"]
    amounts = basal_bolus(now, memory, settings)["insulin"]
    return {"insulin": amounts + STEPS_PER_HOUR * np.where(high, excess, 0.0)}


def weight_based(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Basal-bolus as if everybody of the same weight needed the same insulin, however sensitive to it."""
    basal = settings["daily_per_kg"] * now["weight"] / (24.0 * DAILY_PER_BASAL)
    # What is on board is a share of the person's own daily insulin; here it is one of what they are taken to need.
    assumed = {**now, "basal": basal, "iob": now["iob"] * now["basal"] / basal}
    return basal_bolus(Values(assumed), memory, settings)


def low_glucose_suspend(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Basal-bolus that stops while glucose is low or about to be: extrapolated half an hour ahead."""
    ahead = now["smooth_cgm"] + np.minimum(now["change_30"], 0.0)
    amounts = basal_bolus(now, memory, settings)["insulin"]
    return {"insulin": np.where(ahead < settings["suspend_below"], 0.0, amounts)}


def pid(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Proportional-integral-derivative control of basal with insulin feedback, and half a meal bolus."""
    error = now["smooth_cgm"] - settings["target"]
    memory["integral"] = np.clip(memory["integral"] + error / STEPS_PER_HOUR, -200.0, 200.0)
    daily = daily_insulin(now)
    gain = daily * (settings["kp"] * error + settings["ki"] * memory["integral"] + settings["kd"] * now["change_15"])
    feedback = settings["feedback"] * (now["iob"] - BASAL_SHARE) * daily
    meal = settings["meal_share"] * now["announced"] * daily / settings["carb_factor"]
    return {"insulin": np.maximum(now["basal"] + gain - feedback, 0.0) + STEPS_PER_HOUR * meal}


def closed_loop(now: Values, memory: dict[str, Floats], settings: Settings) -> dict[str, Floats]:
    """Every five minutes, some of what would bring glucose to target once all insulin and carbohydrates have acted."""
    daily = daily_insulin(now)
    lowered = settings["correction_factor"] / daily  # mg/dL by one unit
    carbs = now["carbs_on_board"] + now["carbs_entering"] + now["announced"]
    rise = carbs * settings["correction_factor"] / settings["carb_factor"]
    fall = (now["iob"] - BASAL_SHARE) * daily * lowered
    eventual = now["smooth_cgm"] + settings["trend"] * now["change_15"] + rise - fall
    share = np.where(now["announced"] > 0.0, settings["meal_share"], settings["share"])
    missing = share * (eventual - settings["target"]) / lowered
    return {"insulin": np.maximum(now["basal"] + STEPS_PER_HOUR * missing, 0.0)}


RULES = {
    "constant_basal": Rule(
        constant_basal, {"factor": 1.0}, units={"factor": "times basal"}, about="Basal insulin alone."
    ),
    "basal_bolus": Rule(
        basal_bolus,
        BOLUS_SETTINGS,
        grid={
            "carb_factor": (400.0, 450.0, 500.0, 525.0, 550.0, 575.0, 600.0, 650.0),
            "correction_factor": (1200.0, 1500.0, 1800.0),
            "target": (LOWEST_TARGET, 100.0, 120.0, 140.0),
        },
        units=BOLUS_UNITS,
        about="Carb ratio 500 / daily insulin, correction 1800 / daily insulin, target 140 mg/dL (Walsh and Roberts).",
    ),
    "basal_bolus_tuned": Rule(
        basal_bolus,
        {**BOLUS_SETTINGS, "target": LOWEST_TARGET},
        grid={
            "carb_factor": (300.0, 350.0, 400.0, 450.0, 475.0, 500.0, 525.0, 550.0, 575.0, 600.0, 650.0, 700.0),
            "correction_factor": (1200.0, 1500.0, 1800.0),
        },
        per_person=True,
        units=BOLUS_UNITS,
        about="Basal-bolus with ratio and correction factor found for each person on three other days.",
    ),
    "stacked_corrections": Rule(
        stacked_corrections,
        {**BOLUS_SETTINGS, "target": 110.0, "every": 12.0},
        memory=("waited",),
        units={**BOLUS_UNITS, "every": "steps"},
        about="A known mistake, which every limit on lows has to catch: corrections that pile up (Heise and Meneghini "
        "2014, Endocr. Pract. 20:75); an hour between them is an assumption.",
    ),
    "weight_based": Rule(
        weight_based,
        {**BOLUS_SETTINGS, "daily_per_kg": 0.5},
        units={**BOLUS_UNITS, "daily_per_kg": "U/kg"},
        about="Where insulin begins before anything is known of a person, kept for good: 0.5 U/kg a day (American "
        "Diabetes Association 2024, Diabetes Care 47:S158), ratios as in basal_bolus. What gaps between groups of "
        "sensitivity guard against.",
    ),
    "low_glucose_suspend": Rule(
        low_glucose_suspend,
        {**BOLUS_SETTINGS, "suspend_below": 90.0},
        units={**BOLUS_UNITS, "suspend_below": "mg/dL"},
        about="Basal-bolus; insulin stops before a low.",
    ),
    "closed_loop": Rule(
        closed_loop,
        {
            "carb_factor": 500.0,
            "correction_factor": 1800.0,
            "target": 110.0,
            "share": 0.3,
            "meal_share": 1.0,
            "trend": 1.0,
        },
        grid={
            "carb_factor": (400.0, 450.0, 500.0),
            "target": (100.0, 110.0, 120.0),
            "meal_share": (1.0, 1.2),
        },
        units=BOLUS_UNITS,
        about="Doses by where glucose will end up, in the manner of oref0 (Lewis and Leibrand 2016, J. Diabetes Sci. "
        "Technol. 10:1411); shares and trend are assumptions.",
    ),
    "pid": Rule(
        pid,
        {"kp": 4e-4, "ki": 2e-5, "kd": 1e-3, "feedback": 0.5, "target": 120.0, "meal_share": 0.5, "carb_factor": 500.0},
        memory=("integral",),
        units={"target": "mg/dL", "carb_factor": "g"},
        about="PID with insulin feedback in the manner of Steil et al. 2006 (Diabetes 55:3344); gains are assumptions.",
    ),
}
