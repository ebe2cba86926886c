"""Where are the weights of a scenario's twin model?"""

from __future__ import annotations

from pathlib import Path

from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import WeightsError


def weights_folder(scenario: Scenario) -> Path:
    """Return the folder of the twin model of ``scenario``, whether or not it exists yet.

    Shipped scenarios keep it in the package, under ``scenarios/weights/<id>/``; a scenario of your own beside
    its file, in ``<stem>_twin/``.

    Raises:
        WeightsError: If the scenario was made in memory, so that it has no file to keep weights beside.
    """
    if registry.ships(scenario.id):
        return Path(__file__).parent / "weights" / scenario.id
    origin = registry.origin(scenario.id)
    if origin is None:
        raise WeightsError(f"scenario {scenario.id!r} comes from no file that weights could lie beside; give weights=.")
    return origin.parent / f"{origin.stem}_twin"
