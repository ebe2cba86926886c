"""A fitted twin model: weights, the declarations they belong to, and how both are kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from twingym.twins.decode import TransformerDynamics
from twingym.twins.doubt_head import DoubtHead
from twingym.twins.errors import WeightsError
from twingym.twins.network import TwinNetwork
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig

SCHEMA = 1
WEIGHTS, DESCRIPTION = "twin.safetensors", "twin.json"
DOUBT_WIDTH = "doubt.layers.0.bias"  # among the tensors of a model that was taught doubt: as long as its head is wide
KNOTS = "recalibration."  # before the names of variables whose cdfs are bent, among the tensors


@dataclass(frozen=True)
class TwinModel:
    """A transformer fitted to courses of people.

    Attributes:
        network: The fitted network.
        training: What it was fitted on and how well, plain JSON.
    """

    network: TwinNetwork
    training: dict[str, Any]

    @property
    def spec(self) -> TwinSpec:
        """The declarations it belongs to."""
        return self.network.spec

    def dynamics(self, reveal: bool = False) -> TransformerDynamics:
        """Return the model as dynamics that an environment can step; ``reveal`` shows what nobody measures too."""
        return TransformerDynamics(self.network, reveal)

    def weights(self) -> bytes:
        """Return what :meth:`save` writes of the weights, and maps that bend cdfs among them."""
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        knots = {name: torch.tensor(k, dtype=torch.float64) for name, k in self.network.recalibration.items()}
        return bytes(save_tensors(tensors | {KNOTS + name: tensor for name, tensor in knots.items()}))

    @property
    def sha256(self) -> str:
        """Hash of the weights, as their description holds it."""
        return hashlib.sha256(self.weights()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and description (JSON, with the weights' hash) into ``folder``, atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        blob = self.weights()
        description = {
            "schema": SCHEMA,
            "sha256": hashlib.sha256(blob).hexdigest(),
            "config": self.network.config.to_json(),
            "spec": self.spec.to_json(),
            "training": self.training,
        }
        write_atomically(folder / WEIGHTS, blob)
        write_atomically(folder / DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())

    @classmethod
    def load(cls, folder: Path, fingerprint: str | None = None) -> TwinModel:
        """Read a model from ``folder``.

        Args:
            folder: Where :meth:`save` wrote it.
            fingerprint: Scenario that it must belong to.

        Raises:
            WeightsError: If files are missing or corrupt, or belong to something else.
        """
        if not (folder / WEIGHTS).is_file() or not (folder / DESCRIPTION).is_file():
            raise WeightsError(f"no twin model in {folder} ({WEIGHTS} and {DESCRIPTION}); make one with `twingym fit`.")
        blob = (folder / WEIGHTS).read_bytes()
        try:
            description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            schema, digest = description["schema"], description["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{folder / DESCRIPTION} is not a twin description ({error}); refit with `twingym fit`."
            ) from error
        if schema != SCHEMA:
            raise WeightsError(f"{folder} has schema {schema}; this version reads {SCHEMA}. Refit with `twingym fit`.")
        if hashlib.sha256(blob).hexdigest() != digest:
            raise WeightsError(
                f"{folder / WEIGHTS} is corrupt: its SHA-256 is not the one in {DESCRIPTION}. Refit or copy again."
            )
        try:
            spec = TwinSpec.from_json(description["spec"])
            config, training = TransformerConfig(**description["config"]), description["training"]
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{folder / DESCRIPTION} lacks what it should hold, or holds what it should not ({error}); refit with "
                "`twingym fit` or copy again."
            ) from error
        if fingerprint is not None and spec.fingerprint != fingerprint:
            raise WeightsError(
                f"the twin model in {folder} belongs to scenario {spec.fingerprint}, this one is {fingerprint} (other "
                "parameters or another version). Fit it with `twingym fit`, or use dynamics='reference'."
            )
        network = TwinNetwork.untrained(spec, config)
        try:
            tensors = load_tensors(blob)
            knots = {name: tensors.pop(name).tolist() for name in list(tensors) if name.startswith(KNOTS)}
            if DOUBT_WIDTH in tensors:
                network.doubt = DoubtHead.untaught(config.width + network.layout.width, len(tensors[DOUBT_WIDTH]))
            network.load_state_dict(tensors)
            network.recalibrate({name.removeprefix(KNOTS): values for name, values in knots.items()})
        except (RuntimeError, ValueError, safetensors.SafetensorError) as error:
            raise WeightsError(f"{folder / WEIGHTS} does not fit its description: {error}") from error
        return cls(network, training)


def digest(folder: Path) -> str:
    """Return the SHA-256 of the weights of the twin model in ``folder``, as its description holds it.

    Raises:
        WeightsError: If there is no description that holds one.
    """
    try:
        return str(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"no twin model can be read in {folder} ({error}); make one with `twingym fit`.") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def save_atomically(path: Path, value: object) -> None:
    """Write a checkpoint of tensors so that it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    torch.save(value, part)
    os.replace(part, path)
