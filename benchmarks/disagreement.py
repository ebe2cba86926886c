"""Is a twin model in doubt where independent networks disagree?

``python -m benchmarks.disagreement --referee`` fits five networks that share nothing with the twin model but its
declarations, nor with those that taught it where networks disagree (:mod:`twingym.experiments.independent`). Policies
then treat people of the twin model, everybody's course is read by all networks too, and at each state visited the
model's disagreement is ranked against the spread of the networks' means. Without ``--referee`` only networks that were
fitted before are asked. They stay in ``runs/referee``, and a fit that was stopped goes on.

What five networks differ by in a single step is mostly chance, so disagreement is averaged (as a root mean square) over
a third of the model's window before it is ranked; the figures of single steps stand beside it. ``ceiling`` is the rank
correlation between the spreads of three of the networks and of the two others, over all ways to part them: how well
such referees agree with each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from rich.console import Console
from scipy.stats import spearmanr

from twingym.envs import RulePolicy, TwinVectorEnv
from twingym.envs.doubt_scale import averaged_over
from twingym.evaluation.rollout import Policy
from twingym.experiments.card import snapshots
from twingym.experiments.independent import independent_network, place_of
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel, people
from twingym.twins.decode import TransformerDynamics, spread
from twingym.twins.distillation import Readers
from twingym.twins.errors import WeightsError
from twingym.twins.model import WEIGHTS
from twingym.twins.noise import Stream, uniforms

RESULTS = Path(__file__).parent / "results"
SHIFTS = (-0.2, 0.2)  # of amounts, on the policy's scale
EVERY = 6  # steps from one state that counts to the next: neighbours tell the same
RESAMPLES = 200


@dataclass
class Args:
    """Rank the disagreement that a twin model tells against that of independent networks."""

    env: str = "Glucose-v0"
    """Scenario."""
    weights: Path | None = None
    """Folder of another twin model."""
    referee: bool = False
    """Fit the networks that are missing: about two CPU minutes each."""
    networks: int = 5
    """Independent networks."""
    runs: Path = Path("runs/referee")
    """Where they are kept."""
    epochs: int = 12
    """Epochs of each."""
    learners: int = 2000
    """People whom each learns from, over two episodes or one that ends; eight times as many where it ends."""
    people: int = 64
    """People whom each policy treats."""


def network(args: Args, scenario: Scenario, number: int) -> TwinModel:
    """Return an independent network, from disk if it is there."""
    folder = place_of(args.runs, scenario, number)
    if not (args.referee or (folder / WEIGHTS).is_file()):
        raise WeightsError(f"no independent network in {folder}; fit what is missing with --referee.")
    return independent_network(scenario, number, args.runs, epochs=args.epochs, learners=args.learners)


class Shifted:
    """A policy whose amounts are moved on its own scale, beyond what the twin model has learned from."""

    def __init__(self, policy: RulePolicy, by: float) -> None:
        """Move what ``policy`` does by this much."""
        self._policy, self._by = policy, by

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        """Return actions (N, A) and state."""
        actions, state = self._policy.predict(observation, state, episode_start, deterministic)
        return np.clip(actions + self._by, -1.0, 1.0), state


class AtRandom:
    """Any action, whatever is observed."""

    def __init__(self, env: TwinVectorEnv) -> None:
        """Act in the slots of ``env``."""
        self._env = env

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        """Return actions (N, ...) and no state."""
        shape = self._env.action_space.shape or (len(observation),)
        step = int(self._env.t.max())
        u = uniforms(0, self._env.cohort.ids, 0, Stream.POLICY, step, int(np.prod(shape[1:])) or 1).reshape(shape)
        levels = getattr(self._env.single_action_space, "n", None)
        return (u * levels).astype(np.int64) if levels else 2.0 * u - 1.0, None


def policies(scenario: Scenario, env: TwinVectorEnv) -> dict[str, Policy]:
    """Return who visits states: rules, trained policies, and what lies beyond both."""
    found: dict[str, Policy] = {n: RulePolicy(scenario, r) for n, r in scenario.rules.items() if not r.per_person}
    found |= snapshots(scenario)
    if not env.action_map.categorical:
        baseline = RulePolicy(scenario, scenario.baseline)
        found |= {f"{scenario.baseline} {by:+g}": Shifted(baseline, by) for by in SHIFTS}
    return found | {"at random": AtRandom(env)}


def visit(env: TwinVectorEnv, policy: Policy, judges: Sequence[TransformerDynamics]) -> Iterator[np.ndarray]:
    """Let a policy treat everybody, and yield which people (N,) live on and all disagreement about each step.

    Yields:
        Shape (N, 1 + ways): what the model tells; that of all judges; of each part of them and of its rest. NaN for
        those whose episode is over.
    """
    observations, _ = env.reset(seed=0, options={"twins": people("test", env.num_envs)})
    if hasattr(policy, "meet"):
        policy.meet(env.cohort)
    readers = Readers(judges, env.cohort, env.inputs, env.observed)
    memory, starts = None, np.ones(env.num_envs, bool)
    while not env.over.all():
        live, inputs = ~env.over, env.inputs.copy()
        actions, memory = policy.predict(observations, memory, starts, deterministic=True)
        starts = np.zeros(env.num_envs, bool)
        observations, *_, infos = env.step(actions)
        means = readers.step(infos["delivered"], inputs, env.observed)
        told = [infos["disagreement"], *(spread(means[list(part)]) for part in parts(len(judges)))]
        yield np.where(live[:, None], np.stack(told, axis=-1), np.nan)


def parts(judges: int) -> list[tuple[int, ...]]:
    """Return all judges, and then every part of more than half of them, each followed by its rest."""
    everyone = tuple(range(judges))
    larger = combinations(everyone, judges // 2 + 1)
    return [everyone, *(side for part in larger for side in (part, tuple(set(everyone) - set(part))))]


def recent(told: np.ndarray, steps: int) -> np.ndarray:
    """Return the root mean square of disagreement (N, T, ways) over the last ``steps`` of them, or all there were."""
    total = np.cumsum(np.square(told), axis=1)  # NaN after the end
    before = np.zeros_like(total)
    before[:, steps:] = total[:, :-steps]
    count = np.minimum(np.arange(1, told.shape[1] + 1), steps)
    return np.asarray(np.sqrt((total - before) / count[:, None]))


def ranked(label: str, told: Sequence[np.ndarray], steps: int) -> dict[str, object]:
    """Return how well model and networks agree over the states of several visits (N, T, ways), averaged and not."""
    averaged, single = (
        np.concatenate([average(each)[:, ::EVERY] for each in told], axis=1)
        for average in (lambda each: recent(each, steps), lambda each: each)
    )
    everyone, random = np.arange(len(single)), np.random.Generator(np.random.Philox(key=0))
    draws = [correlation(averaged[random.integers(0, len(single), len(single))], 0, 1) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "visited by": label,
        "people": len(everyone),
        "states": int(np.isfinite(single[..., 0]).sum()),
        "spearman": correlation(averaged, 0, 1),
        "low": low,
        "high": high,
        "ceiling": ceiling(averaged),
        "spearman, one step": correlation(single, 0, 1),
        "ceiling, one step": ceiling(single),
        "model": np.nanmedian(single[..., 0]),
        "networks": np.nanmedian(single[..., 1]),
    }


def correlation(told: np.ndarray, one: int, other: int) -> float:
    """Spearman's correlation of two ways to disagree over all states of told (N, T, ways)."""
    states = told.reshape(-1, told.shape[-1])
    states = states[np.isfinite(states[:, 0])]
    return float(spearmanr(states[:, one], states[:, other]).statistic)


