"""What happens between the steps of a training: safety and fairness in TensorBoard, checkpoints, a progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from twingym.agents.policy import STEPS, TrainedPolicy
from twingym.agents.scalars import episode_columns, scalars
from twingym.scenarios.scenario import Scenario


class ConstraintLog(BaseCallback):
    """Logs each constraint, the gaps between groups and the twin model's disagreement, of episodes ended in a rollout.

    The tags are those of :func:`~twingym.agents.scalars.scalars`.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Watch the constraints and groups of ``scenario``."""
        super().__init__()
        self._scenario = scenario
        self._ended: list[Mapping[str, Any]] = []

    def _on_step(self) -> bool:
        for row in np.flatnonzero(self.locals["dones"]):
            self._ended.append(self.locals["infos"][row])
        return True

    def _on_rollout_end(self) -> None:
        # Off-policy algorithms have rollouts of a few steps: wait until the episodes are worth an average.
        if len(self._ended) < self.training_env.num_envs:
            return
        episodes = {name: np.array([info[name] for info in self._ended]) for name in episode_columns(self._scenario)}
        for tag, value in scalars(self._scenario, episodes).items():
            self.logger.record(tag, value)
        self._ended.clear()


class Checkpoints(BaseCallback):
    """Saves model and normaliser every ``every`` steps, and where the training stops, each whole or not at all."""

    def __init__(self, folder: Path, every: int) -> None:
        """Save into subfolders of ``folder``, named by the steps made."""
        super().__init__()
        self._folder = folder
        self._every = every
        self._next = every

    def _on_training_start(self) -> None:
        self._next = self.num_timesteps + self._every

    def _on_step(self) -> bool:
        # A callback sees a model between updates here, never in the middle of one.
        if self.num_timesteps >= self._next:
            self._next = self.num_timesteps + self._every
            self.save(self.model)
        return True

    def save(self, model: BaseAlgorithm) -> Path:
        """Save ``model`` as it is now and return the folder."""
        folder = self._folder / STEPS.format(model.num_timesteps)
        TrainedPolicy(model).save(folder)
        return folder


class ProgressBar(BaseCallback):
    """Shows steps, time left, and the reward and primary cost per step of the last episodes."""

    def __init__(self, scenario: Scenario, total: int) -> None:
        """Show a bar that is full after ``total`` steps."""
        super().__init__()
        self._scenario = scenario
        self._total = total
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )

    def _on_training_start(self) -> None:
        self._task = self._bar.add_task("training", total=self._total, completed=self.num_timesteps)
        self._bar.start()

    def _on_step(self) -> bool:
        self._bar.update(self._task, completed=min(self.num_timesteps, self._total))
        return True

    def _on_rollout_end(self) -> None:
        primary = self._scenario.primary
        tag = f"constraint/{primary.name}/cost_return"
        seen = self.logger.name_to_value
        if tag in seen:
            self._bar.update(self._task, description=f"training  {primary.name} {seen[tag]:.3g} of {primary.limit:g}")

    def close(self) -> None:
        """Take the bar down."""
        self._bar.stop()
