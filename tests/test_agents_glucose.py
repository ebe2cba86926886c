"""Does PPO that learned on glucose twins dose better than basal-bolus on the reference, and as safely?"""

from __future__ import annotations

import pytest

from twingym.agents.trainer import train
from twingym.evaluation import evaluate, tune
from twingym.evaluation.rollout import Policy
from twingym.scenarios import get
from twingym.twins import people


@pytest.mark.slow
def test_ppo_from_twins_beats_basal_bolus_on_the_reference() -> None:
    scenario = get("Glucose-v0")
    judged = people("test", 100)

    def measured(policy: Policy) -> tuple[float, float]:
        found = evaluate(policy, scenario, judged, horizon=7 * scenario.horizon)
        return float(found.episodes["time_in_range"].mean()), float(found.measure("below_70").mean())

    shared = measured(tune(scenario, "basal_bolus", people("validation", 60)))
    own = measured(tune(scenario, "basal_bolus_tuned", judged))
    # One seed with half its steps; benchmarks/policies.py has three with all, and tests/test_benchmarks.py the bars.
    time_in_range, below_70 = measured(train(scenario, n_timesteps=4_000_000).policy)
    assert below_70 <= 0.04
    assert time_in_range >= shared[0] + 0.08
    assert time_in_range >= own[0] + 0.03
