"""Which scenario is being checked, and what has become of its people so far?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from twingym.evaluation.checks.finding import Finding
from twingym.evaluation.episodes import Evaluation
from twingym.evaluation.rollout import Policy
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import WeightsError
from twingym.twins.model import WEIGHTS


@dataclass
class Subject:
    """A scenario that is being checked, and what was found out about it on the way.

    Attributes:
        scenario: The problem.
        policies: Those known beside the rules, by name.
        count: People whom policies are judged on.
        horizon: Steps that they are judged over.
        judged: What each policy did, once somebody asked.
    """

    scenario: Scenario
    policies: Mapping[str, Policy]
    count: int
    horizon: int | None
    judged: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def dynamics(self) -> str | None:
        """What moves the people: the reference, else a twin model, else nothing."""
        if self.scenario.reference is not None:
            return "reference"
        try:
            return "transformer" if (weights_folder(self.scenario) / WEIGHTS).is_file() else None
        except WeightsError:
            return None


Check = Callable[[Subject], Iterator[Finding]]
