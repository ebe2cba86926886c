"""What would a statistician forecast of recorded people without a twin model?

Legend of shapes: Q = quantiles or draws, N = forecasts (a person from one origin), H = steps ahead, T = steps of a
course.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from twingym.evaluation.fidelity.bgnbd import Customers, draw_future, fit_bgnbd
from twingym.scenarios.scenario import Scenario
from twingym.twins.courses import Courses
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

QUANTILES = (np.arange(60) + 0.5) / 60.0
ROUNDS = 60  # of EM
CARRY, PERSISTENCE, EFFECTS, BGNBD = "carry forward", "persistence", "random effects", "BG/NBD"


@dataclass(frozen=True)
class SimpleForecasts:
    """Forecasts of one variable, learned from people who are not forecast.

    Attributes:
        scenario: Whose people.
        variable: What is forecast.
        train: Courses to learn from.
        steps: H, steps ahead at most.
        total: Whether sums are forecast; then ``cut`` holds, and nothing later may be learned from.
    """

    scenario: Scenario
    variable: Variable
    train: Courses
    steps: int
    total: bool = False

    def make(self, courses: Courses, stop: NDArray[np.int64]) -> dict[str, Floats]:
        """Return forecasts from ``stop`` (N,) on, by name, each (Q, N, H) in the variable's unit; sums if ``total``."""
        column = [v.name for v in self.scenario.variables].index(self.variable.name)
        known = np.arange(courses.observed.shape[1]) <= stop[:, None]
        values = np.where(known, courses.observed[..., column], np.nan)  # (N, T + 1)
        if self.total:
            return self._sums(values, courses, stop)
        last = last_known(values, float(np.nanmedian(self.train.observed[..., column])))
        carried = np.repeat(last[:, None], self.steps, axis=1)[None]  # (1, N, H)
        return {
            CARRY: carried,
            PERSISTENCE: self._spread(last, column, stop),
            EFFECTS: self._random_effects(values, courses, stop, column),
        }

    def _spread(self, last: Floats, column: int, stop: NDArray[np.int64]) -> Floats:
        """The last value, with the changes that training people showed over as many steps (or about as many)."""
        observed = self.train.observed[..., column]
        found = np.empty((len(QUANTILES), len(last), self.steps))
        unit = self.variable.to_unit(last)
        there = [(t, last_known(observed[:, : t + 1], np.nan)) for t in np.unique(stop)]
        for h in range(1, self.steps + 1):
            near = [
                self.variable.to_unit(observed[:, t + near]) - self.variable.to_unit(before)
                for t, before in there
                for near in (h - 1, h, h + 1)
                if near > 0 and t + near < observed.shape[1]
            ]
            changes = np.concatenate([np.zeros(1), *near])
            spread = np.quantile(changes[np.isfinite(changes)], QUANTILES)
            found[:, :, h - 1] = self.variable.from_unit(unit + spread[:, None])
        return found

    def _random_effects(self, values: Floats, courses: Courses, stop: NDArray[np.int64], column: int) -> Floats:
        """Everybody's own line, shrunk towards that of people with their traits."""
        model = RandomEffects.fit(self._scaled(self.train.observed[..., column]), self._traits(self.train))
        ahead = stop[:, None] + np.arange(1, self.steps + 1)
        mean, sd = model.forecast(self._scaled(values), self._traits(courses), ahead)
        return self.variable.from_unit(mean + sd * ndtri(QUANTILES)[:, None, None])

    def _scaled(self, values: Floats) -> Floats:
        return np.where(
            np.isfinite(values), self.variable.to_unit(np.nan_to_num(values, nan=self.variable.low)), np.nan
        )

    def _traits(self, courses: Courses) -> Floats:
        encoded = self.scenario.twin_spec().encode_traits(courses.traits)
        ones = np.ones((len(courses), 1))
        return np.concatenate([ones, encoded], axis=1) if encoded.size else ones

    def _sums(self, counts: Floats, courses: Courses, stop: NDArray[np.int64]) -> dict[str, Floats]:
        ahead = np.arange(1, self.steps + 1)
        since_birth = counts[:, 1:]  # what happened at birth made them people of the table
        recent = np.minimum(stop, self.steps)
        started = np.arange(1, counts.shape[1]) > (stop - recent)[:, None]
        rate = np.nansum(np.where(started, since_birth, 0.0), axis=1) / np.maximum(recent, 1)
        carried = rate[:, None] * ahead  # (N, H)
        u = uniforms(1, courses.ids, 0, Stream.POLICY, 2, len(QUANTILES)).T  # (Q, N)
        column = [v.name for v in self.scenario.variables].index(self.variable.name)
        model = fit_bgnbd(Customers.of(self.train.observed[..., column], self.train.length))
        return {
            CARRY: carried[None],
            PERSISTENCE: poisson(carried, u),
            BGNBD: draw_future(model, Customers.of(counts, stop), ahead, courses.ids, seed=1),
        }


