"""Which scenarios do installed packages bring, as their metadata tell, without importing any of them?

A package declares its scenarios by id in its ``pyproject.toml``::

    [project.entry-points."twingym.scenarios"]
    Sleep-v0 = "my_package.sleep:SCENARIO"
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "twingym.scenarios"
_ID = re.compile(r"[A-Za-z_]\w*-v\d+")


@dataclass(frozen=True)
class Plugin:
    """A scenario that an installed package declares.

    Attributes:
        where: ``"package.module:ATTRIBUTE"``.
        package: Name of the distribution.
        problem: Why it cannot be asked for; empty if it can.
    """

    where: str
    package: str
    problem: str = ""


@cache
def plugins() -> dict[str, Plugin]:
    """Return what is declared by id; what contradicts itself has a ``problem`` and hides nothing else."""
    declared: defaultdict[str, list[EntryPoint]] = defaultdict(list)
    for entry in entry_points(group=GROUP):
        declared[entry.name].append(entry)
    return {name: _plugin(name, entries) for name, entries in declared.items()}


def _plugin(name: str, entries: list[EntryPoint]) -> Plugin:
    packages = " and ".join(sorted(entry.dist.name if entry.dist else "unknown" for entry in entries))
    where = entries[0].value
    if not is_id(name):
        return Plugin(where, packages, "allowed as its name: a name and a version, such as 'Sleep-v0'")
    if len({entry.value for entry in entries}) > 1:
        return Plugin(where, packages, "allowed: one of them; uninstall the others, or have them choose other names")
    return Plugin(where, packages)


def is_id(name: str) -> bool:
    """Return whether a scenario may have this id: a name and a version, such as ``Sleep-v0``."""
    return _ID.fullmatch(name) is not None
