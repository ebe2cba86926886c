"""What do people eat, when, and what do they believe they ate?"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from twingym.twins.cohort import Cohort, Ids
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

STEP_MINUTES = 5
STEPS_PER_DAY = 24 * 60 // STEP_MINUTES
EATING_RATE = 5.0  # g/min

# Breakfast, snack, lunch, snack, dinner, snack: the random day of simglucose (Xie 2018).
PROBABILITY = np.array([0.95, 0.3, 0.95, 0.3, 0.95, 0.3])
EARLIEST = np.array([5.0, 9.0, 10.0, 14.0, 16.0, 20.0])  # h
LATEST = np.array([9.0, 10.0, 14.0, 16.0, 20.0, 23.0])  # h
USUAL = np.array([7.0, 9.5, 12.0, 15.0, 18.0, 21.5])  # h
USUAL_SD = np.array([1.0, 0.5, 1.0, 0.5, 1.0, 0.5])  # h
GRAMS = np.array([45.0, 10.0, 70.0, 10.0, 80.0, 10.0])
GRAMS_SD = np.array([10.0, 5.0, 10.0, 5.0, 10.0, 5.0])
# Adults misjudge a meal's carbohydrates by about a fifth (Brazeau et al. 2013, Diabetes Res. Clin. Pract. 99:19).
COUNTING_ERROR = 0.2
LARGEST_MEAL = 150.0  # g
_DRAWS = 4  # whether, when, how much, how misjudged


def draw_meals(cohort: Cohort, seed: int, episode: Ids, steps: int) -> Floats:
    """Draw carbohydrates eaten and announced, grams per step, shape (N, steps + 1, 2).

    A meal is announced, with its counting error, at the step when eating begins, and eaten at 5 g/min from then on.
    """
    days = -(-(steps + 1) // STEPS_PER_DAY)
    meals = len(PROBABILITY)
    numbers = uniforms(seed, cohort.ids[:, None], episode[:, None], Stream.INPUTS, np.arange(days), meals * _DRAWS)
    whether, when, much, misjudged = np.moveaxis(numbers.reshape(len(cohort), days, meals, _DRAWS), -1, 0)
    first, last = ndtr((EARLIEST - USUAL) / USUAL_SD), ndtr((LATEST - USUAL) / USUAL_SD)
    hour = USUAL + USUAL_SD * ndtri(first + when * (last - first))
    grams = np.clip(GRAMS + GRAMS_SD * ndtri(much), 0.0, LARGEST_MEAL) * (whether < PROBABILITY)
    believed = grams * np.clip(1.0 + COUNTING_ERROR * ndtri(misjudged), 0.2, 2.0)
    step = np.arange(days)[:, None] * STEPS_PER_DAY + (hour * 60.0 / STEP_MINUTES).astype(np.int64)  # (N, days, meals)

    per_step = EATING_RATE * STEP_MINUTES
    pieces = int(np.ceil(LARGEST_MEAL / per_step))
    series = np.zeros((len(cohort), days * STEPS_PER_DAY + pieces, 2))
    row = np.broadcast_to(np.arange(len(cohort))[:, None, None], step.shape)
    for piece in range(pieces):
        np.add.at(series[..., 0], (row, step + piece), np.clip(grams - piece * per_step, 0.0, per_step))
    np.add.at(series[..., 1], (row, step), believed)
    return series[:, : steps + 1]


def guess_meals(shown: Floats, memory: Floats, u: Floats) -> tuple[Floats, Floats]:
    """Take what is announced for a meal misjudged as people misjudge them, eaten at the usual rate.

    What is left of the meal is remembered. Two meals at once are eaten one after the other.
    """
    announced = shown[:, 1]
    left = memory + announced / np.clip(1.0 + COUNTING_ERROR * ndtri(u), 0.2, 2.0)
    eaten = np.minimum(left, EATING_RATE * STEP_MINUTES)
    return np.stack([eaten, announced], axis=1), left - eaten
