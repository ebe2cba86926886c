"""Which scenarios exist, and how is one found without importing the others?"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from twingym.scenarios.plugins import GROUP, Plugin, plugins
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
    """Map the id of each scenario file, or folder with one, to where its object is, by reading the files as text."""
    found, home = {}, Path(__file__).parent
    for path in sorted([*home.glob("*.py"), *home.glob("*/scenario.py")]):
        line = _ID_LINE.search(path.read_text(encoding="utf-8"))
        if line:
            module = ".".join(path.relative_to(home).with_suffix("").parts)
            found[line.group(1)] = f"twingym.scenarios.{module}:SCENARIO"
    return found


@cache
def _plugged() -> dict[str, Plugin]:
    """Return what installed packages bring beside what ships."""
    found = plugins()
    for name in found.keys() & _shipped().keys():
        warnings.warn(
            f"package {found[name].package} declares scenario {name!r}, which ships with twingym; it is left out. "
            "Have it choose another name.",
            stacklevel=2,
        )
    return {name: plugin for name, plugin in found.items() if name not in _shipped()}


def _known() -> dict[str, Scenario | str | Plugin]:
    """Map every id to where its scenario is; nothing that came later stands in the place of what ships."""
    return {**_plugged(), **_registered, **_shipped()}


def names() -> tuple[str, ...]:
    """Return the ids of all scenarios that can be asked for, sorted."""
    return tuple(sorted(_known()))


def register(scenario: Scenario | str, where: str | None = None) -> str:
    """Make a scenario known under its id, in this process. An installed package declares it for all (``plugins.py``).

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
    taken = _known().get(name)
    if taken is not None and not _same(name, taken, entry):
        raise SpecError(f"scenario {name!r} is registered already, with other content; raise its version (-v1, ...).")
    if name not in _shipped() and name not in _plugged():
        _keep(name, entry)
    return name


def _same(name: str, taken: Scenario | str | Plugin, entry: Scenario | str) -> bool:
    place = taken.where if isinstance(taken, Plugin) else taken
    if isinstance(place, str) and isinstance(entry, str):
        return place == entry
    first, second = (_resolved(name, each) for each in (taken, entry))
    return first.fingerprint() == second.fingerprint()


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
    """Return the file that declares a scenario, or None if it was made in memory."""
    entry = _known().get(name)
    if name in _origins or entry is None or isinstance(entry, Scenario):
        return _origins.get(name)
    module = (entry if isinstance(entry, str) else entry.where).partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # a package that cannot be imported has no file to look for
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def get(name: str | Path, **parameters: object) -> Scenario:
    """Return a scenario by id (with or without ``twingym/``), or from the path of a scenario file.

    Args:
        name: ``Glucose-v0``, ``twingym/Glucose-v0``, ``path/to/my_scenario.py``, or ``path/to/my_table.toml``.
        **parameters: Constants to vary; see :meth:`Scenario.vary`.

    Raises:
        UnknownNameError: If nothing of that name exists; suggests the nearest.
        SpecError: If the file or package that declares it is broken; names it.
    """
    text = str(name)
    if text.endswith((".py", ".toml")):
        return load(Path(text)).vary(**parameters)
    key = text.removeprefix("twingym/")
    entry = _known().get(key)
    if entry is None:
        raise unknown("scenario", key, names(), "A scenario of your own is named by the path of its file.")
    return _resolved(key, entry).vary(**parameters)


def _resolved(key: str, entry: Scenario | str | Plugin) -> Scenario:
    if isinstance(entry, Scenario):
        return entry
    if isinstance(entry, Plugin):
        where, by = entry.where, f", as package {entry.package} declares it ({GROUP})"
        if entry.problem:
            raise SpecError(f"scenario {key!r} is declared by {entry.package} ({GROUP}); {entry.problem}.")
    else:
        where, by = entry, ""
    module_name, _, attribute = where.partition(":")
    try:
        scenario = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:
        message = f"scenario {key!r} cannot be loaded from {where}{by}: {type(error).__name__}: {error}"
        raise SpecError(message) from error
    found = _checked(scenario, where)
    if found.id != key:
        raise SpecError(f"scenario {key!r} at {where}{by} has the id {found.id!r}; allowed: the one it is declared by.")
    return found


def load(path: Path) -> Scenario:
    """Return the ``SCENARIO`` of a Python file, or that of a table's spec, and register it under its id.

    The same file may be loaded again after it was edited.

    Raises:
        SpecError: If there is no such file, it fails to run, it declares no SCENARIO, or its id belongs to another
            scenario.
    """
    path = path.resolve()
    if not path.is_file():
        raise SpecError(f"scenario file {path} does not exist; give the path of a Python file that declares SCENARIO.")
    if path.suffix == ".toml":
        from twingym.scenarios.table.scenario import from_table

        scenario = from_table(path)
    else:
        scenario = _checked(getattr(_module_at(path), "SCENARIO", None), str(path))
    taken = _known().get(scenario.id)
    elsewhere = taken is not None and origin(scenario.id) != path
    if taken is not None and elsewhere and not _same(scenario.id, taken, scenario):
        owner = "a scenario that ships with twingym" if ships(scenario.id) else origin(scenario.id) or "one in memory"
        raise SpecError(
            f"scenario file {path}: id {scenario.id!r} belongs to {owner}, with other content; choose another name, or "
            "raise the version (-v1, ...)."
        )
    if not ships(scenario.id):
        _origins[scenario.id] = path
        _keep(scenario.id, scenario)
    return scenario


def _module_at(path: Path) -> ModuleType:
    # The name follows the content of the path, so that two files of the same name do not share a module.
    module_name = f"twingym_scenario_{path.stem}_{abs(hash(str(path))):x}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise SpecError(f"scenario file {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up while it is being executed
    try:
        source = path.read_bytes()
        # Compiled here: a cached .pyc is taken for current if an edit kept the size within the same second.
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # a script's sys.exit() would end what reads it, without a word
        del sys.modules[module_name]
        raise SpecError(f"scenario file {path} fails: {type(error).__name__}: {error}") from error
    # The text that was run, which hashes read (``definitions.py``), even if the file is edited during a long run.
    lines = importlib.util.decode_source(source).splitlines(keepends=True)
    linecache.cache[str(path)] = (len(source), None, lines, str(path))
    return module


def _checked(scenario: object, where: str) -> Scenario:
    if not isinstance(scenario, Scenario):
        raise SpecError(f"{where} holds {type(scenario).__name__}; allowed: a module-level SCENARIO = Scenario(...).")
    return scenario
