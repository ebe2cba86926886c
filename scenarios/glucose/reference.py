"""Who has type 1 diabetes here, and what does their sensor show: the reference dynamics of Glucose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from twingym.scenarios.glucose import hovorka
from twingym.scenarios.glucose.hovorka import Body, Flow, Variant
from twingym.twins.cohort import Cohort, Population, Rows
from twingym.twins.scales import Floats

# Resalat et al. 2019: means and spreads of the three sensitivities, all times the reduction seen in type 1 diabetes.
REDUCTION = 0.4
SENSITIVITY_MEAN = (51.2e-4, 8.2e-4, 520e-4)
SENSITIVITY_SPREAD = (14.4e-4, 3.2e-4, 137.5e-4)
SENSITIVITY_JITTER = (0.25, 0.0, 0.75)
WEIGHT_MEAN, WEIGHT_SD = 76.3, 15.9  # kg
WEIGHT_RANGE = (45.0, 125.0)  # kg; assumption: the paper's normal distribution has no bounds
PRUNING_RATE = 15.0  # U/h that must bring glucose to PRUNING_LEVEL or below
PRUNING_LEVEL = 100.0  # mg/dL
BASAL_TARGET = 115.0  # mg/dL
DAILY_PER_BASAL = 1.78  # daily insulin over what basal alone delivers
# Tertiles of the population drawn below (10,000 people; tests recompute them).
WEIGHT_EDGES = (69.9, 83.6)  # kg
SENSITIVITY_EDGES = (0.0120, 0.0156)  # basal insulin, U/h/kg: little insulin means high sensitivity

SENSOR_RANGE = (39.0, 600.0)  # mg/dL
# Breton and Kovatchev 2008 (J. Diabetes Sci. Technol. 2:853): first-order memory per 15 minutes, then a Johnson SU
# transform; at five minutes the memory is the cube root, which keeps the stationary spread.
SENSOR_MEMORY = 0.7 ** (1.0 / 3.0)
SENSOR_SPREAD = 0.7 / np.sqrt(1.0 - 0.7**2)  # stationary standard deviation before the transform
JOHNSON_XI, JOHNSON_LAMBDA, JOHNSON_GAMMA, JOHNSON_DELTA = -5.47, 15.9574, -0.5444, 1.6898
SEVERE_LEVEL = 40.0  # mg/dL of plasma glucose that ends an episode (as RL4T1D)
BIRTH_SPREAD = 0.2  # log standard deviation of glucose around basal at midnight; assumption
STEP_MINUTES = 5


def draw_people(numbers: Floats, fixed: Mapping[str, float]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Turn uniforms (N, 4) into traits and hidden sensitivities; see Resalat et al. 2019."""
    shared = ndtri(numbers[:, 0])
    spread = np.stack(
        [shared + jitter * (2.0 * numbers[:, k] - 1.0) for jitter, k in zip(SENSITIVITY_JITTER, (1, 0, 2), strict=True)]
    )
    mean, sd = np.array(SENSITIVITY_MEAN)[:, None], np.array(SENSITIVITY_SPREAD)[:, None]
    sensitivity = REDUCTION * (mean + sd * spread)
    weight = WEIGHT_MEAN + WEIGHT_SD * ndtri(numbers[:, 3])
    weight = np.full_like(weight, fixed["weight"]) if "weight" in fixed else weight
    body = Body(weight, np.maximum(sensitivity, 1e-6))
    basal = hovorka.basal_rate(BASAL_TARGET, body)
    traits = {
        "weight": weight,
        "basal": basal,
        "weight_band": np.searchsorted(WEIGHT_EDGES, weight).astype(np.float64),
        "sensitivity_band": 2.0 - np.searchsorted(SENSITIVITY_EDGES, basal / weight).astype(np.float64),
    }
    return traits, {"sensitivity": sensitivity.T}


