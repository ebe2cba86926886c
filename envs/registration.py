"""Which Gymnasium ids does TwinGym make known?"""

from __future__ import annotations

import gymnasium

from twingym.scenarios.plugins import is_id
from twingym.scenarios.registry import watch


def register_all() -> None:
    """Register ``twingym/<id>`` with Gymnasium for every scenario there is, and for those made known later.

    No scenario is imported, and calling it again changes nothing. There is no ``max_episode_steps``: the envs
    know their own horizon, and whether reaching it is the end.
    """
    watch(register_env)


def register_env(name: str) -> None:
    """Register the Gymnasium id of the scenario ``name``, unless it is there already or the name is no id."""
    env_id = f"twingym/{name}"
    if is_id(name) and env_id not in gymnasium.registry:
        gymnasium.register(
            id=env_id,
            entry_point="twingym.envs.single:TwinEnv",
            vector_entry_point="twingym.envs.vector:TwinVectorEnv",
            kwargs={"scenario": name},
        )
