"""What may become of this person: their recorded course goes on under several policies, with the same luck?

No weight is changed: the twin model reads the recorded past, step by step, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twingym.envs.dynamics import resolve
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.believed_past import believed_past, checked_errors
from twingym.evaluation.courses import Courses
from twingym.evaluation.episodes import counted
from twingym.evaluation.remembering import remembered
from twingym.evaluation.rollout import Policy, Visit, check_numbers, play
from twingym.scenarios.registry import get
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.table.courses import read_courses
from twingym.twins.courses import Courses as RecordedCourses
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.9  # of intervals over futures


def personalise(
    scenario: Scenario | str | Path,
    history: RecordedCourses | pd.DataFrame | Path | str,
    dynamics: str | Dynamics = "transformer",
    weights: str | Path | None = None,
    error: Mapping[str, float] | None = None,
) -> PersonalTwin:
    """Return twins of people of whom something was recorded.

    Args:
        scenario: A scenario, its id, or the path of its file.
        history: Courses, or a table or CSV file of them; see ``scenarios/table/courses.py``.
        dynamics: ``transformer``, or an object with ``observe``.
        weights: Folder of a twin model; the scenario's own if None.
        error: Standard deviation of a normal error of the readings of variables by name, in their units, on top of what
            their sensors are declared to have; of what has levels the chance that another was read. None: no errors.

    Raises:
        UnknownNameError: If an error is that of no variable that is read.
        SpecError: If something is wrong with the history, it is of nobody, or readings of such people cannot err.
    """
    found = scenario if isinstance(scenario, Scenario) else get(scenario)
    courses = history if isinstance(history, RecordedCourses) else read_courses(found, history)
    if not len(courses):
        raise SpecError("history has 0 people; allowed: the recorded courses of one or more.")
    if error:
        checked_errors(found, error)
    return PersonalTwin(found, courses, resolve(found, dynamics, weights), dict(error or {}))


@dataclass(frozen=True)
class PersonalTwin:
    """N people with a recorded past.

    Attributes:
        scenario: The problem.
        history: What was recorded, N courses.
        dynamics: What goes on from there.
        error: Of the readings in the history; see :func:`personalise`.
    """

    scenario: Scenario
    history: RecordedCourses
    dynamics: Dynamics
    error: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps_left(self) -> int:
        """How long a branch is by default: to the scenario's end where it has one, else a training episode."""
        if self.scenario.ending == "end":
            return self.scenario.judged_horizon - int(self.history.length.max())
        return self.scenario.horizon

    def branch(
        self,
        policies: Mapping[str, Policy] | Sequence[str],
        steps: int | None = None,
        seed: int = 0,
        samples: int = 100,
    ) -> Futures:
        """Let the same people go on under several policies; future number s has the same luck under each.

        Policies with a memory watch the recorded past first, as if they had been there: what a rule then remembers of
        its own doses are those that it would have set. With an ensemble, each future is bound to a head of its own.
        Where readings err, each goes on from a past of its own too, of those that the readings leave possible.

        Args:
            policies: Names of rules, or policies by name.
            steps: How far; see :attr:`steps_left`.
            seed: Of luck, and of inputs that were not recorded.
            samples: Futures of each person.

        Raises:
            UnknownNameError: If there is no such rule.
            SpecError: If there are no policies, or a number is impossible or not whole.
        """
        named = (
            policies
            if isinstance(policies, Mapping)
            else {name: RulePolicy(self.scenario, self.scenario.rule(name)) for name in policies}
        )
        if not named:
            raise SpecError(
                f"policies is empty; allowed: rules, {', '.join(self.scenario.rules)}, or policies by name."
            )
        length = self.steps_left if steps is None else steps
        check_numbers((seed,), steps=length, samples=samples)
        length = int(length)
        if self.scenario.ending == "end" and length > self.steps_left:
            raise SpecError(f"steps is {length}; allowed: 1 to {self.steps_left}, where {self.scenario.id} ends.")
        rows = np.tile(np.arange(len(self.history)), samples)
        luck = np.repeat(np.arange(samples), len(self.history))
        past = self.history.take(rows)
        if any(self.error.values()):
            past = believed_past(self.scenario, self.dynamics, self.history, self.error, samples, seed)
        visit = Visit(self.scenario, self.dynamics, past.ids, seed, length, episode=luck, history=past)
        memories = remembered(named, visit)
        courses, sums = {}, {}
        for name, policy in named.items():
            tally, written = play(policy, visit, record=True, memory=memories[name])
            assert written is not None
            frame = tally.frame()
            frame.insert(0, "future", luck)
            courses[name], sums[name] = written, frame
        return Futures(self, samples, courses, sums)


