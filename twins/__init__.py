"""Twins: people, their noise, and the dynamics that move them; imports numpy, scipy and torch only."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twingym.twins.cohort import Cohort as Cohort
    from twingym.twins.cohort import people as people
    from twingym.twins.cohort import split_of as split_of
    from twingym.twins.courses import Courses as Courses
    from twingym.twins.fit import fit_twin as fit_twin
    from twingym.twins.fit_config import FitConfig as FitConfig
    from twingym.twins.gate import dataset as dataset
    from twingym.twins.model import TwinModel as TwinModel
    from twingym.twins.noise import uniforms as uniforms
    from twingym.twins.particles import ParticleFilter as ParticleFilter
    from twingym.twins.recalibration import recalibrated as recalibrated
    from twingym.twins.variables import Variable as Variable

# Loaded on first use: torch is needed by some of these only.
_WHERE = {
    "Cohort": "cohort",
    "Courses": "courses",
    "FitConfig": "fit_config",
    "ParticleFilter": "particles",
    "TwinModel": "model",
    "Variable": "variables",
    "dataset": "gate",
    "fit_twin": "fit",
    "people": "cohort",
    "recalibrated": "recalibration",
    "split_of": "cohort",
    "uniforms": "noise",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
