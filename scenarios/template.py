"""What does the file of a new scenario begin with?"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Literal, get_args

from twingym.scenarios import registry
from twingym.twins.errors import RunExistsError, SpecError, unknown

Kind = Literal["patient", "consumer"]
_FOLDER = Path(__file__).parent / "templates"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def write_scenario(name: str, kind: Kind, path: Path | None = None) -> Path:
    """Write a scenario that runs, to be made one's own part by part.

    Args:
        name: Its name; the id is ``<name>-v0``.
        kind: ``patient`` (a dose, a measured value, one compartment) or ``consumer`` (levels, an event that ends it).
        path: Where; ``<name>_scenario.py`` in the current folder if None.

    Returns:
        The file.

    Raises:
        UnknownNameError: If there is no such kind.
        SpecError: If the name is none, or taken; if the file would not be Python.
        RunExistsError: If the file exists.
    """
    if kind not in get_args(Kind):
        raise unknown("kind", kind, get_args(Kind))
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"name is {name!r}; allowed: letters, digits and underscores, such as Sleep (it is Sleep-v0 then)."
        )
    if f"{name}-v0" in registry.names():
        raise SpecError(f"scenario {name}-v0 exists already; choose another name.")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    path = Path(f"{words}_scenario.py") if path is None else path
    if path.suffix != ".py":
        raise SpecError(f"the file is {str(path)!r}; allowed: one that ends in .py.")
    text = Template((_FOLDER / f"{kind}.txt").read_text(encoding="utf-8")).substitute(id=f"{name}-v0", file=path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RunExistsError(f"{path} exists already and is never overwritten; name another file.") from error
    return path
