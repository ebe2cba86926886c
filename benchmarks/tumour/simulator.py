"""How do tumours grow under chemotherapy and radiotherapy, and who is treated: the simulator behind the benchmark.

Geng, Paganetti & Grassberger 2017, "Prediction of treatment response for combined chemo- and radiation therapy for
non-small cell lung cancer patients using a bio-mathematical model", Sci. Rep. 7:13542; confounded treatment and
protocol as in Lim, Alaa & van der Schaar 2018 (NeurIPS) and Melnychuk, Frauen & Feuerriegel 2022 (ICML), repository
after the correction of 27 March 2024. Volumes in cm^3, diameters in cm, one step is a day, chemotherapy in mg/m^3,
radiotherapy in Gy.

Legend of shapes: N = patients, T = days (``DAYS``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.stats import truncnorm

Floats = NDArray[np.float64]
DAYS = 60
WINDOW = 15  # days whose diameters decide on treatment
NOISE = 0.01  # sd of daily growth, relative
CHEMO_DOSE, RADIO_DOSE = 5.0, 2.0
CHEMO_LEFT = 0.5  # of the drug after a day
CELL_DENSITY = 5.8e8  # cells per cm^3
# Size at diagnosis, log diameter: stage -> (mean, sd, lowest and highest diameter), and how often each stage is seen.
STAGES = {
    "I": (1.72, 4.70, 0.3, 5.0),
    "II": (1.96, 1.63, 0.3, 13.0),
    "IIIA": (1.91, 9.40, 0.3, 13.0),
    "IIIB": (2.76, 6.87, 0.3, 13.0),
    "IV": (3.86, 8.82, 0.3, 13.0),
}
SEEN = {"I": 1432, "II": 128, "IIIA": 1306, "IIIB": 7248, "IV": 12840}
# Of (alpha, rho): radiosensitivity per Gy and growth per day; then of beta_c, killing per unit of drug and day.
SENSITIVITY_MEAN, SENSITIVITY_SD, SENSITIVITY_CORRELATION = (0.0398, 7e-5), (0.168, 7.23e-3), 0.87
KILL_MEAN, KILL_SD = 0.028, 0.0007
ALPHA_OVER_BETA = 10.0
# Types 1 and 3 respond better to radiotherapy and chemotherapy: by a tenth of the population's mean.
BETTER = 0.1


def volume(diameter: Floats | float) -> Floats:
    """Return the volume of a sphere, cm^3."""
    return np.asarray(4.0 / 3.0 * np.pi * (np.asarray(diameter) / 2.0) ** 3)


def diameter(volume_: Floats) -> Floats:
    """Return the diameter of a sphere, cm; NaN for negative volumes."""
    with np.errstate(invalid="ignore"):
        return np.asarray((volume_ / (4.0 / 3.0 * np.pi)) ** (1.0 / 3.0) * 2.0)


LARGEST = float(volume(13.0))  # death
CAPACITY = float(volume(30.0))


@dataclass(frozen=True)
class Patients:
    """N people with tumours; every field has shape (N,).

    Attributes:
        first: Volume at diagnosis, cm^3.
        alpha: Radiosensitivity, 1/Gy.
        rho: Growth, 1/day.
        kill: Effect of the drug, 1/(mg/m^3 day).
        type: 1, 2 or 3.
    """

    first: Floats
    alpha: Floats
    rho: Floats
    kill: Floats
    type: Floats

    def growth(self, size: Floats, drug: Floats, radio: Floats, noise: Floats) -> Floats:
        """Return tomorrow's volume over today's: sizes, drug levels, doses and relative noise, all (N, ...)."""
        alpha, rho, kill = (p.reshape(-1, *[1] * (np.ndim(size) - 1)) for p in (self.alpha, self.rho, self.kill))
        with np.errstate(divide="ignore", invalid="ignore"):
            grown = rho * np.log(CAPACITY / size)
        return np.asarray(1.0 + grown - kill * drug - alpha * (radio + radio**2 / ALPHA_OVER_BETA) + noise)

    def take(self, rows: NDArray[np.intp]) -> Patients:
        """Return the patients in ``rows``."""
        return Patients(self.first[rows], self.alpha[rows], self.rho[rows], self.kill[rows], self.type[rows])


def draw_patients(count: int, random: np.random.RandomState) -> Patients:
    """Draw patients with the generator and in the order of the published benchmark."""
    stages = sorted(STAGES)
    seen = np.array([SEEN[s] for s in stages])
    stage = random.choice(stages, count, p=seen / seen.sum())
    sizes = []
    for name in stages:
        mean, sd, low, high = STAGES[name]
        bounds = (np.log(low) - mean) / sd, (np.log(high) - mean) / sd
        sizes.append(np.exp(truncnorm.rvs(*bounds, size=int((stage == name).sum()), random_state=random) * sd + mean))
    sd = np.array(SENSITIVITY_SD)
    covariance = np.outer(sd, sd) * np.array([[1.0, SENSITIVITY_CORRELATION], [SENSITIVITY_CORRELATION, 1.0]])
    kept = np.empty((0, 2))
    while len(kept) < count:
        drawn = random.multivariate_normal(SENSITIVITY_MEAN, covariance, size=count)
        kept = np.concatenate([kept, drawn[(drawn > 0.0).all(axis=1)]])
    kind = random.choice([1, 2, 3], count)
    alpha = kept[:count, 0] + SENSITIVITY_MEAN[0] * np.where(kind == 1, BETTER, 0.0)
    kill = KILL_MEAN + KILL_SD * truncnorm.rvs(-KILL_MEAN / KILL_SD, np.inf, size=count, random_state=random)
    kill = kill + KILL_MEAN * np.where(kind == 3, BETTER, 0.0)
    order = np.arange(count)
    random.shuffle(order)
    first = volume(np.concatenate(sizes))
    return Patients(first, alpha, kept[:count, 1], kill, kind.astype(np.float64)).take(order)


@dataclass(frozen=True)
class Recorded:
    """What was seen of patients and done to them.

    Attributes:
        size: Volumes, (N, T); what is beyond the end is NaN.
        chemo: Whether chemotherapy was given on each day, (N, T).
        radio: Whether radiotherapy was, (N, T).
        drug: Level of the drug after the day's dose, (N, T).
        steps: Days that lead to a recorded volume, (N,).
        kind: Type of each patient, (N,).
    """

    size: Floats
    chemo: Floats
    radio: Floats
    drug: Floats
    steps: NDArray[np.int64]
    kind: Floats

    def join(self, other: Recorded) -> Recorded:
        """Return these patients and the other ones."""
        return Recorded(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def treated(size: Floats, gamma: float) -> Floats:
    """Return the chance of each treatment from the volumes of the days before, (..., days): larger ones are treated."""
    mean = diameter(size).mean(axis=-1)
    return np.asarray(1.0 / (1.0 + np.exp(-gamma / 13.0 * (mean - 6.5))))


def recovers(size: Floats, u: Floats) -> NDArray[np.bool_]:
    """Say in whom the last cell dies."""
    return np.asarray(u < np.exp(-np.maximum(size, -1e-6) * CELL_DENSITY))


def record(patients: Patients, gamma: float, random: np.random.RandomState, *, original: bool = True) -> Recorded:
    """Treat patients and record their courses.

    Args:
        patients: Who they are.
        gamma: Confounding: how much more often large tumours are treated.
        random: Used in the order of the published benchmark.
        original: Whether nobody is treated on the first day and a day's own volume does not count, as published.
    """
    n = len(patients.first)
    noise = NOISE * random.randn(n, DAYS)
    luck, chemo_luck, radio_luck = (random.rand(n, DAYS) for _ in range(3))
    size, chemo, radio, drug = np.full((n, DAYS), np.nan), *(np.zeros((n, DAYS)) for _ in range(3))
    size[:, 0] = patients.first
    steps = np.full(n, DAYS - 1, dtype=np.int64)
    there = np.ones(n, dtype=bool)
    for day in range(DAYS):
        if day:
            dose = RADIO_DOSE * radio[:, day - 1]
            with np.errstate(invalid="ignore"):  # whoever has recovered
                today = size[:, day - 1] * patients.growth(size[:, day - 1], drug[:, day - 1], dose, noise[:, day])
            dies, heals = there & (today > LARGEST), there & ~(today > LARGEST) & recovers(today, luck[:, day])
            size[:, day] = np.where(there, np.where(dies, LARGEST, np.where(heals, 0.0, today)), np.nan)
            steps[dies | heals] = day
        if day or not original:
            last = day if original else day + 1
            chance = treated(size[:, max(last - WINDOW, 0) : last], gamma)
            chemo[:, day], radio[:, day] = there & (chemo_luck[:, day] < chance), there & (radio_luck[:, day] < chance)
        drug[:, day] = CHEMO_DOSE * chemo[:, day] + (CHEMO_LEFT * drug[:, day - 1] if day else 0.0)
        if day:
            there &= ~(dies | heals)
    return Recorded(size, chemo, radio, drug, steps, patients.type)
