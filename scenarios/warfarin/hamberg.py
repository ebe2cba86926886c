"""How does the INR answer to warfarin: the pharmacology of Hamberg et al. 2010 for a batch of people.

Equations and constants: Hamberg et al. 2010, "A pharmacometric model describing the relationship between warfarin dose
and INR response with respect to variations in CYP2C9, VKORC1, and age", Clin. Pharmacol. Ther. 87:727. S-warfarin
passes a depot and one compartment, inhibits an effect by a sigmoid of its concentration, and the effect reaches the
INR through two chains of three transit compartments, one fast and one slow. Units inside: mg, L, hours.

A day is not integrated in small parts. Concentrations have a closed form, and the chains are linear in the inhibition:
where they are after a day is what remains of the day before, and an integral over the inhibition of this one, which a
few Gaussian points give to five digits (tests/test_warfarin.py compares it with a solver).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twingym.twins.scales import Floats

EQUATIONS = """\
The pharmacology of Hamberg et al. 2010: amounts of S-warfarin in mg, time in hours. Other names are those of the
constants below; each `n` is a standard normal number, drawn once per person, and `e` one drawn every morning.

```text
depot          D' = -absorption D                                           mg
plasma         A' = absorption D - k A                  C = A / V           mg, mg/L
inhibition     E = C^steepness / (C^steepness + EC50^steepness)             0 to 1
fast chain     F1' = f (E - F1)    F2' = f (F1 - F2)    F3' = f (F2 - F3)   f = 3 / transit, the first
slow chain     S1' = s (E - S1)    S2' = s (S1 - S2)    S3' = s (S2 - S3)   s = 3 / transit, the second
INR            INR = baseline + largest_rise (F3 + S3) / 2
measured       INR exp(inr_error e), cut off at 0.5 and 20

clearance      CL = (sum of allele_clearance over both CYP2C9 alleles) (1 - clearance_age_slope (age - typical_age))
elimination    k = CL / volume exp(elimination_spread n1)                                   CL in L/h, k in 1/h
volume         V = volume exp(volume_spread n2)                                             L
half effect    EC50 = (sum of allele_half_effect over both VKORC1 alleles) exp(half_effect_spread n3)       mg/L
```

The two chains have three transit compartments each, which begin at 0 like depot and plasma: the INR is then that
without warfarin.

A day begins with the measurement. The dose is taken at once: half of it is S-warfarin and enters the depot, since
tablets are racemic. 24 hours follow in closed form, `d` being that half:

```text
A(t) = A(0) exp(-k t) + d absorption / (absorption - k) (exp(-k t) - exp(-absorption t))
```

What is left in the depot after them (e^-48 of a dose) is dropped. Chains are linear in `E`: where they are after a day
is what remains of the day before, and an integral over `E` of this one, by four Gaussian points in each of 0 to 1.5,
1.5 to 6 and 6 to 24 hours (`scenarios/warfarin/hamberg.py`; a solver agrees to 3e-5).

