"""How many steps of how many people does a CPU second buy, on the twin model and on the reference?"""

from __future__ import annotations

from time import process_time

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.rollout import Visit, play
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.dynamics import Dynamics

BATCHES = (64, 1024)
SECONDS = 1.0  # at least, per world and batch
STEPS = 96  # played before the clock is looked at again


def speed(scenario: Scenario, dynamics: Dynamics) -> dict[str, dict[str, float]]:
    """Let the baseline treat people in an environment, and count.

    Everything that an episode needs is in it: inputs, noise, the policy, reward and costs. Memory is warm: what comes
    before the first full round does not count.

    Args:
        scenario: A scenario with a reference.
        dynamics: The twin model.

    Returns:
        People at a time -> steps of one person per CPU second in ``twin`` and ``reference``, and the ``ratio``.
    """
    found = {}
    for batch in BATCHES:
        rates = {name: _rate(scenario, world, batch) for name, world in _worlds(scenario, dynamics).items()}
        found[str(batch)] = {**rates, "ratio": rates["twin"] / rates["reference"]}
    return found


def _worlds(scenario: Scenario, dynamics: Dynamics) -> dict[str, Dynamics]:
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference whose speed could be compared with.")
    return {"twin": dynamics, "reference": scenario.reference()}


def _rate(scenario: Scenario, world: Dynamics, batch: int) -> float:
    steps = min(STEPS, scenario.judged_horizon)
    policy = RulePolicy(scenario, scenario.baseline)
    visit = Visit(scenario, world, people("test", batch), 0, steps)
    play(policy, visit)
    began, made = process_time(), 0.0
    while (spent := process_time() - began) < SECONDS:
        tally, _ = play(policy, visit)
        made += float(tally.steps.sum())
    return made / spent
