"""How much more does the agent earn than a rule would have earned from the same person with the same luck?"""

from __future__ import annotations

from typing import cast

import numpy as np
from gymnasium.spaces import Box
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from twingym.agents.paired_policy import with_double
from twingym.envs.layout import Observations
from twingym.envs.rule_policy import Memory, RulePolicy
from twingym.envs.sb3 import SB3VecEnv
from twingym.envs.vector import TwinVectorEnv
from twingym.twins.errors import SpecError


class PairedReward(VecEnvWrapper):
    """Subtracts from each reward what a rule earns at that step from a double of the person.

    The double meets the same inputs and the same noise but follows the rule, so its reward does not depend on the
    agent's actions: subtracting it changes every policy's expected return by the same amount and the policy gradient
    not at all, and takes away the luck that both share. Where people differ much more than actions matter (one
    customer spends a thousand dollars, a message is worth ten cents), this is what makes learning possible. Infos,
    episode returns and costs stay those of the agent itself.

    Source: an input-dependent baseline (Mao et al. 2019, "Variance reduction for reinforcement learning in input-driven
    environments", ICLR) with common random numbers.
    """

    def __init__(self, venv: SB3VecEnv, doubles: TwinVectorEnv, rule: str, *, shown: bool = False) -> None:
        """Seat a double beside everybody.

        Args:
            venv: The twins.
            doubles: An environment made with the same arguments.
            rule: Name of the rule that the doubles follow.
            shown: Whether observations are (N, 2 D), with the double's beside the person's.

        Raises:
            UnknownNameError: If there is no such rule.
            SpecError: If an event can end an episode: the double's would then not last as long.
        """
        own = cast("Box", venv.observation_space)
        super().__init__(venv, observation_space=with_double(own) if shown else own)
        twins = venv.twins
        events = [v.name for v in twins.scenario.variables if v.kind == "event"]
        if events:
            raise SpecError(
                f"paired_with is {rule!r} on scenario {twins.scenario.id!r}, whose episodes can end early by "
                f"{events[0]!r}; allowed: scenarios without event variables. Remove paired_with."
            )
        self._twins, self._doubles = twins, doubles
        self._policy = RulePolicy(twins.scenario, rule)
        self._memory: Memory | None = None
        self._shown, self._seen = shown, np.empty(0, np.float32)
        self._begins = np.ones(twins.num_envs, bool)

    def reset(self) -> VecEnvObs:
        """Begin new episodes of everybody and of their doubles."""
        observations = self.venv.reset()
        # Who comes next is a function of seed, slot and episode: the doubles stay the same people ever after.
        self._seen, _ = self._doubles.reset(seed=self._twins.noise_seed, options={"episode": self._twins.episode})
        self._memory, self._begins = None, np.ones(self.num_envs, bool)
        return self._beside(observations)

    def step_wait(self) -> VecEnvStepReturn:
        """Move everybody and their doubles one step."""
        observations, rewards, done, infos = self.venv.step_wait()
        actions, self._memory = self._policy.predict(self._seen, self._memory, self._begins)
        self._doubles.cut(done)  # an episode that doubt has cut ends for both
        self._seen, others, terminated, truncated, told = self._doubles.step(actions)
        self._begins = terminated | truncated
        if self._shown:
            for slot in np.flatnonzero(done):
                last = infos[slot]["terminal_observation"], told["final_obs"][slot]
                infos[slot]["terminal_observation"] = np.concatenate(last)
        return self._beside(observations), rewards - others.astype(np.float32), done, infos

    def _beside(self, observations: VecEnvObs) -> VecEnvObs:
        return np.concatenate([cast("Observations", observations), self._seen], axis=1) if self._shown else observations
