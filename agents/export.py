"""How is a trained policy handed on, so that loading it runs no foreign code?

SB3's .zip files hold pickles, which may run anything when they are opened: they are the user's own checkpoints. A
policy that leaves the machine is this: weights as safetensors, and JSON that says what goes in and what comes out.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from stable_baselines3.common.running_mean_std import RunningMeanStd
from torch import nn

from twingym.agents.paired_policy import PairedPolicy
from twingym.agents.policy import TrainedPolicy, in_full_batch
from twingym.envs.actions import ActionMap
from twingym.envs.layout import ObservationLayout
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError, WeightsError
from twingym.twins.model import write_atomically

SCHEMA = 1
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.json"
SUBFOLDER = "policy"  # of a run
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "ELU": nn.ELU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
}


class ExportedPolicy:
    """The deterministic part of a trained policy, with SB3's ``predict``.

    Attributes:
        description: What it was trained on and how, plain JSON; ``observations`` names its inputs in order.
    """

    def __init__(self, layers: nn.Sequential, description: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        """Take a network from normalised observations to action numbers; see :func:`load_policy`."""
        self._layers = layers.eval().requires_grad_(False)
        self.description = description
        self._mean = tensors["observation_mean"].numpy() if "observation_mean" in tensors else None
        self._variance = tensors["observation_variance"].numpy() if "observation_variance" in tensors else None

    def predict(
        self,
        observation: ArrayLike,
        state: Any = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[Any], Any]:
        """Choose actions for scaled observations (N, D), or one (D,).

        Raises:
            SpecError: If a random action is asked for; only the deterministic part was exported.
        """
        if not deterministic:
            raise SpecError(
                "an exported policy has no randomness; predict with deterministic=True, or load the run's checkpoint."
            )
        rows = np.asarray(observation, dtype=np.float32)
        actions = in_full_batch(np.atleast_2d(rows), self._act)
        return (actions[0] if rows.ndim == 1 else actions), state

    def _act(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        if self._mean is not None and self._variance is not None:
            settings = self.description["normaliser"]
            scaled = (rows - self._mean) / np.sqrt(self._variance + settings["epsilon"])
            rows = np.clip(scaled, -settings["clip"], settings["clip"]).astype(np.float32)
        numbers = self._layers(torch.as_tensor(rows)).numpy()
        levels = self.description["actions"]["levels"]
        if not levels:
            return np.asarray(np.clip(numbers, -1.0, 1.0))
        edges = np.cumsum(levels)[:-1]
        chosen = np.stack([part.argmax(axis=1) for part in np.split(numbers, edges, axis=1)], axis=1)
        return np.asarray(chosen[:, 0] if self.description["actions"]["kind"] == "Discrete" else chosen)

    def check(self, scenario: Scenario) -> None:
        """Refuse a scenario whose observations or interventions are not those it was trained on.

        Raises:
            WeightsError: Naming what differs.
        """
        for what, mine, theirs in (
            ("observations", self.description["observations"], list(ObservationLayout(scenario).names)),
            ("interventions", self.description["interventions"], list(ActionMap(scenario).names)),
        ):
            if mine != theirs:
                raise WeightsError(
                    f"this policy was trained on scenario {self.description['scenario']!r} with {what} {mine}; "
                    f"scenario {scenario.id!r} has {theirs}. Train one with `twingym train --env {scenario.id}`."
                )


def export_policy(policy: TrainedPolicy, scenario: Scenario, folder: Path) -> ExportedPolicy:
    """Write the deterministic part of ``policy`` into ``folder``, atomically, and return it as it will be loaded.

    Raises:
        SpecError: If the policy is not a plain feed-forward network.
    """
    layers = feed_forward(policy.model.policy)
    space = policy.model.action_space
    tensors = {f"layers.{name}": tensor for name, tensor in layers.state_dict().items()}
    normaliser = policy.normaliser
    # Without norm_obs the wrapper has no obs_rms at all.
    if normaliser is not None and normaliser.norm_obs and isinstance(normaliser.obs_rms, RunningMeanStd):
        tensors["observation_mean"] = torch.as_tensor(normaliser.obs_rms.mean)[: layers[0].in_features]
        tensors["observation_variance"] = torch.as_tensor(normaliser.obs_rms.var)[: layers[0].in_features]
    description: dict[str, Any] = {
        "schema": SCHEMA,
        "scenario": scenario.id,
        "fingerprint": scenario.fingerprint(),
        "algorithm": type(policy.model).__name__,
        "steps": policy.model.num_timesteps,
        "observations": list(ObservationLayout(scenario).names),
        "interventions": list(ActionMap(scenario).names),
        "actions": {"kind": type(space).__name__, "levels": _levels(space)},
        "layers": [
            [layer.in_features, layer.out_features] if isinstance(layer, nn.Linear) else type(layer).__name__
            for layer in layers
        ],
        "normaliser": {"clip": normaliser.clip_obs, "epsilon": normaliser.epsilon}
        if "observation_mean" in tensors and normaliser
        else None,
    }
    blob = save_tensors({name: tensor.detach().contiguous() for name, tensor in tensors.items()})
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, blob)
    text = json.dumps({**description, "sha256": _digest(blob, description)}, indent=1) + "\n"
    write_atomically(folder / DESCRIPTION, text.encode())
    return load_policy(folder)


def load_policy(folder: Path) -> ExportedPolicy:
    """Read a policy that :func:`export_policy` wrote into this folder, or into ``policy/`` of a run; it runs no code.

    Raises:
        WeightsError: If files are missing, corrupt or of another version.
    """
    folder = folder if (folder / DESCRIPTION).is_file() else folder / SUBFOLDER
    if not (folder / WEIGHTS).is_file() or not (folder / DESCRIPTION).is_file():
        raise WeightsError(
            f"no exported policy in {folder} ({WEIGHTS} and {DESCRIPTION}); `twingym train` writes one into its run."
        )
    blob = (folder / WEIGHTS).read_bytes()
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        schema, digest = description["schema"], description.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{folder / DESCRIPTION} is not the description of a policy ({error}); copy or export it again."
        ) from error
    if schema != SCHEMA:
        raise WeightsError(
            f"{folder / DESCRIPTION} has schema {schema}; this version reads {SCHEMA}. Export the policy again."
        )
    if _digest(blob, description) != digest:
        raise WeightsError(
            f"the policy in {folder} is corrupt: its SHA-256 is not the one in {DESCRIPTION}. Copy or export it again."
        )
    try:
        layers = nn.Sequential(
            *(_ACTIVATIONS[x]() if isinstance(x, str) else nn.Linear(*x) for x in description["layers"])
        )
        tensors = load_tensors(blob)
        layers.load_state_dict({n.removeprefix("layers."): t for n, t in tensors.items() if n.startswith("layers.")})
    except (KeyError, RuntimeError, TypeError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{folder / WEIGHTS} does not fit its description: {error}") from error
    return ExportedPolicy(layers, description, tensors)


def feed_forward(policy: Any) -> nn.Sequential:
    """Return the network from observations to action numbers (means, logits or values) of an SB3 policy.

    Raises:
        SpecError: If it is no plain multi-layer network.
    """
    if hasattr(policy, "mlp_extractor"):
        layers = [*policy.mlp_extractor.policy_net, policy.action_net]
    elif hasattr(policy, "q_net"):
        layers = [*policy.q_net.q_net]
    else:
        layers = []
    unknown = [type(layer).__name__ for layer in layers if not isinstance(layer, (nn.Linear, *_ACTIVATIONS.values()))]
    if not layers or unknown or getattr(policy, "squash_output", False):
        raise SpecError(
            f"policy is {type(policy).__name__} with layers {unknown}; only an MlpPolicy of linear layers and "
            f"{', '.join(_ACTIVATIONS)} is exported."
        )
    if isinstance(policy, PairedPolicy):
        layers[0] = _first_half(layers[0])
    return nn.Sequential(*layers)


def _first_half(layer: nn.Linear) -> nn.Linear:
    """Return a layer without the inputs that belong to a double, which the actor never sees."""
    own = layer.in_features // 2
    half = nn.Linear(own, layer.out_features)
    half.load_state_dict({"weight": layer.weight[:, :own], "bias": layer.bias})
    return half


def _levels(space: object) -> list[int]:
    if isinstance(space, Discrete):
        return [int(space.n)]
    if isinstance(space, MultiDiscrete):
        return [int(n) for n in space.nvec]
    if isinstance(space, Box):
        return []
    raise SpecError(f"actions are {space}; allowed: Box, Discrete, MultiDiscrete.")


def _digest(blob: bytes, description: dict[str, Any]) -> str:
    return hashlib.sha256(blob + json.dumps(description, sort_keys=True).encode()).hexdigest()
