"""Is the learned dynamics as good a citizen of the envs as the reference? An untrained network says as much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_sb3_env

from twingym.envs import RulePolicy, TwinEnv, TwinVectorEnv
from twingym.scenarios import get
from twingym.twins import TwinModel
from twingym.twins.cohort import people
from twingym.twins.network import TwinNetwork
from twingym.twins.transformer_config import TransformerConfig

GLUCOSE = get("Glucose-v0")
NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
SMALL = TransformerConfig(width=16, layers=2, attention_heads=2, head_width=8, ensemble=3, ensemble_width=8)
SCENARIOS = [pytest.param(GLUCOSE, id="Glucose"), pytest.param(NUDGE, id="Nudge")]


def model(scenario) -> TwinModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL), {})


@pytest.mark.filterwarnings("ignore:.*not able to test alternative render modes.*:UserWarning")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_checkers_are_content(scenario) -> None:
    env = TwinEnv(scenario, dynamics=model(scenario).dynamics(), render_mode="rgb_array")
    check_env(env, skip_render_check=True)
    check_sb3_env(env)
    assert env.render().ndim == 3


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_courses_do_not_depend_on_company_and_disagreement_is_told(scenario) -> None:
    ids, policy = people("test", 20), RulePolicy(scenario, scenario.baseline)

    def live(order):
        env = TwinVectorEnv(scenario, len(order), dynamics=model(scenario).dynamics(), autoreset="disabled")
        observations, _ = env.reset(seed=1, options={"twins": order})
        said = []
        for _ in range(10):
            observations, rewards, *_, infos = env.step(policy.predict(observations)[0])
            said.append(np.column_stack([observations, rewards, infos["costs"], infos["disagreement"]]))
        return dict(zip(order.tolist(), np.stack(said, axis=1), strict=True))

    whole = live(ids)
    for shard in (ids[5:6], ids[[9, 3, 12]]):
        for twin, course in live(shard).items():
            np.testing.assert_array_equal(course[:, :-1], whole[twin][:, :-1])
            # The spread of the heads' means is rounded by torch in another order at the end of a batch.
            np.testing.assert_allclose(course[:, -1], whole[twin][:, -1], rtol=1e-5)
    assert all(np.isfinite(course).all() for course in whole.values())
    assert any((course[:, -1] > 0).all() for course in whole.values())


def test_weights_are_found_by_folder(tmp_path) -> None:
    model(NUDGE).save(tmp_path)
    env = TwinVectorEnv(NUDGE, 3, weights=tmp_path)
    env.reset(seed=0)
    *_, infos = env.step(np.zeros(3, int))
    assert np.isfinite(infos["disagreement"]).all()
    assert np.isnan(env.audit_values()["luck"]).all()
