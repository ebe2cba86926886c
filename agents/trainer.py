"""How does an agent learn on twins: environment, normaliser, model, callbacks, and where to go on after a stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from twingym.agents.algorithms import algorithm
from twingym.agents.callbacks import Checkpoints, ConstraintLog, ProgressBar
from twingym.agents.hyperparameters import NO_DOUBT, Hyperparameters, hyperparameters
from twingym.agents.paired import PairedReward
from twingym.agents.paired_policy import PairedPolicy
from twingym.agents.policy import TrainedPolicy, latest_checkpoint, load_model, load_normaliser
from twingym.envs.actions import ActionMap
from twingym.envs.doubt import Doubt
from twingym.envs.doubt_scale import calibrated
from twingym.envs.dynamics import resolve
from twingym.envs.readings import Readings
from twingym.envs.sb3 import SB3VecEnv
from twingym.envs.vector import TwinVectorEnv
from twingym.scenarios.recorded import check_varied
from twingym.scenarios.scenario import Scenario
from twingym.twins.dynamics import Dynamics, Uncertain
from twingym.twins.errors import SpecError, WeightsError

# Checkpoints of one training; also what fidelity tests take as snapshots of a policy on its way.
CHECKPOINTS = 10


@dataclass(frozen=True)
class Training:
    """What came out of a training.

    Attributes:
        policy: The agent as it stands.
        settings: What it learned with.
        finished: Whether all steps were made; False after Ctrl-C.
        checkpoint: Where the last state was saved; None without a folder.
        doubt: What was done where the heads of the twin model disagreed, on which scale; None for nothing.
    """

    policy: TrainedPolicy
    settings: Hyperparameters
    finished: bool
    checkpoint: Path | None
    doubt: Doubt | None = None


def train(
    scenario: Scenario,
    algo: str = "ppo",
    *,
    dynamics: str | Dynamics = "transformer",
    seed: int = 0,
    n_timesteps: int | None = None,
    n_envs: int | None = None,
    changes: Mapping[str, Any] | None = None,
    weights: Path | None = None,
    device: str = "cpu",
    folder: Path | None = None,
    tensorboard: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[BaseCallback] = (),
    progress: bool = False,
    readings: Readings | None = None,
) -> Training:
    """Train an agent on a scenario's people of the split ``train``.

    Ctrl-C saves a checkpoint and returns what there is, with ``finished`` False. A resumed training goes on with the
    model, its optimiser, normaliser and schedules; it meets other people than before, as a training that was not
    stopped would. A replay buffer is not kept: it fills again.

    Args:
        scenario: The problem.
        algo: ``ppo`` or ``dqn``.
        dynamics: ``transformer``, ``reference``, or an object.
        seed: Of the policy's initial weights, its exploration and the people.
        n_timesteps: Steps over all twins; the YAML's if None.
        n_envs: Twins in parallel; the YAML's if None.
        changes: Hyperparameters to change.
        weights: Folder of a twin model other than the scenario's own.
        device: Torch device of the agent.
        folder: Where checkpoints are kept; None for none.
        tensorboard: Folder of the event file; None for none.
        resume: Whether to go on from the newest checkpoint in ``folder``.
        callbacks: Further SB3 callbacks.
        progress: Whether to show a bar.
        readings: How readings reach the agent; None: at once, all and without further error.

    Raises:
        UnknownNameError: If an algorithm, hyperparameter or dynamics is unknown; suggests the nearest.
        SpecError: If the algorithm cannot learn on these actions, or nobody can know what they do.
        WeightsError: If weights, or the checkpoint to go on from, are missing or corrupt.
    """
    check_varied(scenario.recorded, scenario.assumed, scenario.id)
    chosen = algorithm(algo)
    asked = {"n_timesteps": n_timesteps, "n_envs": n_envs}
    settings = hyperparameters(
        chosen, scenario.env_id, {**(changes or {}), **{k: v for k, v in asked.items() if v is not None}}
    )
    before = latest_checkpoint(folder) if resume and folder is not None else None
    done = int(before.name.rpartition("_")[2]) if before else 0
    chosen.check(ActionMap(scenario).space, scenario.id)
    options = {"people": "train", "readings": readings, **settings.env_kwargs}
    doubt = _doubt(scenario, dynamics, weights, settings)

    def twins(doubt: Doubt | None = None) -> TwinVectorEnv:
        return TwinVectorEnv(scenario, settings.n_envs, dynamics=dynamics, weights=weights, doubt=doubt, **options)

    # No VecMonitor: the adapter reports finished episodes itself.
    plain = SB3VecEnv(twins(doubt))
    rule = settings.paired_with
    # An actor-critic's critic sees the double too; elsewhere values and actions come from one network.
    shown = settings.policy == "MlpPolicy" and issubclass(chosen.load(), OnPolicyAlgorithm)
    env = _normalised(PairedReward(plain, twins(), rule, shown=shown) if rule else plain, settings, before)
    policy = PairedPolicy if rule and shown else settings.policy
    model = _model(env, algo, settings, policy, seed, device, before)
    # Also seeds the environment: a training that goes on meets new people.
    model.set_random_seed(seed + done)
    model.set_logger(configure(str(tensorboard) if tensorboard else None, ["tensorboard"] if tensorboard else []))

    checkpoints = Checkpoints(folder, max(settings.n_timesteps // CHECKPOINTS, 1)) if folder else None
    bar = ProgressBar(scenario, settings.n_timesteps) if progress else None
    every = [ConstraintLog(scenario), *(c for c in (checkpoints, bar) if c is not None), *callbacks]
    finished = True
    # Algorithms with a replay buffer count episodes here, the others rollouts.
    interval = 1 if isinstance(model, OnPolicyAlgorithm) else settings.n_envs
    try:
        model.learn(
            max(settings.n_timesteps - done, 0),
            callback=every,
            log_interval=interval,
            reset_num_timesteps=before is None,
        )
    except KeyboardInterrupt:
        finished = False
    finally:
        if bar:
            bar.close()
        model.logger.close()
    saved = checkpoints.save(model) if checkpoints else None
    return Training(TrainedPolicy(model), settings, finished, saved, doubt)


def _doubt(
    scenario: Scenario, dynamics: str | Dynamics, weights: Path | None, settings: Hyperparameters
) -> Doubt | None:
    """Return the reaction to disagreement on the scale of this twin model; None on a dynamics that has none."""
    if settings.doubt == NO_DOUBT:
        return None
    varied = scenario.vary(**settings.env_kwargs.get("params", {}))
    mover = resolve(varied, dynamics, weights)
    if not isinstance(mover, Uncertain):
        return None
    try:
        horizon = settings.env_kwargs.get("horizon")
        return calibrated(varied, mover, settings.doubt, horizon=horizon, **settings.doubt_kwargs)
    except TypeError as error:
        raise SpecError(
            f"doubt_kwargs are {dict(settings.doubt_kwargs)} ({error}); allowed: strength, share, every."
        ) from error


def _normalised(env: VecEnv, settings: Hyperparameters, before: Path | None) -> VecEnv:
    if settings.normalize is None:
        return env
    if before is None:
        return VecNormalize(env, **settings.normalize)
    normaliser = load_normaliser(before)
    if normaliser is None:
        raise WeightsError(f"the checkpoint in {before} lacks its normaliser; train again.")
    normaliser.set_venv(env)
    return normaliser


def _model(
    env: VecEnv,
    algo: str,
    settings: Hyperparameters,
    policy: str | type[PairedPolicy],
    seed: int,
    device: str,
    before: Path | None,
) -> BaseAlgorithm:
    if before is not None:
        return load_model(before, algo, device, env)
    try:
        model = algorithm(algo).load()(policy=policy, env=env, seed=seed, device=device, **settings.built())
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:  # the last: a device that is not there
        raise SpecError(
            f"algorithm {algo!r} refuses its hyperparameters {dict(settings.arguments)} on device {device!r}: {error}"
        ) from error
    if settings.idle_at_first is not None:
        _begin_idle(model, settings.idle_at_first)
    return model


def _begin_idle(model: BaseAlgorithm, share: float) -> None:
    """Let an untrained policy choose the lowest level of each choice with about this probability."""
    space, net = model.action_space, getattr(model.policy, "action_net", None)
    if net is None or not isinstance(space, Discrete | MultiDiscrete):
        raise SpecError(
            f"idle_at_first is {share}, with {type(model).__name__} on {type(space).__name__} actions; allowed: an "
            "actor-critic that chooses between levels. Remove idle_at_first."
        )
    levels = np.atleast_1d(space.n if isinstance(space, Discrete) else space.nvec)
    with torch.no_grad():
        for first, others in zip(np.cumsum(levels) - levels, levels - 1, strict=True):
            net.bias[first] += float(np.log(others * share / (1.0 - share)))
