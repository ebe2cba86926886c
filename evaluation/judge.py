"""Who judges a twin model: its published reference, or a challenger where there is none?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twingym.envs.dynamics import NAMES, resolve
from twingym.scenarios.scenario import Scenario
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown

JUDGES = tuple(name for name in NAMES if name != "transformer")


def judged_by(
    scenario: Scenario, against: str | None = None, weights: str | Path | None = None
) -> tuple[str, Scenario]:
    """Return the judge's name, and the scenario with the judge in the place of its reference.

    A challenger is another backbone fitted on other people: it errs in its own way, so that agreement says something,
    though less than a reference does.

    Args:
        scenario: Whose twin model is judged.
        against: ``reference`` or ``challenger``; the reference where there is one if None.
        weights: Folder of the twin model, whose subfolder ``challenger`` holds the challenger; the scenario's own if
            None.

    Raises:
        UnknownNameError: If the judge is neither; suggests the nearest.
        SpecError: If the scenario has no reference that could judge.
        WeightsError: If there is no challenger, or one of something else.
    """
    name = against or ("challenger" if scenario.reference is None else "reference")
    if name not in JUDGES:
        raise unknown("judge", name, JUDGES)
    if name == "reference":
        if scenario.reference is None:
            raise SpecError(f"scenario {scenario.id!r} has no reference to judge by; use against='challenger'.")
        return name, scenario
    dynamics = resolve(scenario, name, weights)

    def stand_in() -> Dynamics:
        return dynamics

    return name, replace(scenario, reference=stand_in)
