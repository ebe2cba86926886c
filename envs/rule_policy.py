"""How does a rule baseline act through the interface of a trained policy?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twingym.envs.actions import ActionMap, Actions
from twingym.envs.layout import Observation, ObservationLayout
from twingym.scenarios.rule import Rule
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Cohort
from twingym.twins.errors import CohortError, SpecError
from twingym.twins.scales import Floats

Memory = tuple[NDArray[np.float64], ...]
# One number for everybody, one per slot (N,), or one per person by id.
Setting = float | Floats | Mapping[int, float]


class RulePolicy:
    """A rule of a scenario with SB3's ``predict``.

    It sees what any policy sees: the observation, decoded to physical units. What it remembers between steps
    travels in ``state``, so that one object may serve several batches at once.

    Attributes:
        rule: The rule, with the settings in force.
        name: What the scenario calls it.
    """

    def __init__(
        self,
        scenario: Scenario,
        rule: Rule | str,
        settings: Mapping[str, Setting] | None = None,
        observation: Observation = "scaled",
    ) -> None:
        """Make a policy of a rule.

        Args:
            scenario: Declares observations and interventions.
            rule: A rule or its name.
            settings: Constants to change: a number, one per slot, or a mapping from person's id to number,
                which needs :meth:`meet` before each episode.
            observation: Kind of observations it will be given.

        Raises:
            UnknownNameError: If there is no such rule or setting.
            SpecError: If the rule has settings of each person's own, and they are not given.
        """
        self.rule = scenario.rule(rule) if isinstance(rule, str) else rule
        self.name = _name(scenario, self.rule)
        self._by_id = {name: s for name, s in (settings or {}).items() if isinstance(s, Mapping)}
        shared = {name: s for name, s in (settings or {}).items() if not isinstance(s, Mapping)}
        self.rule = self.rule.with_settings(**shared, **dict.fromkeys(self._by_id, float("nan")))
        own = [name for name in self.rule.grid if name in self._by_id or np.ndim(self.rule.settings.get(name, 0.0)) > 0]
        if self.rule.per_person and not own:
            raise SpecError(
                f"rule {self.name!r} has {', '.join(self.rule.grid)} of each person's own, which are not given. Find "
                f"them with twingym.evaluation.tune(scenario, {self.name!r}, ids)."
            )
        self._layout = ObservationLayout(scenario, observation)
        self._actions = ActionMap(scenario)

    def meet(self, cohort: Cohort) -> None:
        """Look up the settings of the people who will sit in the slots; called before an episode.

        Raises:
            CohortError: If a setting is not known for one of them.
        """
        found = {}
        for name, numbers in self._by_id.items():
            missing = [int(i) for i in cohort.ids if int(i) not in numbers]
            if missing:
                raise CohortError(
                    f"setting {name!r} is unknown for twin {missing[0]} and {len(missing) - 1} more; tune it."
                )
            found[name] = np.array([numbers[int(i)] for i in cohort.ids])
        self.rule = self.rule.with_settings(**found)

    def predict(
        self,
        observation: ArrayLike,
        state: Memory | None = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = True,
    ) -> tuple[Actions, Memory | None]:
        """Choose actions for observations (N, D), or one action for one observation (D,).

        Args:
            observation: What the policy sees.
            state: What the last call returned; None at the start.
            episode_start: Whose memory is to be cleared, shape (N,).
            deterministic: Rules are, always.

        Returns:
            Actions (N, ...), and the memory to hand to the next call.
        """
        rows = np.atleast_2d(np.asarray(observation, dtype=np.float32))
        now = self._layout.decode(rows)
        memory = self._recall(state, episode_start, len(rows))
        amounts = self.rule.act(now, memory, self.rule.settings)
        columns = [
            np.broadcast_to(np.asarray(amounts[name], dtype=np.float64), (len(rows),)) for name in self._actions.names
        ]
        actions = self._actions.to_actions(np.stack(columns, axis=1), now)
        single = np.ndim(observation) == 1
        return (actions[0] if single else actions), tuple(memory[name] for name in self.rule.memory) or None

    def _recall(self, state: Memory | None, episode_start: ArrayLike | None, people: int) -> dict[str, Floats]:
        if state is None:
            return {name: np.zeros(people) for name in self.rule.memory}
        fresh = (
            np.zeros(people, bool)
            if episode_start is None
            else np.broadcast_to(np.asarray(episode_start, bool), (people,))
        )
        return {name: np.where(fresh, 0.0, kept) for name, kept in zip(self.rule.memory, state, strict=True)}


def _name(scenario: Scenario, rule: Rule) -> str:
    """Return what the scenario calls a rule, whatever its settings; two of its rules may act alike."""
    alike = (n for n, known in scenario.rules.items() if (known.act, known.per_person) == (rule.act, rule.per_person))
    return next(alike, "rule")
