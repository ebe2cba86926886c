"""How does a trained agent act outside its training: the model together with its normaliser behind ``predict``."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from twingym.agents.algorithms import algorithm
from twingym.agents.paired_policy import PairedPolicy, alone
from twingym.twins.errors import WeightsError

# The zoo's names.
MODEL, NORMALISER, STEPS = "model.zip", "vecnormalize.pkl", "steps_{:012d}"
FULL_BATCH = 8  # rows; smaller matrix products round differently


class TrainedPolicy:
    """An SB3 model that acts on the environment's own observations.

    Attributes:
        model: The model.
        normaliser: Statistics it was trained with, or None.
    """

    def __init__(self, model: BaseAlgorithm, normaliser: VecNormalize | None = None) -> None:
        """Put the two together; the normaliser is taken from the model's environment if there is one."""
        env = model.get_env()
        self.model = model
        self.normaliser = normaliser if normaliser is not None or env is None else unwrap_vec_normalize(env)

    def predict(
        self,
        observation: ArrayLike,
        state: Any = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[Any], Any]:
        """Choose actions for scaled observations (N, D), or one (D,); see SB3's ``predict``."""
        rows = np.asarray(observation, dtype=np.float32)

        def act(batch: NDArray[np.float32]) -> NDArray[Any]:
            if isinstance(self.model.policy, PairedPolicy):
                batch = alone(batch)
            if self.normaliser is not None:
                batch = cast("NDArray[np.float32]", self.normaliser.normalize_obs(batch))
            return self.model.predict(batch, deterministic=deterministic)[0]

        actions = in_full_batch(np.atleast_2d(rows), act)
        return (actions[0] if rows.ndim == 1 else actions), state

    def save(self, folder: Path) -> None:
        """Write model and normaliser into a new ``folder``, which appears whole or not at all.

        SB3's files hold pickles: open only your own. To hand a policy on, use ``agents.export``.
        """
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        self.model.save(part / MODEL)
        if self.normaliser is not None:
            self.normaliser.save(str(part / NORMALISER))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)

    @classmethod
    def load(cls, folder: Path, algo: str = "ppo", device: str = "cpu") -> TrainedPolicy:
        """Read a checkpoint that :meth:`save` wrote; it holds pickles, so open only your own.

        Raises:
            WeightsError: If there is none, or it cannot be read.
        """
        return cls(load_model(folder, algo, device), load_normaliser(folder))


def load_model(folder: Path, algo: str, device: str, env: VecEnv | None = None) -> BaseAlgorithm:
    """Read the model of a checkpoint, to act or, with an ``env``, to go on learning.

    Raises:
        WeightsError: If there is none, or it cannot be read.
    """
    if not (folder / MODEL).is_file():
        raise WeightsError(f"no checkpoint in {folder} ({MODEL}); `twingym train` writes them into its run.")
    with _readable(folder):
        return algorithm(algo).load().load(folder / MODEL, env=env, device=device)


def load_normaliser(folder: Path) -> VecNormalize | None:
    """Read the normaliser of a checkpoint; None if it was trained without one.

    Raises:
        WeightsError: If it cannot be read.
    """
    if not (folder / NORMALISER).is_file():
        return None
    with _readable(folder):
        return cast("VecNormalize", pickle.loads((folder / NORMALISER).read_bytes()))


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, EOFError, RuntimeError, AssertionError, pickle.UnpicklingError, BadZipFile) as error:
        raise WeightsError(f"the checkpoint in {folder} cannot be read: {error}. Go on from an earlier one.") from error


def latest_checkpoint(folder: Path) -> Path:
    """Return the newest checkpoint among those that a training left in ``folder``.

    Raises:
        WeightsError: If there is none.
    """
    found = sorted(path for path in folder.glob("steps_*") if (path / MODEL).is_file())
    if not found:
        raise WeightsError(f"no checkpoint in {folder}; the run was stopped before its first one. Train again.")
    return found[-1]


def in_full_batch(rows: NDArray[np.float32], act: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
    """Call ``act`` on at least eight rows, so that one person alone gets the bits that they get in company."""
    if len(rows) >= FULL_BATCH:
        return act(rows)
    padded = np.concatenate([rows, np.repeat(rows[:1], FULL_BATCH - len(rows), axis=0)])
    return act(padded)[: len(rows)]
