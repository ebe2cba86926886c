"""When may the golden course of a version be written anew?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twingym.evaluation.checks.golden_course import next_version
from twingym.twins.errors import RunExistsError

FOLDER = Path(__file__).parent / "golden"
ROUNDING = 1e-6  # by how much, relatively, another platform may round; a changed constant moves numbers by more
ABSOLUTE = 1e-9
Arrays = Mapping[str, NDArray[np.float64]]


def read(path: Path, name: str) -> Arrays:
    """Return the arrays of a golden file, which must be that of the scenario ``name``."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    found = kept.pop("scenario", None)
    assert found == name, f"{path.name} is of scenario {found!r}; allowed: {name!r}"
    return {key: np.asarray(values, dtype=np.float64) for key, values in kept.items()}


def write(path: Path, name: str, arrays: Mapping[str, ArrayLike], rounding: bool = False) -> None:
    """Write arrays with 10 digits, unless the file holds others of the same id.

    Args:
        path: The file.
        name: Id of the scenario.
        arrays: Its course.
        rounding: Whether numbers may differ as far as another platform rounds.

    Raises:
        RunExistsError: If they differ by more.
    """
    found = {key: _rounded(np.asarray(values, dtype=np.float64)) for key, values in arrays.items()}
    if path.exists():
        kept = read(path, name)
        if _alike(kept, found, 0.0, 0.0):
            return
        if not (rounding and _alike(kept, found, ROUNDING, ABSOLUTE)):
            more = "" if rounding else f" If only another platform's rounding differs (below {ROUNDING:g}): --rounding."
            raise RunExistsError(
                f"{path.name} holds another course of {name}; a change of behaviour raises the version in the id to "
                f"{next_version(name)}, whose course goes into a file of its own.{more}"
            )
    path.parent.mkdir(exist_ok=True)
    lines = [f'"scenario": {json.dumps(name)}']
    lines += [f"{json.dumps(key)}: {json.dumps(values.tolist())}" for key, values in found.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _alike(kept: Arrays, found: Arrays, relative: float, absolute: float) -> bool:
    return kept.keys() == found.keys() and all(
        values.shape == found[key].shape
        and np.allclose(found[key], values, rtol=relative, atol=absolute, equal_nan=True)
        for key, values in kept.items()
    )


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([float(f"{number:.10g}") for number in values.ravel()]).reshape(values.shape)
