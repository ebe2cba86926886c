"""The evidence about a twin model, written by the machine: every field computed, or null with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twingym.evaluation.fidelity import bars
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError
from twingym.twins.model import TwinModel, write_atomically

CARD = "card.json"
SCHEMA = 1
NOTE = "The reference is itself a model; nothing here is for treatment decisions."


def card(
    scenario: Scenario, model: TwinModel, report: Mapping[str, Any], recomputed: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a fidelity report and what the model was fitted on into one record.

    Args:
        scenario: Whose model it is.
        model: The twin model.
        report: From :func:`~twingym.evaluation.fidelity.fidelity`.
        recomputed: The same with little effort, which tests repeat from the shipped weights.

    Raises:
        SpecError: If the scenario has no fidelity plan.
    """
    if scenario.fidelity is None:
        raise SpecError(f"scenario {scenario.id!r}: fidelity is None; a card needs a fidelity plan.")
    checks = bars(report, scenario.fidelity)
    return {
        "schema": SCHEMA,
        "scenario": scenario.id,
        "world": scenario.world_fingerprint(),
        "note": NOTE,
        "training": model.training,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "report": report,
        "recomputed": recomputed,
        "bars": checks.to_dict(orient="records"),
        "cleared": bool(checks["cleared"].all()),
    }


def write_card(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write a card beside the weights, atomically; returns its path."""
    path = folder / CARD
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False, default=float) + "\n").encode())
    return path


def read_card(folder: Path) -> dict[str, Any]:
    """Read a card.

    Raises:
        SpecError: If there is none.
    """
    path = folder / CARD
    if not path.is_file():
        raise SpecError(f"no card in {folder}; `twingym fit` writes one.")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
