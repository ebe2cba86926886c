"""How does glucose answer to insulin and carbohydrates in type 1 diabetes: Hovorka's model for a batch of people.

Equations: Hovorka et al. 2004, "Nonlinear model predictive control of glucose concentration in subjects with type 1
diabetes", Physiol. Meas. 25:905, with the insulin action of Wilinska et al. 2005 (IEEE Trans. Biomed. Eng. 52:3).
Population: Resalat et al. 2019, PLoS One 14:e0217301. Units inside: mmol, mU, minutes; state variables are amounts
per person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twingym.twins.errors import unknown
from twingym.twins.scales import Floats

EQUATIONS = """\
Hovorka's model, amounts per person in mmol and mU, time in minutes; `u` is the insulin delivered and `D` the
carbohydrates eaten, `W` body weight, `s1` to `s3` the sensitivities to insulin:

```text
gut      D1' = A_G D - D1 / t_G                 D2' = (D1 - D2) / t_G
depot    S1' = u - S1 / t_I                     S2' = (S1 - S2) / t_I
glucose  Q1' = D2 / t_G - F(G) - R(G) - x1 Q1 + k12 Q2 + EGP0 W max(0, 1 - x3)
         Q2' = x1 Q1 - (k12 + x2) Q2            G = Q1 / (V_G W)
insulin  I'  = S2 / (t_I V_I W) - ke I
action   xi' = kai (si I - xi), i = 1, 2, 3: transport, disposal, hepatic output
uptake without insulin  F(G) = F01 W min(1, G / 4.5)
renal loss              R(G) = 0.003 (G - 9) V_G W where G > 9 mmol/L, else 0
```

