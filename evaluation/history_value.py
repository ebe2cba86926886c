"""Is the rest of a recorded course known better once its beginning was read, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twingym.envs.actions import ActionMap, Actions
from twingym.envs.history import past_inputs
from twingym.envs.layout import ObservationLayout
from twingym.evaluation.fidelity.scores import crps
from twingym.evaluation.personal import personalise
from twingym.scenarios.inputs import Inputs
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Cohort, Ids
from twingym.twins.courses import Courses as RecordedCourses
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import pandas as pd


class Repeat:
    """Gives again what was given in recorded courses, step by step from a step on; nothing reacts to anything."""

    def __init__(self, scenario: Scenario, delivered: Floats) -> None:
        """Prepare to give ``delivered`` (N, steps, A)."""
        self._map, self._layout, self._delivered = ActionMap(scenario), ObservationLayout(scenario), delivered
        self._t = 0

    def meet(self, cohort: Cohort) -> None:
        """Begin with the first step again."""
        self._t = 0

    def predict(
        self, observation: Floats, state: object = None, episode_start: object = None, deterministic: bool = True
    ) -> tuple[Actions, None]:
        """Return the actions of this step; the next call is the next step."""
        now = self._layout.decode(np.asarray(observation, dtype=np.float32))
        amounts = np.tile(self._delivered[:, self._t], (len(observation) // len(self._delivered), 1))
        self._t += 1
        return self._map.to_actions(amounts, now), None


@dataclass(frozen=True)
class RecordedInputs:
    """Inputs as they were recorded, to the end of the courses; where nothing was, as they are drawn.

    Attributes:
        courses: N courses.
        drawn: How the scenario draws inputs.
    """

    courses: RecordedCourses
    drawn: Inputs

    def __call__(self, cohort: Cohort, seed: int, episode: Ids, steps: int) -> Floats:
        """Return inputs of the N people, as often as they are asked for; see the protocol ``Inputs``."""
        rows = np.arange(len(cohort)) % len(self.courses)
        return past_inputs(self.courses, rows, self.drawn(cohort, seed, episode, steps))


def error_by_history(
    scenario: Scenario,
    courses: RecordedCourses,
    lengths: Sequence[int],
    since: int,
    variable: str,
    dynamics: str | Dynamics = "transformer",
    samples: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how well the rest of people's courses is forecast, by how much of their past the twin has read.

    The rest is the sum of a variable after step ``since``, the same for every length; what was given is given again,
    and inputs (meals, say) are those that were recorded. Times without a reading count in neither sum, and futures that
    end early do not count.

    Args:
        scenario: Whose people.
        courses: N recorded courses of held-out people, all of the same length.
        lengths: Steps of the past that are read, none beyond ``since``.
        since: Step after which the sum begins.
        variable: What is summed; a tracked variable.
        dynamics: What goes on from the past.
        samples: Futures per person.
        seed: Of their luck, and of inputs that were not recorded.

    Returns:
        A row per length: ``crps`` of the sum, and ``error`` of its mean forecast (root mean square), in its unit, and
        of how many ``people``.

    Raises:
        UnknownNameError: If there is no such tracked variable.
        SpecError: If a number is impossible, the courses differ in length, or nothing is left to compare.
    """
    import pandas as pd

    tracked = [v.name for v in scenario.variables if v.track and v.seen_by("twin")]
    if variable not in tracked:
        raise unknown("tracked variable", variable, tracked)
    steps = courses.delivered.shape[1]
    if (courses.length != steps).any():
        short = int(courses.length.min())
        raise SpecError(
            f"courses last {short} to {steps} steps; allowed: all of the same length. Leave out whose course ended, or "
            "cut all to the shortest."
        )
    if since % 1 or not 0 <= since < steps:
        raise SpecError(f"since is step {since}; allowed: 0 to {steps - 1}, so that something of the course is left.")
    if not len(lengths) or any(n % 1 or not 0 <= n <= since for n in lengths):
        raise SpecError(f"lengths are {list(lengths)}; allowed: one or more whole numbers from 0 to since, {since}.")
    column = [v.name for v in scenario.variables].index(variable)
    rest = courses.observed[:, since + 1 :, column]  # (N, steps - since)
    read = np.isfinite(rest)
    truth = np.where(read, rest, 0.0).sum(axis=1)  # (N,)
    rows = []
    for length in map(int, lengths):
        past = replace(courses, length=np.full(len(courses), length))
        twin = personalise(scenario, past, dynamics)
        if scenario.draw_inputs is not None:
            inputs = RecordedInputs(courses, scenario.draw_inputs)
            twin = replace(twin, scenario=replace(scenario, draw_inputs=inputs))
        again = {"again": Repeat(scenario, courses.delivered[:, length:])}
        found = twin.branch(again, steps - length, seed, samples).values("again", variable)[:, :, since - length + 1 :]
        sums = np.where(read, found, 0.0).sum(axis=2)  # (S, N)
        told = read.any(axis=1) & np.isfinite(sums).any(axis=0)
        if not told.any():
            raise SpecError(
                f"nobody has both a reading of {variable!r} after step {since} and a future that lasts so long; "
                "allowed: at least one of the people."
            )
        sums, known = sums[:, told], truth[told]
        error = np.sqrt(np.mean((np.nanmean(sums, axis=0) - known) ** 2))
        rows.append({"length": length, "crps": crps(sums, known).mean(), "error": error, "people": told.sum()})
    return pd.DataFrame(rows)