A person's two alleles of each gene are drawn apart (Hardy and Weinberg), at the frequencies of the person's ancestry;
age is normal, cut off at `age_limits`, the same for everybody. Height is normal and weight log-normal around the means
of the sex: only dosing formulas look at them (`scenarios/warfarin/reference.py`).
"""

DAY = 24.0  # h
STAGES = 3  # transit compartments of a chain
S_SHARE = 0.5  # of a dose is S-warfarin: tablets are racemic
# Gaussian points of each part of a day: absorption bends the curve in the first hours only.
PARTS = ((0.0, 1.5, 4), (1.5, 6.0, 4), (6.0, DAY, 4))
CENTRAL = 0  # row of the state; both chains follow, stage by stage
ROWS = 1 + 2 * STAGES


@dataclass(frozen=True)
class Drug:
    """What is the same for everybody.

    Attributes:
        absorption: Rate from the depot, 1/h.
        steepness: Exponent of the sigmoid.
        transit: Mean transit times of the two chains, h.
        baseline: INR without warfarin.
        largest_rise: Rise of the INR at full inhibition.
    """

    absorption: float = 2.0
    steepness: float = 1.15
    transit: tuple[float, float] = (28.6, 118.3)
    baseline: float = 1.0
    largest_rise: float = 20.0


@dataclass(frozen=True)
class Body:
    """What differs between N people, each of shape (N,).

    Attributes:
        elimination: Rate at which S-warfarin leaves, 1/h.
        volume: Of distribution, L.
        half_effect: Concentration of half the inhibition, mg/L.
    """

    elimination: Floats
    volume: Floats
    half_effect: Floats

    def take(self, rows: NDArray[np.intp]) -> Body:
        """Return the people in ``rows``."""
        return Body(self.elimination[rows], self.volume[rows], self.half_effect[rows])

    def put(self, rows: NDArray[np.intp], other: Body) -> Body:
        """Return a copy in which ``other`` sits in ``rows``."""
        body = self.take(np.arange(len(self.volume)))
        for name in ("elimination", "volume", "half_effect"):
            getattr(body, name)[rows] = getattr(other, name)
        return body


def untreated(people: int) -> Floats:
    """Return the state, shape (ROWS, N), of people who never took warfarin."""
    return np.zeros((ROWS, people))


class Day:
    """A day of N people; all that does not depend on what they take is worked out once.

    Attributes:
        body: The people.
        drug: The drug.
    """

    def __init__(self, body: Body, drug: Drug) -> None:
        """Prepare days of these people.

        Legend of shapes: J = points of a day, N = people.
        """
        self.body, self.drug = body, drug
        hours, weights = _points()
        self._effect_of_a_day = _kernel(hours, weights, drug)  # (2 * STAGES, J)
        passed = np.append(hours, DAY)[:, None]
        left = np.exp(-body.elimination * passed)  # (J + 1, N)
        gained = drug.absorption / (drug.absorption - body.elimination) * (left - np.exp(-drug.absorption * passed))
        self._left_in_the_end, self._gained_in_the_end = left[-1], gained[-1]
        scale = 1.0 / (body.volume * body.half_effect)
        self._left, self._gained = left[:-1] * scale, gained[:-1] * scale  # (J, N)

    def pass_with(self, dose: Floats, state: Floats) -> Floats:
        """Return the state (ROWS, N) a day after people in ``state`` took ``dose``, mg of warfarin, shape (N,).

        What is left in the depot after a day, e^-48 of a dose, is dropped.
        """
        taken = S_SHARE * dose
        relative = self._left * state[CENTRAL] + self._gained * taken  # (J, N), in half-effect concentrations
        inhibition = relative**self.drug.steepness
        inhibition /= 1.0 + inhibition
        after = np.empty_like(state)
        after[CENTRAL] = self._left_in_the_end * state[CENTRAL] + self._gained_in_the_end * taken
        for chain, transit in enumerate(self.drug.transit):
            first = 1 + STAGES * chain
            spent = STAGES / transit * DAY
            one, two, three = np.exp(-spent) * state[first : first + STAGES]
            after[first] = one
            after[first + 1] = two + spent * one
            after[first + 2] = three + spent * two + 0.5 * spent**2 * one
        # Point by point: a matrix product would round differently in batches of another size.
        for weight, there in zip(self._effect_of_a_day.T, inhibition, strict=True):
            after[1:] += weight[:, None] * there
        return after

    def inr(self, state: Floats) -> Floats:
        """Return the INR (N,) in ``state``."""
        fast, slow = state[STAGES], state[2 * STAGES]
        return np.asarray(self.drug.baseline + self.drug.largest_rise * 0.5 * (fast + slow))

    def concentration(self, state: Floats) -> Floats:
        """Return the concentration of S-warfarin, mg/L, shape (N,)."""
        return np.asarray(state[CENTRAL] / self.body.volume)


def _points() -> tuple[Floats, Floats]:
    """Return hours of the day and their weights, each (J,)."""
    hours, weights = [], []
    for begin, end, number in PARTS:
        place, weight = np.polynomial.legendre.leggauss(number)
        hours.append(begin + 0.5 * (end - begin) * (place + 1.0))
        weights.append(0.5 * (end - begin) * weight)
    return np.concatenate(hours), np.concatenate(weights)


def _kernel(hours: Floats, weights: Floats, drug: Drug) -> Floats:
    """Return what inhibition at each point of a day adds to each stage of both chains by its end, (2 * STAGES, J)."""
    rows = []
    for transit in drug.transit:
        rate = STAGES / transit
        passed = rate * (DAY - hours)
        arriving = weights * rate * np.exp(-passed)
        rows += [arriving, arriving * passed, arriving * 0.5 * passed**2]
    return np.stack(rows)
