"""How are people treated in the courses from which a twin model learns?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import ArrayLike
from scipy.special import ndtri

from twingym.envs.actions import Actions
from twingym.envs.enforcement import Flags
from twingym.envs.exploration import AmountLaw, LevelLaw, Modes
from twingym.envs.layout import Observations
from twingym.envs.rule_policy import RulePolicy
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios.mixture import Mixture
from twingym.scenarios.registry import get
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids, checked_ids
from twingym.twins.courses import Courses
from twingym.twins.dynamics import Dynamics
from twingym.twins.noise import Stream, uniforms
from twingym.twins.scales import Floats

SETTING_SPREAD = 0.5  # log standard deviation of a rule's settings between people
MOST_AT_ONCE = 1024  # people per batch; more would not fit the processor's cache


def collect(
    scenario: Scenario | str | Path,
    ids: ArrayLike,
    seed: int,
    *,
    horizon: int | None = None,
    dynamics: str | Dynamics = "reference",
    behaviour: Mapping[str, float] | None = None,
    mixture: Mixture | None = None,
) -> Courses:
    """Treat people by a declared mixture of behaviours and record their courses.

    Each person gets a rule of the scenario (by the weights of ``behaviour``) with settings of their own
    (each number times exp(N(0, 0.5))) and one mode of the mixture. All of it, and what is drawn at each step, is a
    function of seed and id.

    Args:
        scenario: A scenario, its id or file.
        ids: People, shape (N,).
        seed: Experiment seed.
        horizon: Steps; the scenario's if None.
        dynamics: What moves them.
        behaviour: Weights of rules by name; the scenario's if None.
        mixture: Shares of the modes; the scenario's if None.

    Returns:
        Courses with the log propensity of what was delivered, given the person's mode, rule and settings and
        all that went before: a log density per unit of the policy's scale [-1, 1], or a log probability where
        the law has an atom (levels, both ends of the scale, a dose that is held). NaN where a hard
        constraint changed an amount (levels: the log probability of all levels that it replaces by the
        delivered one). After the end: observations and propensities NaN, deliveries 0, inputs as they last
        were.

    Raises:
        UnknownNameError: If a rule is unknown.
        CohortError: If ids are impossible.
    """
    found = scenario if isinstance(scenario, Scenario) else get(scenario)
    wanted = checked_ids(ids)
    chosen, weights = mixture or found.mixture, dict(behaviour or found.behaviour)
    parts = [
        _collect(found, wanted[i : i + MOST_AT_ONCE], seed, horizon, dynamics, weights, chosen)
        for i in range(0, len(wanted), MOST_AT_ONCE)
    ]
    return Courses(
        np.concatenate([p.ids for p in parts]),
        {name: np.concatenate([p.traits[name] for p in parts]) for name in parts[0].traits},
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("observed", "delivered", "inputs", "propensity", "length")
        ),
    )


def _collect(
    scenario: Scenario,
    ids: Ids,
    seed: int,
    horizon: int | None,
    dynamics: str | Dynamics,
    behaviour: dict[str, float],
    mixture: Mixture,
) -> Courses:
    env = TwinVectorEnv(scenario, len(ids), dynamics=dynamics, horizon=horizon, autoreset="disabled")
    observations, _ = env.reset(seed=seed, options={"twins": ids})
    treatment = _Treatment(env, seed, behaviour, mixture)
    discrete = isinstance(env.single_action_space, Discrete)
    steps, width = env.horizon, len(scenario.interventions)
    observed = np.full((len(ids), steps + 1, len(scenario.variables)), np.nan)
    inputs = np.zeros((len(ids), steps + 1, len(scenario.inputs)))
    delivered = np.zeros((len(ids), steps, width))
    propensity = np.full((len(ids), steps), np.nan)
    observed[:, 0], inputs[:, 0] = env.observed, env.inputs
    for t in range(steps):
        live = np.flatnonzero(~env.over)
        if len(live) == 0:
            inputs[:, t + 1 :] = env.inputs[:, None]
            break
        actions, chance = treatment.choose(observations, t)
        observations, *_, infos = env.step(actions)
        delivered[live, t] = infos["delivered"][live]
        propensity[live, t] = chance[live]
        if not discrete:
            propensity[infos["shielded"], t] = np.nan
        observed[live, t + 1], inputs[:, t + 1] = env.observed[live], env.inputs
    return Courses(env.cohort.ids, dict(env.cohort.traits), observed, delivered, inputs, propensity, env.t.copy())


class _Treatment:
    """What each of N people gets at each step."""

    def __init__(self, env: TwinVectorEnv, seed: int, behaviour: Mapping[str, float], mixture: Mixture) -> None:
        scenario, ids = env.scenario, env.cohort.ids
        rules = {name: scenario.rule(name) for name in behaviour}
        settings = max(len(rule.settings) for rule in rules.values())
        self._env, self._seed = env, seed
        # The person's draws are those of step 0; the steps' own begin at 1.
        person = uniforms(seed, ids, 0, Stream.POLICY, 0, 2 + settings + AmountLaw.per_person)
        mode = _choice(person[:, 0], mixture.shares)
        self._mine = _choice(person[:, 1], tuple(behaviour.values()))
        self._rows = np.arange(len(ids))
        factor = np.exp(SETTING_SPREAD * ndtri(person[:, 2 : 2 + settings]))
        self._policies = [
            RulePolicy(
                scenario,
                rule,
                {name: value * factor[:, i] for i, (name, value) in enumerate(rule.settings.items())},
            )
            for rule in rules.values()
        ]
        self._states: list[tuple[Floats, ...] | None] = [None] * len(self._policies)
        own = person[:, 2 + settings :]
        self._law: AmountLaw | LevelLaw
        if env.action_map.categorical:
            self._law = LevelLaw(mode, own, tuple(len(i.levels) for i in scenario.interventions))
        else:
            usual, _ = RulePolicy(scenario, scenario.baseline).predict(env.layout.encode(env.values()))
            self._law = AmountLaw(mode, own, usual.astype(np.float64))
        self._announced = [v.name for v in scenario.inputs if v.seen_by("policy")]

    def choose(self, observations: Observations, t: int) -> tuple[Actions, Floats]:
        """Return actions (N, ...) and the log propensity of what will be delivered (N,)."""
        proposals = []
        for number, policy in enumerate(self._policies):
            actions, self._states[number] = policy.predict(observations, self._states[number])
            proposals.append(actions.reshape(len(self._rows), -1))
        proposed = np.stack(proposals)[self._mine, self._rows].astype(np.float64)
        people, width = proposed.shape
        u = uniforms(self._seed, self._env.cohort.ids, 0, Stream.POLICY, t + 1, self._law.per_step * width)
        if isinstance(self._law, AmountLaw):
            return self._law.draw(proposed, self._eventful(), u.reshape(people, width, -1))
        chances = self._law.chances(proposed)
        levels = self._law.draw(chances, u)
        if width > 1:
            return levels, np.log([p[self._rows, c] for p, c in zip(chances, levels.T, strict=True)]).sum(axis=0)
        chosen = levels[:, 0]
        permitted = self._env.permitted_levels()
        same = permitted == permitted[self._rows, chosen][:, None]
        return chosen, np.log(np.minimum((chances[0] * same).sum(axis=1), 1.0))

    def _eventful(self) -> Flags:
        """Return for whom an input that policies see is in force, shape (N,)."""
        now = self._env.values()
        return (
            np.any([now[name] != 0.0 for name in self._announced], axis=0)
            if self._announced
            else np.zeros(len(self._rows), bool)
        )


def _choice(u: Floats, weights: tuple[float, ...]) -> Modes:
    """Return which of the weighted alternatives each uniform (N,) picks."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.searchsorted(edges[:-1], u, side="right")
