"""With which settings does an algorithm learn on a scenario: the YAML files of rl-baselines3-zoo, read without eval."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from twingym.agents.algorithms import Algorithm
from twingym.envs.doubt import REACTIONS
from twingym.twins.errors import SpecError, unknown

FOLDER = Path(__file__).parent / "hyperparams"
DEFAULT = "default"
# What the zoo understands beside the arguments of the algorithm itself, and what is ours.
OUR_KEYS = ("paired_with", "idle_at_first", "doubt", "doubt_kwargs")
ZOO_KEYS = ("n_envs", "n_timesteps", "policy", "normalize", "env_kwargs", *OUR_KEYS)
NO_DOUBT = "none"
_SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")


@dataclass(frozen=True)
class Hyperparameters:
    """Settings of one training run.

    Attributes:
        n_envs: Twins that live in parallel.
        n_timesteps: Steps to learn for, over all twins.
        policy: Name of SB3's policy class.
        normalize: Arguments of ``VecNormalize``; None to leave observations and rewards as they are.
        env_kwargs: Arguments of the environment.
        paired_with: Rule whose reward is subtracted, see :class:`~twingym.agents.paired.PairedReward`; None for none.
        idle_at_first: Share of the lowest levels, which stand for nothing, in what an untrained policy does; None for
            the algorithm's own start. Where every other action has a price, a policy that begins by acting at random
            first learns to escape its own later actions.
        doubt: What is done where the heads of the twin model disagree: ``penalise``, ``truncate``, ``rebind`` or
            ``none``; see :mod:`twingym.envs.doubt`. On the reference there is nothing to doubt.
        doubt_kwargs: Arguments of :func:`~twingym.envs.doubt_scale.calibrated`.
        arguments: Arguments of the algorithm, schedules and ``policy_kwargs`` as they were written.
    """

    n_envs: int = 1
    n_timesteps: int = 1_000_000
    policy: str = "MlpPolicy"
    normalize: Mapping[str, Any] | None = None
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    paired_with: str | None = None
    idle_at_first: float | None = None
    doubt: str = NO_DOUBT
    doubt_kwargs: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def built(self) -> dict[str, Any]:
        """Return the algorithm's arguments with schedules and ``policy_kwargs`` made from their text."""
        built = dict(self.arguments)
        for name in _SCHEDULED:
            if isinstance(built.get(name), str):
                built[name] = schedule(built[name])
        if isinstance(built.get("policy_kwargs"), str):
            built["policy_kwargs"] = keywords(built["policy_kwargs"])
        return built


def hyperparameters(algorithm: Algorithm, env_id: str, changes: Mapping[str, Any] | None = None) -> Hyperparameters:
    """Return the settings for an environment: its own entry, else ``default``.

    Args:
        algorithm: Whose file is read.
        env_id: Such as ``twingym/Glucose-v0``.
        changes: Keys to change or to add.

    Raises:
        UnknownNameError: If neither the zoo nor the algorithm knows a key; suggests the nearest.
        SpecError: If a text in it cannot be read.
    """
    entries = yaml.safe_load((FOLDER / f"{algorithm.name}.yml").read_text(encoding="utf-8"))
    entry = {**entries.get(env_id, entries[DEFAULT]), **(changes or {})}
    known = {*ZOO_KEYS, *inspect.signature(algorithm.load()).parameters}
    for key in entry:
        if key not in known:
            raise unknown(f"hyperparameter of {algorithm.name!r}", key, known)
    normalize = entry.get("normalize", False)
    arguments = {key: value for key, value in entry.items() if key not in ZOO_KEYS}
    if isinstance(normalize, str):
        normalize = keywords(normalize)
    elif normalize is True:
        normalize = {}
    if isinstance(normalize, dict) and "gamma" in arguments:
        normalize = {"gamma": arguments["gamma"], **normalize}  # as the zoo does: returns are discounted alike
    for name in ("gamma", "gae_lambda"):
        if name in arguments and not (isinstance(arguments[name], int | float) and 0.0 <= arguments[name] <= 1.0):
            raise SpecError(f"hyperparameter {name} is {arguments[name]!r}; allowed: 0 to 1.")
    doubt = entry.get("doubt") or NO_DOUBT
    if doubt not in (NO_DOUBT, *REACTIONS):
        raise unknown("reaction to doubt", doubt, (NO_DOUBT, *REACTIONS))
    return Hyperparameters(
        n_envs=int(entry.get("n_envs", 1)),
        n_timesteps=int(float(entry.get("n_timesteps", 1_000_000))),
        policy=str(entry.get("policy", "MlpPolicy")),
        normalize=normalize if isinstance(normalize, dict) else None,
        env_kwargs=_mapping(entry.get("env_kwargs")),
        paired_with=entry.get("paired_with"),
        idle_at_first=_share(entry.get("idle_at_first")),
        doubt=doubt,
        doubt_kwargs=_mapping(entry.get("doubt_kwargs")),
        arguments=arguments,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return keywords(value) if isinstance(value, str) else value or {}


def _share(value: Any) -> float | None:
    if value is None:
        return None
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0.0 < share < 1.0:
        raise SpecError(f"idle_at_first is {value!r}; allowed: a share between 0 and 1, both excluded, or null.")
    return share


def schedule(text: str) -> Callable[[float], float]:
    """Return the zoo's ``lin_<start>``: a value that falls linearly to zero over the training.

    Raises:
        SpecError: If the text is no such schedule.
    """
    name, _, start = text.partition("_")
    try:
        initial = float(start)
    except ValueError:
        initial = float("nan")
    if name != "lin" or not initial > 0:
        raise SpecError(
            f"schedule is {text!r}; allowed: a number, or 'lin_' and a positive number, such as 'lin_0.001'."
        )
    return lambda remaining: remaining * initial


def keywords(text: str) -> dict[str, Any]:
    """Read ``dict(a=1, b=[2], c=nn.Tanh, d=dict(...))`` without running it.

    Raises:
        SpecError: If it holds anything but keywords with plain values, dicts and names of ``torch.nn``.
    """

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=pairs) if all(pair.arg for pair in pairs):
                return {pair.arg: value(pair.value) for pair in pairs}
            case ast.Attribute(value=ast.Name(id="nn"), attr=name):
                from torch import nn

                return getattr(nn, name)
            case _:
                return ast.literal_eval(node)

    try:
        found = value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, AttributeError) as error:
        raise SpecError(
            f"settings are {text!r}; allowed: dict(name=value, ...) with plain values and nn.<Name>."
        ) from error
    if not isinstance(found, dict):
        raise SpecError(f"settings are {text!r}; allowed: dict(name=value, ...).")
    return found