Five minutes are solved by the classical Runge-Kutta method in three parts (`scenarios/glucose/hovorka.py`). The sensor
shows plasma glucose with a remembered, skewed error (Breton and Kovatchev 2008):
`e = xi + lambda sinh((m - gamma) / delta)` of a Gaussian memory `m` whose autocorrelation is 0.7 over 15 minutes.
People are those of Resalat et al. 2019: with one normal number `n` each, `s2 = 0.4 (8.2 + 3.2 n) 1e-4`,
`s1 = 0.4 (51.2 + 14.4 (n + U(-.25, .25))) 1e-4` and `s3 = 0.4 (520 + 137.5 (n + U(-.75, .75))) 1e-4`; weight is
normal, whatever these are. Kept are those of 45 to 125 kg whom 15 U/h bring to 100 mg/dL or below. What they need in a
day (1.78 times basal) has a heavy tail, with a median of 45 U and a mean of 50 U; the mean of the paper's own sample is
42.3 U. Plasma glucose of 40 mg/dL ends a course.
"""

# Published code differs in two places: how uptake that needs no insulin falls at low glucose, and where the kidneys
# begin to spill. ``hovorka`` is the paper (and T1D_VPP); ``saturating`` is jonasnm's svelte-flask-hovorka-simulator.
Variant = Literal["hovorka", "saturating"]

# Hovorka 2004, table 1 (per kg of body weight where a volume or a flux).
INSULIN_VOLUME = 0.12  # L/kg
GLUCOSE_VOLUME = 0.16  # L/kg
NON_INSULIN_FLUX = 0.0097  # mmol/kg/min
HEPATIC_OUTPUT = 0.0161  # mmol/kg/min at zero insulin
TRANSFER = 0.066  # k12, 1/min
CARB_BIOAVAILABILITY = 0.8
CARB_TIME = 40.0  # min to maximal appearance
INSULIN_TIME = 55.0  # min to maximal absorption
INSULIN_DECAY = 0.138  # ke, 1/min
ACTION_RATES = (0.006, 0.06, 0.03)  # ka1..3, 1/min
RENAL_THRESHOLD = {"hovorka": 9.0, "saturating": 14.0}  # mmol/L
RENAL_RATE = 0.003  # 1/min
SATURATION = 4.5  # mmol/L below which non-insulin uptake falls (hovorka)
UPTAKE_SCALE = 0.85  # of the Michaelis-Menten form, half of its most at 1 mmol/L (saturating)

MG_PER_MMOL = 18.0  # mg/dL in one mmol/L of glucose (molar mass taken as 180 g, as in the check numbers)
MMOL_PER_GRAM = 1000.0 / 180.0  # glucose in a gram of carbohydrate
# Insulin that moves half of the glucose per minute is far beyond any lethal dose; there the integration stays stable.
STRONGEST_ACTION = 0.5  # 1/min

# Where in a part the second to fourth slope of the classical Runge-Kutta method is taken, and its weight.
LONGEST_PART = 5.0 / 3.0  # minutes; with meals and large boluses glucose is then exact to 0.01 mg/dL
RUNGE_KUTTA = ((0.5, 2.0), (0.5, 2.0), (1.0, 1.0))

# Rows of the state: gut (2), depot (2), glucose (2), plasma insulin, insulin action (3).
D1, D2, S1, S2, Q1, Q2, INSULIN, X1, X2, X3 = range(10)


@dataclass(frozen=True)
class Body:
    """Parameters of N people.

    Attributes:
        weight: Body weight, kg, shape (N,).
        sensitivity: Insulin sensitivities of transport (1/min per mU/L), disposal (1/min per mU/L) and hepatic output
            (per mU/L), shape (3, N).
        variant: Which published form of uptake and renal loss they follow.
    """

    weight: Floats
    sensitivity: Floats
    variant: Variant = "hovorka"

    def __post_init__(self) -> None:
        """Refuse a form that nobody published.

        Raises:
            UnknownNameError: If ``variant`` is unknown.
        """
        if self.variant not in RENAL_THRESHOLD:
            raise unknown("variant of Hovorka's model", self.variant, RENAL_THRESHOLD)

    def take(self, rows: NDArray[np.intp]) -> Body:
        """Return the people in ``rows``."""
        return Body(self.weight[rows], self.sensitivity[:, rows], self.variant)


def glucose(state: Floats, body: Body) -> Floats:
    """Plasma glucose in mg/dL, shape (N,)."""
    return np.asarray(state[Q1] * (MG_PER_MMOL / GLUCOSE_VOLUME) / body.weight)


def demand(g: Floats, variant: Variant) -> Floats:
    """Glucose that leaves plasma without insulin, mmol/kg/min, at ``g`` mmol/L: uptake, and renal loss."""
    if variant == "hovorka":
        uptake = NON_INSULIN_FLUX * np.minimum(1.0, g / SATURATION)
    else:
        uptake = NON_INSULIN_FLUX / UPTAKE_SCALE * g / (g + 1.0)
    return np.asarray(uptake + RENAL_RATE * np.maximum(g - RENAL_THRESHOLD[variant], 0.0) * GLUCOSE_VOLUME)


def basal_rate(target: Floats | float, body: Body) -> Floats:
    """Insulin infusion (U/h, shape (N,)) that holds glucose at ``target`` (mg/dL); closed form.

    At rest the fluxes balance: with plasma insulin I, hepatic output (1 - Se I) pays for uptake, renal loss and what
    moves to the second compartment, which gives a quadratic in I.
    """
    g = np.asarray(target, dtype=np.float64) / MG_PER_MMOL
    transport, disposal, hepatic = body.sensitivity
    surplus = HEPATIC_OUTPUT - demand(g, body.variant)
    liver = HEPATIC_OUTPUT * hepatic
    a = disposal * (liver + g * GLUCOSE_VOLUME * transport)
    b = liver * TRANSFER - surplus * disposal
    c = -surplus * TRANSFER
    insulin = (-b + np.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)
    return np.asarray(insulin * INSULIN_DECAY * INSULIN_VOLUME * body.weight * 60.0 / 1000.0)


def steady_glucose(rate: Floats | float, body: Body) -> Floats:
    """Glucose (mg/dL, shape (N,)) at rest under ``rate`` U/h of insulin, by bisection over 1 to 1000 mg/dL."""
    low, high = np.full(body.weight.shape, 1.0), np.full(body.weight.shape, 1000.0)
    insulin = np.asarray(rate) * 1000.0 / 60.0 / (INSULIN_DECAY * INSULIN_VOLUME * body.weight)
    x1, x2, x3 = body.sensitivity * insulin
    for _ in range(60):
        middle = 0.5 * (low + high)
        g = middle / MG_PER_MMOL
        loss = demand(g, body.variant) + g * GLUCOSE_VOLUME * x1 * x2 / (TRANSFER + x2)
        rising = HEPATIC_OUTPUT * np.maximum(0.0, 1.0 - x3) > loss
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.asarray(0.5 * (low + high))


def at_rest(target: Floats | float, body: Body) -> Floats:
    """Return the resting state (10, N) at ``target`` mg/dL under the basal rate that holds it."""
    rate = basal_rate(target, body) * 1000.0 / 60.0  # mU/min
    state = np.zeros((10, len(body.weight)))
    state[S1] = state[S2] = rate * INSULIN_TIME
    state[INSULIN] = rate / (INSULIN_DECAY * INSULIN_VOLUME * body.weight)
    state[X1 : X3 + 1] = body.sensitivity * state[INSULIN]
    state[Q1] = np.asarray(target) / MG_PER_MMOL * GLUCOSE_VOLUME * body.weight
    state[Q2] = state[X1] * state[Q1] / (TRANSFER + state[X2])
    return state


class Flow:
    """The right-hand side for a batch, with its constants and work space laid out once: this is the hot path."""

    def __init__(self, body: Body) -> None:
        """Prepare for the N people of ``body``."""
        weight = body.weight
        people = len(weight)
        self.sensitivity_rate = body.sensitivity * np.array(ACTION_RATES)[:, None]  # (3, N)
        self.action_rate = np.array(ACTION_RATES)[:, None]
        self.depot_rate = 1.0 / np.array([CARB_TIME, CARB_TIME, INSULIN_TIME, INSULIN_TIME])[:, None]
        self.volume = GLUCOSE_VOLUME * weight
        self.per_insulin_volume = 1.0 / (INSULIN_TIME * INSULIN_VOLUME * weight)
        self.uptake = NON_INSULIN_FLUX * weight
        self.uptake_slope = NON_INSULIN_FLUX / (SATURATION * GLUCOSE_VOLUME)  # uptake per mmol in Q1 below saturation
        self.renal_start = RENAL_THRESHOLD[body.variant] * self.volume
        self.saturating = body.variant == "saturating"
        self.liver = HEPATIC_OUTPUT * weight
        self.slope, self.total, self.stage = (np.empty((10, people)) for _ in range(3))
        self._inflow, self._outflow = np.zeros((4, people)), np.empty((4, people))  # of the depots D1, D2, S1, S2
        self._decay, self._flux, self._moved = np.empty((3, people)), np.empty(people), np.empty(people)

    def __call__(self, state: Floats, carbs: Floats, insulin: Floats) -> Floats:
        """Return d(state)/dt in a buffer that the next call overwrites.

        Args:
            state: Shape (10, N).
            carbs: Carbohydrates eaten, mmol/min, shape (N,).
            insulin: Insulin infused, mU/min, shape (N,).
        """
        self.feed(carbs, insulin)
        return self.into(self.slope, state)

    def feed(self, carbs: Floats, insulin: Floats) -> None:
        """Let people eat (mmol/min, shape (N,)) and infuse (mU/min, shape (N,)) from now on."""
        self._inflow[D1], self._inflow[S1] = CARB_BIOAVAILABILITY * carbs, insulin

    def into(self, slope: Floats, state: Floats) -> Floats:
        """Write d(state)/dt into ``slope``, both (10, N), and return it."""
        inflow, flux, moved = self._inflow, self._flux, self._moved
        outflow = np.multiply(state[D1 : S2 + 1], self.depot_rate, out=self._outflow)
        inflow[D2], inflow[S2] = outflow[D1], outflow[S1]
        np.subtract(inflow, outflow, out=slope[D1 : S2 + 1])

        np.multiply(state[S2], self.per_insulin_volume, out=slope[INSULIN])
        slope[INSULIN] -= np.multiply(state[INSULIN], INSULIN_DECAY, out=flux)
        np.multiply(self.sensitivity_rate, state[INSULIN], out=slope[X1:])
        slope[X1:] -= np.multiply(self.action_rate, state[X1:], out=self._decay)

        q1, q2 = slope[Q1], slope[Q2]
        np.multiply(state[X1], state[Q1], out=moved)
        if self.saturating:
            uptake = self.uptake / UPTAKE_SCALE * state[Q1] / (state[Q1] + self.volume)
        else:
            uptake = np.multiply(state[Q1], self.uptake_slope, out=flux)
            np.minimum(uptake, self.uptake, out=uptake)
        np.subtract(outflow[D2], uptake, out=q1)
        np.subtract(state[Q1], self.renal_start, out=flux)
        np.maximum(flux, 0.0, out=flux)
        flux *= RENAL_RATE
        q1 -= flux
        q1 -= moved
        q1 += np.multiply(state[Q2], TRANSFER, out=flux)
        np.subtract(moved, flux, out=q2)
        q2 -= np.multiply(state[X2], state[Q2], out=flux)
        np.subtract(1.0, state[X3], out=flux)
        np.maximum(flux, 0.0, out=flux)
        flux *= self.liver
        q1 += flux
        return slope


def advance(flow: Flow, state: Floats, carbs: Floats, insulin: Floats, minutes: int = 1) -> Floats:
    """Move the state by whole minutes: classical Runge-Kutta, in equal parts of at most ``LONGEST_PART``.

    Args:
        flow: Right-hand side of the same N people.
        state: Shape (10, N); changed in place.
        carbs: Carbohydrates eaten, g/min, shape (N,).
        insulin: Insulin infused, U/h, shape (N,).
        minutes: How long.

    Returns:
        The new state.
    """
    flow.feed(carbs * MMOL_PER_GRAM, insulin * (1000.0 / 60.0))
    slope, total, stage = flow.slope, flow.total, flow.stage
    parts = math.ceil(minutes / LONGEST_PART)
    part = minutes / parts
    for _ in range(parts):
        flow.into(total, state)
        last = total
        for reach, weight in RUNGE_KUTTA:
            np.multiply(last, reach * part, out=stage)
            stage += state
            last = flow.into(slope, stage)
            total += np.multiply(last, weight, out=stage)
        total *= part / 6.0
        state += total
        np.minimum(state[X1:X3], STRONGEST_ACTION, out=state[X1:X3])
    return np.maximum(state, 0.0, out=state)
