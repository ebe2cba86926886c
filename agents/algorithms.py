"""Which learning algorithms are there, and which scenarios can they be used on?"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space

from twingym.twins.errors import SpecError, unknown

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


@dataclass(frozen=True)
class Algorithm:
    """One algorithm of Stable-Baselines3 under its rl-baselines3-zoo name.

    Attributes:
        name: Name on the command line and of its file in ``hyperparams/``.
        where: ``"module:class"``, imported only when a model is made.
        actions: Kinds of action spaces that it can learn on.
        about: One sentence for people.
    """

    name: str
    where: str
    actions: tuple[type[Space[object]], ...]
    about: str

    def load(self) -> type[BaseAlgorithm]:
        """Return the class."""
        module, _, name = self.where.partition(":")
        return cast("type[BaseAlgorithm]", getattr(import_module(module), name))

    def check(self, space: Space[object], scenario_id: str) -> None:
        """Refuse a kind of actions that the algorithm cannot learn on.

        Raises:
            SpecError: Naming the algorithms that can.
        """
        if not isinstance(space, self.actions):
            able = [a.name for a in ALGORITHMS.values() if isinstance(space, a.actions)]
            raise SpecError(
                f"algorithm {self.name!r} needs {' or '.join(kind.__name__ for kind in self.actions)} actions; "
                f"scenario {scenario_id!r} has {type(space).__name__} ones. Use {' or '.join(map(repr, able))}."
            )


_EVERY_KIND = cast("tuple[type[Space[object]], ...]", (Box, Discrete, MultiDiscrete))
_ONE_CHOICE = cast("tuple[type[Space[object]], ...]", (Discrete,))
ALGORITHMS = {
    a.name: a
    for a in (
        Algorithm("ppo", "stable_baselines3:PPO", _EVERY_KIND, "Proximal policy optimisation; amounts or choices."),
        Algorithm("dqn", "stable_baselines3:DQN", _ONE_CHOICE, "Deep Q-learning; one choice per step."),
    )
}


def algorithm(name: str) -> Algorithm:
    """Return the algorithm of this name.

    Raises:
        UnknownNameError: If there is none; suggests the nearest.
    """
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