def ceiling(told: np.ndarray) -> float:
    """Mean correlation between part of the networks and the rest of them, over states told (N, T, ways)."""
    return float(np.mean([correlation(told, one, one + 1) for one in range(2, told.shape[-1], 2)]))


def main(args: Args) -> None:
    """Fit what is missing, visit, rank and write."""
    torch.set_num_threads(1)
    scenario, began = get(args.env), time.process_time()
    judges = [network(args, scenario, k).dynamics() for k in range(args.networks)]
    model = TwinModel.load(args.weights or weights_folder(scenario), scenario.world_fingerprint())
    env = TwinVectorEnv(scenario, args.people, dynamics=model.dynamics(), people="test", autoreset="disabled")
    everything = {}
    for name, policy in policies(scenario, env).items():
        told = list(visit(env, policy, judges))
        told += [np.full_like(told[0], np.nan)] * (env.horizon - len(told))  # nobody lives on
        everything[name] = np.stack(told, axis=1)  # (N, T, ways)
    groups = {"all": list(everything.values()), **{name: [told] for name, told in everything.items()}}
    steps = averaged_over(scenario)
    table = pd.DataFrame([ranked(name, told, steps) for name, told in groups.items()])
    if args.weights is None:
        RESULTS.mkdir(exist_ok=True)
        table.to_csv(RESULTS / f"disagreement_{scenario.id}.csv", index=False, float_format="%.4g")
    Console(width=160).print(table.to_string(index=False, float_format="%.3f"))
    print(f"{(time.process_time() - began) / 60:.1f} CPU minutes")


if __name__ == "__main__":
    main(tyro.cli(Args))
