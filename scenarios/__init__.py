"""Scenarios: declarations of problems, and the published reference equations beside them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twingym.scenarios.bookkeeping import Bookkeeping as Bookkeeping
    from twingym.scenarios.constraint import Constraint as Constraint
    from twingym.scenarios.intervention import Intervention as Intervention
    from twingym.scenarios.metric import Metric as Metric
    from twingym.scenarios.parameter import Parameter as Parameter
    from twingym.scenarios.registry import get as get
    from twingym.scenarios.registry import load as load
    from twingym.scenarios.registry import names as names
    from twingym.scenarios.registry import register as register
    from twingym.scenarios.rule import Rule as Rule
    from twingym.scenarios.scenario import Scenario as Scenario
    from twingym.scenarios.step import Step as Step
    from twingym.scenarios.step import Values as Values
    from twingym.scenarios.table.problems import TableError as TableError
    from twingym.scenarios.table.scenario import from_table as from_table
    from twingym.twins.variables import Variable as Variable

# Loaded on first use, so that importing twingym stays cheap.
_WHERE = {
    "Bookkeeping": "bookkeeping",
    "Constraint": "constraint",
    "Intervention": "intervention",
    "Metric": "metric",
    "Parameter": "parameter",
    "Rule": "rule",
    "Scenario": "scenario",
    "Step": "step",
    "TableError": "table.problems",
    "Values": "step",
    "Variable": "twingym.twins.variables",
    "from_table": "table.scenario",
    "get": "registry",
    "load": "registry",
    "names": "registry",
    "register": "registry",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    where = _WHERE[name]
    return getattr(import_module(where if where.startswith("twingym.") else f"{__name__}.{where}"), name)
