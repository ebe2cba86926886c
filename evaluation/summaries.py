"""What is made of the values of a metric over each person's episode: mean, sum, variation, or a count of spells?"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twingym.scenarios.metric import Metric
from twingym.twins.scales import Floats


class Summary(Protocol):
    """One number per person of values that come step by step."""

    def add(self, values: Floats, live: NDArray[np.bool_]) -> None:
        """Take in the values (N,) of those whose episode is not over, ``live`` (N,)."""
        ...

    def result(self) -> Floats:
        """Return the number of each person so far, shape (N,); NaN where there is none."""
        ...


class Total:
    """The sum of the values."""

    def __init__(self, people: int) -> None:
        """Begin with nothing."""
        self._sum = np.zeros(people)

    def add(self, values: Floats, live: NDArray[np.bool_]) -> None:
        """Take in a step."""
        self._sum += np.where(live, values, 0.0)

    def result(self) -> Floats:
        """Return the sum."""
        return self._sum.copy()


class Mean:
    """The mean of the values."""

    def __init__(self, people: int) -> None:
        """Begin with nothing."""
        self._sum, self._steps = np.zeros(people), np.zeros(people)

    def add(self, values: Floats, live: NDArray[np.bool_]) -> None:
        """Take in a step."""
        self._sum += np.where(live, values, 0.0)
        self._steps += live

    def result(self) -> Floats:
        """Return the mean."""
        return self._sum / np.maximum(self._steps, 1.0)


class Variation:
    """The coefficient of variation: the values' standard deviation as a share of their mean (Welford's recurrence)."""

    def __init__(self, people: int) -> None:
        """Begin with nothing."""
        self._mean, self._squares, self._steps = np.zeros(people), np.zeros(people), np.zeros(people)

    def add(self, values: Floats, live: NDArray[np.bool_]) -> None:
        """Take in a step."""
        self._steps += live
        away = np.where(live, values - self._mean, 0.0)
        self._mean += away / np.maximum(self._steps, 1.0)
        self._squares += away * np.where(live, values - self._mean, 0.0)

    def result(self) -> Floats:
        """Return the share; NaN where the mean is 0."""
        spread = np.sqrt(self._squares / np.maximum(self._steps, 1.0))
        return np.divide(spread, self._mean, out=np.full_like(spread, np.nan), where=self._mean != 0.0)


class Spells:
    """The number of spells: each begins with ``lasting`` steps of 1 and ends with as many of 0.

    A shorter break belongs to the same spell. With 15 minutes these are the consensus's events of hypoglycaemia
    (Danne et al. 2017, Diabetes Care 40:1631).
    """

    def __init__(self, people: int, lasting: int = 1, per: int = 0) -> None:
        """Begin with nothing; spells are counted per ``per`` steps, or all of them if that is 0."""
        self._lasting, self._per = lasting, per
        self._count, self._on, self._off, self._steps = (np.zeros(people) for _ in range(4))
        self._during = np.zeros(people, bool)

    def add(self, values: Floats, live: NDArray[np.bool_]) -> None:
        """Take in a step."""
        now = values > 0.0
        self._steps += live
        self._on = np.where(live & now, self._on + 1.0, 0.0)
        self._off = np.where(live & ~now, self._off + 1.0, 0.0)
        begins = ~self._during & (self._on >= self._lasting)
        self._count += begins
        self._during = (self._during | begins) & (self._off < self._lasting)

    def result(self) -> Floats:
        """Return the count or, with ``per``, the rate."""
        return self._count * (self._per / np.maximum(self._steps, 1.0) if self._per else 1.0)


def summary(metric: Metric, people: int) -> Summary:
    """Return what collects the values of a metric for so many people."""
    if metric.how == "spells":
        return Spells(people, metric.lasting, metric.per)
    others: dict[str, type[Mean | Total | Variation]] = {"mean": Mean, "sum": Total, "variation": Variation}
    return others[metric.how](people)
