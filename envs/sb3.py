"""How do many twins look to Stable-Baselines3?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from twingym.envs.autoreset import AutoresetMode
from twingym.envs.infos import Infos
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats

# Up to here a dictionary per person and step costs little.
FULL_UP_TO = 64


class SB3VecEnv(VecEnv):
    """N twins as one SB3 ``VecEnv``, without a loop over twins.

    Attributes:
        twins: The vector environment behind it.
        last_costs: Costs of the last step, shape (N, K), in the order of ``scenario.costs``.
        last_infos: Infos of the last step as arrays by name.
    """

    def __init__(
        self,
        scenario: Scenario | str | Path | TwinVectorEnv,
        num_envs: int = 1,
        *,
        infos: Literal["full", "terminal"] | None = None,
        **settings: Any,
    ) -> None:
        """Set up N twins, or adapt those of a vector environment.

        Args:
            scenario: A scenario, its id or file; or a ``TwinVectorEnv`` with ``autoreset="same_step"``.
            num_envs: Number of twins.
            infos: ``full``: a dictionary of everything per twin and step; ``terminal``: only where an episode
                ended. By default full up to 64 twins.
            **settings: As for ``TwinVectorEnv``.

        Raises:
            SpecError: If the vector environment does not reset in the same step.
        """
        if infos not in (None, "full", "terminal"):
            raise unknown("infos", infos, ("full", "terminal"))
        self.twins = scenario if isinstance(scenario, TwinVectorEnv) else TwinVectorEnv(scenario, num_envs, **settings)
        if self.twins.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise SpecError(f"autoreset is {self.twins.metadata['autoreset_mode']}; allowed for SB3: 'same_step'.")
        super().__init__(self.twins.num_envs, self.twins.single_observation_space, self.twins.single_action_space)
        self._full = infos == "full" or (infos is None and self.num_envs <= FULL_UP_TO)
        self._actions: NDArray[Any] = np.empty(0)
        self._begun = time.time()
        self.last_costs: Floats = np.zeros((self.num_envs, len(self.twins.scenario.costs)))
        self.last_infos: Infos = {}

    # -- stepping --------------------------------------------------------------------------------------------

    def reset(self) -> VecEnvObs:
        """Begin new episodes; what ``seed`` and ``set_options`` were given holds for this reset.

        Raises:
            SpecError: If options differ between slots.
        """
        if any(options != self._options[0] for options in self._options):
            raise SpecError(
                "options differ between slots; give set_options one dictionary, with 'twins' an id per slot."
            )
        observations, infos = self.twins.reset(seed=self._seeds[0], options=self._options[0] or None)
        self.reset_infos = _rows(infos, range(self.num_envs))
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Move everybody one step; where an episode ends another begins, infos have the last observation."""
        observations, rewards, terminated, truncated, infos = self.twins.step(self._actions)
        self.last_costs, self.last_infos = infos["costs"], infos
        done = terminated | truncated
        listed = _rows(infos, range(self.num_envs)) if self._full else [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(done)
        if len(ended):
            for row, last in zip(ended, _rows(infos["final_info"], ended), strict=True):
                last["terminal_observation"] = infos["final_obs"][row]
                last["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
                last["episode"] = {
                    "r": last["episode_return"],
                    "l": last["episode_length"],
                    "t": round(time.time() - self._begun, 6),
                }
                listed[row] = last
        return observations, rewards.astype(np.float32), done, listed

    def close(self) -> None:
        """Release what the vector environment holds."""
        self.twins.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Draw everybody's course so far."""
        return list(self.twins.render() or ())

    # -- attributes ------------------------------------------------------------------------------------------
    # One object stands for all slots: what it holds per slot is handed out by row, anything else to each.

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the twins for each of ``indices``."""
        return self._by_slot(getattr(self.twins, attr_name), indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of all twins at once.

        Raises:
            SpecError: If only some are meant.
        """
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise SpecError(f"set_attr({attr_name!r}) is for slots {indices}; allowed: all, which share attributes.")
        setattr(self.twins, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the twins once, and return its result for each of ``indices``."""
        return self._by_slot(getattr(self.twins, method_name)(*method_args, **method_kwargs), indices)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return that no slot is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _by_slot(self, value: Any, indices: VecEnvIndices) -> list[Any]:
        per_slot = isinstance(value, np.ndarray | tuple) and len(np.shape(value)) > 0 and len(value) == self.num_envs
        return [value[i] if per_slot else value for i in self._get_indices(indices)]


def _rows(infos: Infos, rows: Iterable[int]) -> list[dict[str, Any]]:
    """Return a dictionary per row of ``infos``, arrays by name."""
    index = np.fromiter(rows, dtype=np.intp)
    names = [name for name in infos if not name.startswith("_") and name not in ("final_info", "final_obs")]
    columns = [infos[name][index].tolist() if infos[name].ndim == 1 else list(infos[name][index]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
