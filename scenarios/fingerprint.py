"""Which short hash tells two declarations apart, and what of them does not count?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from twingym.scenarios.definitions import definition

# Prose, drawing, and how a twin model is fitted and what it may take for granted are not part of what a scenario does.
_OF_THE_TWIN_MODEL = {"recurrent", "amount_of", "relative", "edges", "network", "fit"}
# What somebody else believes changes nothing either.
_BELIEVED = {"guess_inputs"}
_PROSE = {"about", "source", "sources", "equations", "versions", "units", "title", "provenance", "rebuild", "band"}
_PROSE |= {"track", "fidelity"}
# What was added to declarations since weights were first shipped counts where it is used.
_SINCE: dict[str, object] = {"intermittent": False, "assumed": {}}
# Whoever is added to a table is another person of the same world.
_UNHASHED = _OF_THE_TWIN_MODEL | _BELIEVED | _PROSE | {"recorded"}


def fingerprint_of(value: object) -> str:
    """Return a hash of a declaration: 16 hexadecimal digits, the same on every machine."""
    text = json.dumps(_plain(value), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> Any:
    """Reduce a declaration to JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in _UNHASHED}
        return {k: _plain(v) for k, v in said.items() if k not in _SINCE or v != _SINCE[k]}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, set | frozenset):  # texts come in another order in every process
        return sorted((_plain(v) for v in value), key=json.dumps)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if callable(value):
        return definition(value)
    return value