def poisson(mean: Floats, u: Floats) -> Floats:
    """Return Poisson quantiles (Q, N, H) of means (N, H) at the same uniforms (Q, N) for every H."""
    from scipy.stats import poisson as law

    return np.asarray(law.ppf(u[..., None], np.maximum(mean, 1e-9)[None]), dtype=np.float64)


def last_known(values: Floats, otherwise: float) -> Floats:
    """Return the last finite value of each row, (N,), or ``otherwise``."""
    place = np.where(np.isfinite(values), np.arange(values.shape[1]), -1).max(axis=1)
    return np.where(place >= 0, values[np.arange(len(values)), np.maximum(place, 0)], otherwise)


@dataclass(frozen=True)
class RandomEffects:
    """A linear mixed model with an intercept and a slope of one's own.

    On [-1, 1]: y = traits' fixed + slope * t + b0 + b1 * t + noise, (b0, b1) normal between people. Fitted by EM.

    Attributes:
        fixed: Of the traits, and of time, (F + 1,).
        between: Covariance of (b0, b1), (2, 2).
        noise: Variance within a person.

    Source: Laird and Ware 1982, Biometrics 38:963.
    """

    fixed: Floats
    between: Floats
    noise: float

    @classmethod
    def fit(cls, values: Floats, traits: Floats) -> RandomEffects:
        """Fit to values (N, T + 1), NaN where missing, and traits (N, F) with a constant."""
        row, step = np.nonzero(np.isfinite(values))
        y, time = values[row, step], step * TIME
        design = np.concatenate([traits[row], time[:, None]], axis=1)  # (K, F + 1)
        ridge = 1e-6 * np.eye(design.shape[1])
        inner = np.linalg.inv(design.T @ design + ridge) @ design.T
        fixed, between, noise = inner @ y, np.diag([y.var() + 1e-6, 0.1 * y.var() + 1e-6]), 0.5 * float(y.var()) + 1e-6
        z = np.stack([np.ones_like(time), time], axis=1)  # (K, 2)
        for _ in range(ROUNDS):
            b, v = _posterior(y - design @ fixed, z, row, len(values), between, noise)
            fixed = inner @ (y - (z * b[row]).sum(axis=1))
            rest = y - design @ fixed - (z * b[row]).sum(axis=1)
            noise = float((rest**2 + np.einsum("ki,kij,kj->k", z, v[row], z)).mean()) + 1e-9
            between = (np.einsum("ni,nj->ij", b, b) + v.sum(axis=0)) / len(values) + 1e-9 * np.eye(2)
        return cls(fixed, between, noise)

    def forecast(self, values: Floats, traits: Floats, ahead: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation at steps (N, H), given what is known of each, (N, T + 1)."""
        row, step = np.nonzero(np.isfinite(values))
        design = np.concatenate([traits[row], step[:, None] * TIME], axis=1)
        z = np.stack([np.ones(len(step)), step * TIME], axis=1)
        b, v = _posterior(values[row, step] - design @ self.fixed, z, row, len(values), self.between, self.noise)
        time = ahead * TIME
        later = np.stack([np.ones_like(time), time], axis=2)  # (N, H, 2)
        mean = (traits @ self.fixed[:-1])[:, None] + self.fixed[-1] * time + np.einsum("nhi,ni->nh", later, b)
        variance = np.einsum("nhi,nij,nhj->nh", later, v, later) + self.noise
        return mean, np.asarray(np.sqrt(variance), dtype=np.float64)


TIME = 0.1  # of a step: slopes then are of the size of intercepts


def _posterior(
    rest: Floats, z: Floats, row: NDArray[np.intp], people: int, between: Floats, noise: float
) -> tuple[Floats, Floats]:
    """Mean (N, 2) and covariance (N, 2, 2) of everybody's own intercept and slope."""
    cross, told = np.zeros((people, 2, 2)), np.zeros((people, 2))
    np.add.at(cross, row, z[:, :, None] * z[:, None, :])
    np.add.at(told, row, z * rest[:, None])
    v = np.linalg.inv(np.linalg.inv(between) + cross / noise)
    return np.asarray(np.einsum("nij,nj->ni", v, told) / noise, dtype=np.float64), np.asarray(v, dtype=np.float64)
