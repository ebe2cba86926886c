"""What has to be read beside a result: whose word it is, and what was taken for granted."""

from __future__ import annotations

from twingym.scenarios.scenario import Scenario

REFERENCE = "The reference is itself a model; nothing here is for treatment decisions."
RECORDED = "A twin model is a summary of what was recorded; nothing here is for treatment decisions."


def caveat(scenario: Scenario) -> str:
    """Say what stands behind everything that is said of a scenario's people."""
    return REFERENCE if scenario.recorded is None else RECORDED


def assumptions(scenario: Scenario) -> list[str]:
    """Say which effects are taken for granted, in words."""
    return [p.about for p in scenario.provenance.values()] if scenario.assumed else []
