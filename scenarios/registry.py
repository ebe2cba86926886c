"""Which scenarios exist, and how is one found without importing the others?"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError, unknown

_ID_LINE = re.compile(r'^ID = "([^"]+)"$', re.MULTILINE)
# Scenarios registered in this process: an instance, or where to find one ("package.module:ATTRIBUTE").
_registered: dict[str, Scenario | str] = {}
# Files from which scenarios were loaded, and who wants to hear of new ones (the layers above, which make ids of them).
_origins: dict[str, Path] = {}
_watchers: list[Callable[[str], None]] = []


@cache
def _shipped() -> dict[str, str]:
    """Map the id of each scenario file in this folder to where its object is, by reading the files as text."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        line = _ID_LINE.search(path.read_text(encoding="utf-8"))
        if line:
            found[line.group(1)] = f"twingym.scenarios.{path.stem}:SCENARIO"
    return found


def names() -> tuple[str, ...]:
    """Return the ids of all scenarios that can be asked for, sorted."""
    return tuple(sorted({**_shipped(), **_registered}))


def register(scenario: Scenario | str, where: str | None = None) -> str:
    """Make a scenario known under its id.

    Args:
        scenario: The scenario, or its id together with ``where``.
        where: ``"package.module:ATTRIBUTE"``, imported only when the scenario is asked for.

    Returns:
        The id.

    Raises:
        SpecError: If the id is taken by another scenario.
    """
    entry: Scenario | str
    if isinstance(scenario, str):
        if where is None:
            raise SpecError(f"scenario {scenario!r}: where is None; give 'package.module:ATTRIBUTE'.")
        name, entry = scenario, where
    else:
        name, entry = scenario.id, scenario
    taken = {**_shipped(), **_registered}.get(name)
    if taken is not None and _identity(taken) != _identity(entry):
        raise SpecError(f"scenario {name!r} is registered already, with other content; raise its version (-v1, ...).")
    if name not in _shipped():
        _keep(name, entry)
    return name


def _keep(name: str, entry: Scenario | str) -> None:
    _registered[name] = entry
    for tell in _watchers:
        tell(name)


def watch(tell: Callable[[str], None]) -> None:
    """Call ``tell`` with the id of every scenario there is, and of every one registered later.

    Watching twice with the same function changes nothing.
    """
    if tell in _watchers:
        return
    _watchers.append(tell)
    for name in names():
        tell(name)


def ships(name: str) -> bool:
    """Return whether a scenario of this id comes with the package."""
    return name in _shipped()


def origin(name: str) -> Path | None:
    """Return the file that declares a scenario of one's own, or None if it was made in memory."""
    entry = _registered.get(name)
    if name in _origins or not isinstance(entry, str):
        return _origins.get(name)
    spec = importlib.util.find_spec(entry.partition(":")[0])
    return Path(spec.origin) if spec is not None and spec.origin else None


def _identity(entry: Scenario | str) -> str:
    return entry if isinstance(entry, str) else entry.fingerprint()


def get(name: str | Path, **parameters: object) -> Scenario:
    """Return a scenario by id (with or without ``twingym/``), or from the path of a scenario file.

    Args:
        name: ``Glucose-v0``, ``twingym/Glucose-v0``, ``path/to/my_scenario.py``, or ``path/to/my_table.toml``.
        **parameters: Constants to vary; see :meth:`Scenario.vary`.

    Raises:
        UnknownNameError: If nothing of that name exists; suggests the nearest.
        SpecError: If the file that declares it is broken; names the file.
    """
    text = str(name)
    if text.endswith((".py", ".toml")):
        return load(Path(text)).vary(**parameters)
    key = text.removeprefix("twingym/")
    entry = _registered.get(key) or _shipped().get(key)
    if entry is None:
        raise unknown("scenario", key, names(), "A scenario of your own is named by the path of its file.")
    scenario = _resolve(key, entry) if isinstance(entry, str) else entry
    return scenario.vary(**parameters)


def _resolve(key: str, where: str) -> Scenario:
    module_name, _, attribute = where.partition(":")
    try:
        scenario = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise SpecError(f"scenario {key!r} cannot be loaded from {where}: {type(error).__name__}: {error}") from error
    return _checked(scenario, where)


def load(path: Path) -> Scenario:
    """Return the ``SCENARIO`` of a Python file, or that of a table's spec, and register it under its id.

    Raises:
        SpecError: If there is no such file, it fails to run, or it declares no SCENARIO.
    """
    path = path.resolve()
    if not path.is_file():
        raise SpecError(f"scenario file {path} does not exist; give the path of a Python file that declares SCENARIO.")
    if path.suffix == ".toml":
        from twingym.scenarios.table_scenario import from_table

        scenario = from_table(path)
    else:
        scenario = _checked(getattr(_module_at(path), "SCENARIO", None), str(path))
    if scenario.id not in _shipped():
        _origins[scenario.id] = path
        _keep(scenario.id, scenario)
    elif scenario.fingerprint() != get(scenario.id).fingerprint():
        raise SpecError(f"scenario file {path}: id {scenario.id!r} belongs to a shipped scenario; choose another name.")
    return scenario


def _module_at(path: Path) -> ModuleType:
    # The name follows the content of the path, so that two files of the same name do not share a module.
    module_name = f"twingym_scenario_{path.stem}_{abs(hash(str(path))):x}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise SpecError(f"scenario file {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up while it is being executed
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise SpecError(f"scenario file {path} fails: {type(error).__name__}: {error}") from error
    return module


def _checked(scenario: object, where: str) -> Scenario:
    if not isinstance(scenario, Scenario):
        raise SpecError(f"{where} holds {type(scenario).__name__}; allowed: a module-level SCENARIO = Scenario(...).")
    return scenario
