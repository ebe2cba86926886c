"""Are both checkers of environments content, and do reward and costs return what they must?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

from twingym.envs.single import TwinEnv
from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation.checks.finding import Finding, of_error
from twingym.evaluation.checks.subject import Subject
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step
from twingym.twins.scales import Floats

SLOTS, STEPS = 64, 24  # of the trial of rewards and costs


def env_checks(subject: Subject) -> Iterator[Finding]:
    """Ask Gymnasium's checker and Stable-Baselines3's, and look at rewards and costs."""
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_sb3_env

    s, dynamics = subject.scenario, subject.dynamics
    checkers: dict[str, Callable[[Any], None]] = {"Gymnasium": check_env, "Stable-Baselines3": check_sb3_env}
    for who, checker in checkers.items():
        for observation in ("scaled", "raw"):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                try:
                    checker(_env(s, dynamics=dynamics, observation=observation))
                except Exception as error:
                    yield of_error(f"{who}'s checker on {observation} observations", error)
            for warning in {str(each.message) for each in said}:
                yield Finding(f"{who}'s checker on {observation} observations", warning, "no warning", "Mend that.")
    yield from _numbers(subject)


def _env(scenario: Scenario, **settings: Any) -> gymnasium.Env[Any, Any]:
    """Return the env as registered; for a scenario that is not, one of its own."""
    if scenario.id in registry.names() and registry.get(scenario.id) is scenario:
        return gymnasium.make(scenario.env_id, **settings).unwrapped
    return TwinEnv(scenario, **settings)


def _numbers(subject: Subject) -> Iterator[Finding]:
    """Take steps at random and look at what the functions of a step return."""
    s = subject.scenario
    envs = TwinVectorEnv(s, SLOTS, dynamics=subject.dynamics or "", people="test")
    envs.reset(seed=0)
    envs.action_space.seed(0)
    told: set[str] = set()
    for _ in range(min(STEPS, s.horizon)):
        try:
            envs.step(envs.action_space.sample())
            failed = None
        except Exception as error:
            failed = error
        for finding in _of_step(s, envs.last_step, envs.audit_step):
            if finding.what not in told:
                told.add(finding.what)
                yield finding
        if failed is not None:
            if not told:
                raise failed
            return


def _of_step(s: Scenario, step: Step | None, audit: Step | None) -> Iterator[Finding]:
    if step is None or audit is None:
        return
    functions: dict[str, tuple[Callable[[Step], Floats], Step, float]] = {"reward": (s.reward, step, -np.inf)}
    functions |= {f"cost {c.name}": (c.cost, step, 0.0) for c in s.costs if c.cost is not None}
    functions |= {f"metric {m.name}": (m.value, audit, -np.inf) for m in s.metrics}
    functions |= {name: (f, step, 0.0) for name, f in (("need", s.need), ("benefit", s.benefit)) if f is not None}
    for name, (function, at, least) in functions.items():
        try:
            values = np.asarray(function(at), dtype=np.float64)
        except Exception as error:
            yield of_error(
                name, error, "A function of a step reads step.before, step.delivered and step.after by name."
            )
            continue
        if values.shape != (SLOTS,):
            yield Finding(name, f"an array of {values.shape}", f"({SLOTS},), one per person", "Compute it from arrays.")
        elif not np.isfinite(values).all() and not name.startswith("metric"):
            yield Finding(name, f"{values[~np.isfinite(values)][0]}", "finite numbers", "Look for a division by zero.")
        elif (values < least).any():
            yield Finding(name, f"{values.min():g}", "0 or more", "Take its positive part; gains belong in the reward.")
