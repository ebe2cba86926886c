"""What did each person's episode amount to: sums over steps, one row per person in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twingym.evaluation.summaries import Mean, Total, summary
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step
from twingym.twins.cohort import Cohort
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd


class Tally:
    """Sums over the episodes of N people; whoever is finished adds nothing more."""

    def __init__(self, scenario: Scenario, cohort: Cohort) -> None:
        """Begin with nothing.

        Args:
            scenario: Declares costs, metrics and interventions.
            cohort: The people in their slots.
        """
        self._scenario, self._cohort = scenario, cohort
        people = len(cohort)
        self.steps = np.zeros(people, np.int64)
        self.terminated = np.zeros(people, bool)
        self._sums: dict[str, Total | Mean] = {}
        self._metrics = {metric.name: summary(metric, people) for metric in scenario.metrics}

    def add(self, step: Step, rewards: Floats, infos: dict[str, Any], live: NDArray[np.bool_]) -> None:
        """Add one step of the people whose episode was not over, ``live`` (N,).

        Args:
            step: The step, auditor variables included.
            rewards: Shape (N,).
            infos: What the vector env says.
            live: Whose step counts.
        """
        self.steps += live
        self._sum("return", rewards, live)
        for column, constraint in enumerate(self._scenario.costs):
            self._sum(f"cost_{constraint.name}", infos["costs"][:, column], live)
        for event in self._scenario.events:
            self._sum(f"event_{event.name}", step.after[event.name], live)
        for metric in self._scenario.metrics:
            self._metrics[metric.name].add(metric.value(step), live)
        for name in ("need", "benefit", "shielded", "disagreement"):
            if name in infos:
                self._sum(name, infos[name], live, Mean if name == "disagreement" else Total)
        self._sum_interventions(step, live)

    def _sum(self, name: str, values: Any, live: NDArray[np.bool_], way: type[Total | Mean] = Total) -> None:
        if name not in self._sums:
            self._sums[name] = way(len(live))
        self._sums[name].add(values, live)

    def _sum_interventions(self, step: Step, live: NDArray[np.bool_]) -> None:
        acted = np.zeros(len(live), bool)
        for intervention in self._scenario.interventions:
            amount = step.delivered[intervention.name]
            if intervention.categorical:
                acted |= amount != 0.0
                for number, level in enumerate(intervention.levels[1:], start=1):
                    self._sum(f"delivered_{intervention.name}_{level}", amount == number, live)
            else:
                times = self._cohort.traits[intervention.per_person] if intervention.per_person else 1.0
                acted |= amount > intervention.low * times
                self._sum(f"delivered_{intervention.name}", amount, live)
        self._sum("exposure", acted, live, Mean)

    def total(self, name: str) -> Floats:
        """Return a sum so far, shape (N,)."""
        return self._sums[name].result()

    def frame(self) -> pd.DataFrame:
        """Return one row per person; see :class:`~twingym.evaluation.episodes.Evaluation` for the columns."""
        import pandas as pd

        total = self.total("return")
        columns: dict[str, Any] = {
            "twin": self._cohort.ids,
            "steps": self.steps,
            "terminated": self.terminated,
            "return": total,
            "reward_per_step": total / np.maximum(self.steps, 1),
        }
        columns |= {name: kept.result() for name, kept in (*self._sums.items(), *self._metrics.items())}
        for trait in self._scenario.traits:
            values = self._cohort.traits[trait.name]
            columns[trait.name] = np.array(trait.levels)[values.astype(np.intp)] if trait.levels else values
        return pd.DataFrame(columns)
