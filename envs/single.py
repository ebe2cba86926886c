"""How does one twin look as an ordinary Gymnasium environment?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
from numpy.typing import ArrayLike

from twingym.envs.actions import Actions
from twingym.envs.autoreset import AutoresetMode
from twingym.envs.enforcement import Flags
from twingym.envs.infos import Infos
from twingym.envs.layout import Observations
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios.scenario import Scenario


class TwinEnv(gymnasium.Env[Observations, Actions]):
    """One twin: :class:`~twingym.envs.vector.TwinVectorEnv` with a single slot.

    The info of an episode's last step adds ``cost_return_<name>``, ``group_<trait>``, ``episode_return`` and
    ``episode_length``.

    Attributes:
        twins: The vector environment behind it.
        scenario: The problem.
        layout: What each column of an observation means.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, scenario: Scenario | str | Path, **settings: Any) -> None:
        """Set up the slot.

        Args:
            scenario: A scenario, its id, or the path of its file.
            **settings: As for ``TwinVectorEnv``: ``dynamics``, ``observation``, ``horizon``, ``people``,
                ``params``, ``weights``, ``render_mode``.
        """
        self.twins = TwinVectorEnv(scenario, 1, autoreset=AutoresetMode.DISABLED, **settings)
        self.scenario, self.layout = self.twins.scenario, self.twins.layout
        self.observation_space = self.twins.single_observation_space
        self.action_space = cast("gymnasium.Space[Actions]", self.twins.single_action_space)
        self.render_mode = self.twins.render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observations, Infos]:
        """Seat a person and begin an episode; ``options`` as for ``TwinVectorEnv``, ``twins`` with one id."""
        observations, infos = self.twins.reset(seed=seed, options=options)
        super().reset(seed=seed)
        return observations[0], _first(infos)

    def step(self, action: ArrayLike) -> tuple[Observations, float, bool, bool, Infos]:
        """Deliver one action and move one step; an episode that is over stands still."""
        observations, rewards, terminated, truncated, infos = self.twins.step(np.asarray(action)[None])
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(infos)

    def render(self) -> Any:
        """Draw the course so far as an RGB array; None without a render mode."""
        frames = self.twins.render()
        return None if frames is None else frames[0]

    def action_masks(self) -> Flags:
        """Return which levels no hard constraint would replace now, shape (levels,)."""
        return cast(Flags, self.twins.action_masks()[0])

    def close(self) -> None:
        """Release what the vector environment holds."""
        self.twins.close()


def _first(infos: Infos) -> Infos:
    """Return the first slot's infos, with those of the episode's end, without a disagreement of NaN."""
    merged = infos.get("final_info", infos)
    found = {name: values[0] for name, values in merged.items() if not name.startswith("_")}
    # A reference has none, and Gymnasium's checker takes a NaN for chance: it does not equal itself.
    if "disagreement" in found and np.isnan(found["disagreement"]):
        del found["disagreement"]
    return found
