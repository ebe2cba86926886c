"""What has each person's episode amounted to so far, and is it over?"""

from __future__ import annotations

import numpy as np

from twingym.envs.enforcement import Flags
from twingym.envs.infos import Infos
from twingym.envs.moment import Moment
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats


class Ledger:
    """The running episodes of N slots: sums, and whether they are over.

    Attributes:
        rewards: Sum of rewards, shape (N,).
        costs: Sum of each cost, shape (K, N), in declared order.
        terminated: Whose episode was ended by an event or by the scenario, shape (N,).
        truncated: Whose episode was cut, or reached the horizon, while life goes on, shape (N,).
    """

    def __init__(self, scenario: Scenario, people: int, horizon: int) -> None:
        """Open an empty ledger for episodes of at most ``horizon`` steps."""
        self._scenario, self._horizon = scenario, horizon
        self._events = [i for i, v in enumerate(scenario.variables) if v.kind == "event"]
        self.rewards = np.zeros(people)
        self.costs = np.zeros((len(scenario.costs), people))
        self.terminated = np.zeros(people, bool)
        self.truncated = np.zeros(people, bool)

    @property
    def over(self) -> Flags:
        """Whose episode is over, shape (N,)."""
        return self.terminated | self.truncated

    def add(self, rewards: Floats, costs: Floats, moment: Moment, cut: Flags) -> Flags:
        """Add a step's rewards (N,) and costs (K, N), and return whose episode ended with it, shape (N,).

        Episodes in ``cut`` (N,) are truncated if nothing else ends them.
        """
        self.rewards += rewards
        self.costs += costs
        over = self.over
        event = moment.observed[self._events].any(axis=0)
        out_of_time = moment.t >= self._horizon
        if self._scenario.ending == "end":
            event, out_of_time = event | out_of_time, np.zeros_like(out_of_time)
        self.terminated = np.where(over, self.terminated, event)
        self.truncated = np.where(over, self.truncated, (out_of_time | cut) & ~event)
        return self.over & ~over

    def clear(self, rows: Rows) -> None:
        """Begin anew in ``rows``."""
        self.rewards[rows], self.costs[:, rows] = 0.0, 0.0
        self.terminated[rows] = self.truncated[rows] = False

    def summary(self, moment: Moment) -> Infos:
        """Return sums, lengths and groups of all slots, (N,) by name; they count where episodes end."""
        found: Infos = {"episode_return": self.rewards.copy(), "episode_length": moment.t.copy()}
        for constraint, sums in zip(self._scenario.costs, self.costs, strict=True):
            found[f"cost_return_{constraint.name}"] = sums.copy()
        for name, levels in self._scenario.group_levels.items():
            found[f"group_{name}"] = np.array(levels)[moment.cohort.traits[name].astype(np.intp)]
        return found