@dataclass(frozen=True)
class Futures:
    """S futures of each of N people under each policy, people within futures.

    Attributes:
        twin: Whose.
        samples: S.
        courses: By policy: S * N courses from the end of the history on.
        episodes: By policy: what each of them amounted to; see :class:`~twingym.evaluation.episodes.Evaluation`.
    """

    twin: PersonalTwin
    samples: int
    courses: Mapping[str, Courses]
    episodes: Mapping[str, pd.DataFrame]

    def values(self, policy: str, name: str) -> Floats:
        """Return a variable, input or amount under a policy, shape (S, N, steps + 1), or (S, N, steps)."""
        series = self.courses[policy].channels[name].astype(np.float64)
        return series.reshape(self.samples, -1, series.shape[1])

    def bands(self) -> pd.DataFrame:
        """Return the median, 90 % band and share of futures still going on, per policy, person, variable and time."""
        import pandas as pd

        scenario, history = self.twin.scenario, self.twin.history
        frames = []
        for policy, courses in self.courses.items():
            for name in courses.values:
                if not scenario.variable(name).seen_by("twin"):
                    continue  # twins do not know it
                found = self.values(policy, name)  # (S, N, steps + 1)
                going = np.isfinite(found).mean(axis=0)
                spread = np.full((3, *going.shape), np.nan)
                some = going > 0.0
                tail = 0.5 * (1.0 - LEVEL)
                spread[:, some] = np.nanquantile(found[:, some], [tail, 0.5, 1.0 - tail], axis=0)
                times = going.shape[1]
                frames.append(
                    pd.DataFrame(
                        {
                            "policy": policy,
                            "person": np.repeat(history.ids, times),
                            "time": (history.length[:, None] * scenario.dt + courses.time).ravel(),
                            "variable": name,
                            "low": spread[0].ravel(),
                            "median": spread[1].ravel(),
                            "high": spread[2].ravel(),
                            "going_on": going.ravel(),
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Return one row per policy, person and measure: the mean over futures, their 90 % interval, and the limit.

        Limits are for populations; beside one person's numbers they say what is wanted, and are no verdict.
        """
        import pandas as pd

        scenario, history = self.twin.scenario, self.twin.history
        rows = []
        for policy, frame in self.episodes.items():
            measures: dict[tuple[str, str, float], Any] = {("return", "", np.nan): frame["return"]}
            for c in scenario.costs:
                cost = counted(c, frame[f"cost_{c.name}"].to_numpy(), frame["steps"].to_numpy())
                measures[c.name, c.unit, c.risk if c.kind == "chance" else c.limit] = cost
            for m in scenario.metrics:
                measures[m.name, m.unit, np.nan] = frame[m.name]
            for (name, unit, limit), found in measures.items():
                numbers = np.asarray(found, dtype=np.float64).reshape(self.samples, -1)
                if not np.isfinite(numbers).any():
                    continue
                tail = 0.5 * (1.0 - LEVEL)
                low, high = np.nanquantile(numbers, [tail, 1.0 - tail], axis=0)
                for k, person in enumerate(history.ids):
                    row = {"policy": policy, "person": int(person), "measure": name, "unit": unit}
                    row |= {"mean": np.nanmean(numbers[:, k]), "low": low[k], "high": high[k], "limit": limit}
                    rows.append(row)
        return pd.DataFrame(rows)