def plausible(traits: Mapping[str, Floats], hidden: Mapping[str, Floats]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return who stays: positive sensitivities, bounded weight, and 15 U/h brings glucose to 100 mg/dL or below.

    The paper prunes by simulating 1,000 steps; the resting state is what these end in (a test compares the two).
    """
    positive = (hidden["sensitivity"] > 0.0).all(axis=1)
    body = Body(traits["weight"], np.maximum(hidden["sensitivity"].T, 1e-6))
    answers = hovorka.steady_glucose(PRUNING_RATE, body) <= PRUNING_LEVEL
    bounded = (traits["weight"] >= WEIGHT_RANGE[0]) & (traits["weight"] <= WEIGHT_RANGE[1])
    return np.asarray(positive & answers & bounded)


PEOPLE = Population(draw=draw_people, accept=plausible, width=4, seed=2019)


def sensor_error(memory: Floats) -> Floats:
    """Turn the sensor's Gaussian memory (N,) into an error in mg/dL (N,)."""
    return np.asarray(JOHNSON_XI + JOHNSON_LAMBDA * np.sinh((memory - JOHNSON_GAMMA) / JOHNSON_DELTA))


@dataclass
class GlucoseState:
    """What the reference remembers of N people: bodies, ODE state (10, N), sensor memory (N,), whether a low came."""

    body: Body
    flow: Flow
    ode: Floats
    sensor: Floats
    low: Floats


class GlucoseReference:
    """Hovorka's model with the Resalat population under a sensor with remembered error.

    Inputs are ``(carbs, announced)``; the action is insulin in U/h; observed are sensor glucose, plasma glucose
    (both mg/dL) and whether a severe low happened.
    """

    noise_width = 2

    def __init__(self, variant: Variant = "hovorka") -> None:
        """Choose one of the two published forms; people's basal rates stay those of the default one."""
        self.variant = variant

    def initial(self, cohort: Cohort, inputs: Floats, noise: Floats) -> tuple[GlucoseState, Floats]:
        """Begin at rest near the basal target; see :class:`~twingym.twins.dynamics.Dynamics`."""
        body = Body(cohort.traits["weight"], np.ascontiguousarray(cohort.hidden["sensitivity"].T), self.variant)
        ode = hovorka.at_rest(BASAL_TARGET, body)
        ode[hovorka.Q1 : hovorka.Q2 + 1] *= np.exp(BIRTH_SPREAD * ndtri(noise[:, 0]))
        sensor = SENSOR_SPREAD * ndtri(noise[:, 1])
        state = GlucoseState(body, Flow(body), ode, sensor, np.zeros(len(cohort)))
        return state, self._observe(state)

    def step(self, state: GlucoseState, action: Floats, inputs: Floats, noise: Floats) -> tuple[GlucoseState, Floats]:
        """Move five minutes; see :class:`~twingym.twins.dynamics.Dynamics`."""
        hovorka.advance(state.flow, state.ode, inputs[:, 0] / STEP_MINUTES, action[:, 0], STEP_MINUTES)
        state.sensor = SENSOR_MEMORY * state.sensor + SENSOR_SPREAD * np.sqrt(1.0 - SENSOR_MEMORY**2) * ndtri(
            noise[:, 0]
        )
        return state, self._observe(state)

    def restart(
        self, state: GlucoseState, rows: Rows, cohort: Cohort, inputs: Floats, noise: Floats
    ) -> tuple[GlucoseState, Floats]:
        """Begin new courses in ``rows``; see :class:`~twingym.twins.dynamics.Dynamics`."""
        fresh, observed = self.initial(cohort, inputs, noise)
        weight, sensitivity = state.body.weight.copy(), state.body.sensitivity.copy()
        weight[rows], sensitivity[:, rows] = fresh.body.weight, fresh.body.sensitivity
        body = Body(weight, sensitivity, self.variant)
        state.ode[:, rows], state.sensor[rows], state.low[rows] = fresh.ode, fresh.sensor, fresh.low
        return GlucoseState(body, Flow(body), state.ode, state.sensor, state.low), observed

    def take(self, state: GlucoseState, rows: Rows) -> GlucoseState:
        """Copy ``rows``; see :class:`~twingym.twins.dynamics.Dynamics`."""
        body = state.body.take(rows)
        return GlucoseState(body, Flow(body), state.ode[:, rows], state.sensor[rows], state.low[rows])

    def _observe(self, state: GlucoseState) -> Floats:
        plasma = hovorka.glucose(state.ode, state.body)
        shown = np.clip(plasma + sensor_error(state.sensor), *SENSOR_RANGE)
        state.low = (plasma <= SEVERE_LEVEL).astype(np.float64)
        return np.stack([shown, np.clip(plasma, 1.0, 1000.0), state.low], axis=1)
