"""How is insulin dosed without learning, and what does a pump keep count of?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twingym.scenarios.glucose_reference import DAILY_PER_BASAL, STEP_MINUTES
from twingym.scenarios.hovorka import INSULIN_TIME
from twingym.scenarios.meals import STEPS_PER_DAY
from twingym.scenarios.rule import Rule, Settings
from twingym.scenarios.scenario import Bookkeeping
from twingym.scenarios.step import Step, Values
from twingym.twins.scales import Floats

STEPS_PER_HOUR = 60 // STEP_MINUTES
CARB_DECAY = np.exp(-STEP_MINUTES / 40.0)  # of carbohydrates still to appear; 40 min as in Hovorka's gut
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
    memory = {"depot1": basal_share, "depot2": basal_share, "cob": zeros, "steps": zeros}
    memory["past"] = np.repeat(now["cgm"][:, None], 6, axis=1)  # (N, 6): the last half hour, oldest first
    memory["smooth"] = now["cgm"].copy()
    return {**memory, **_shown(memory, now["cgm"], zeros), "last_insulin": np.ones(n)}


def update(memory: Mapping[str, Floats], step: Step) -> dict[str, Floats]:
    """Counters after a step; insulin on board follows Hovorka's two depots with the population's time constant."""
    dose = step.delivered["insulin"] / STEPS_PER_HOUR / daily_insulin(step.before)
    depot1 = memory["depot1"] + dose
    cgm = step.after["cgm"]
    kept = {
        "depot2": INSULIN_DECAY * (memory["depot2"] + STEP_MINUTES / INSULIN_TIME * depot1),
        "depot1": INSULIN_DECAY * depot1,
        "cob": CARB_DECAY * (memory["cob"] + step.before["announced"]),
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
        "carbs_on_board": memory["cob"],
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


RULES = {
    "constant_basal": Rule(constant_basal, {"factor": 1.0}, about="Basal insulin alone."),
    "basal_bolus": Rule(
        basal_bolus,
        BOLUS_SETTINGS,
        grid={
            "carb_factor": (300.0, 350.0, 400.0, 450.0, 500.0, 600.0, 700.0),
            "correction_factor": (1500.0, 1800.0, 2200.0),
        },
        about="Carb ratio 500 / daily insulin, correction 1800 / daily insulin, target 140 mg/dL (Walsh and Roberts).",
    ),
    "basal_bolus_tuned": Rule(
        basal_bolus,
        BOLUS_SETTINGS,
        grid={
            "carb_factor": (200.0, 250.0, 300.0, 350.0, 400.0, 450.0, 500.0, 600.0, 700.0),
            "correction_factor": (1200.0, 1800.0, 2700.0),
        },
        per_person=True,
        about="Basal-bolus with ratio and correction factor found for each person on three other days.",
    ),
    "low_glucose_suspend": Rule(
        low_glucose_suspend, {**BOLUS_SETTINGS, "suspend_below": 90.0}, about="Basal-bolus; insulin stops before a low."
    ),
    "pid": Rule(
        pid,
        {"kp": 4e-4, "ki": 2e-5, "kd": 1e-3, "feedback": 0.5, "target": 120.0, "meal_share": 0.5, "carb_factor": 500.0},
        memory=("integral",),
        about="PID with insulin feedback in the manner of Steil et al. 2006 (Diabetes 55:3344); gains are assumptions.",
    ),
}
