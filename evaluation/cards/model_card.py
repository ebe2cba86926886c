"""The evidence about a twin model, written by the machine: every field computed, or null with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twingym.evaluation.cards.page import PLOT, page
from twingym.evaluation.caveat import caveat
from twingym.evaluation.fidelity.report import bars
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError
from twingym.twins.model import TwinModel, write_atomically

CARD, PAGE = "card.json", "card.md"
SCHEMA = 2
UNEXPLOITED = "No agent was trained in the model for this card; `twingym card --exploit` trains one."


def card(
    scenario: Scenario,
    model: TwinModel,
    report: Mapping[str, Any],
    recomputed: Mapping[str, Any] | None,
    judge: str = "reference",
    exploited: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put a fidelity report and what the model was fitted on into one record.

    Args:
        scenario: Whose model it is.
        model: The twin model.
        report: From :func:`~twingym.evaluation.fidelity.report.fidelity`.
        recomputed: The same with little effort, which tests repeat from the shipped weights; None if it was not asked.
        judge: What the model was compared with.
        exploited: From :func:`~twingym.evaluation.fidelity.exploitability.exploitability`; None without trained agents.

    Raises:
        SpecError: If the scenario has no fidelity plan.
    """
    plan = scenario.fidelity
    if plan is None:
        raise SpecError(f"scenario {scenario.id!r}: fidelity is None; a card needs a fidelity plan.")
    checks = bars(report, plan)
    return {
        "schema": SCHEMA,
        "scenario": scenario.id,
        "world": scenario.world_fingerprint(),
        "note": caveat(scenario),
        "weights": model.sha256,
        "judge": judge,
        "variable": plan.variable,
        "step": f"{scenario.dt:g} {scenario.dt_unit.removesuffix('s') if scenario.dt == 1.0 else scenario.dt_unit}",
        "training": model.training,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "exploitability": exploitability_field(exploited),
        "report": report,
        "recomputed": recomputed,
        "bars": checks.to_dict(orient="records"),
        "cleared": bool(checks["cleared"].all()),
    }


def exploitability_field(exploited: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a card says of agents that were trained in the model, or why it says nothing."""
    return {"value": exploited, "reason": None if exploited else UNEXPLOITED}


def write_card(folder: Path, content: Mapping[str, Any], text: str | None = None) -> Path:
    """Write a card as JSON, as a page and as a picture, each atomically; returns the path of the JSON.

    A page that is given as ``text`` has no picture.
    """
    from twingym.evaluation.cards.plot import picture

    path = folder / CARD
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False, default=float) + "\n").encode())
    if text is not None:
        write_atomically(folder / PAGE, text.encode())
        return path
    content = read_card(folder)  # so that the page is that of the file, whatever JSON makes of a number
    write_atomically(folder / PAGE, page(content).encode())
    write_atomically(folder / PLOT, picture(content))
    return path


def withdraw_card(folder: Path) -> bool:
    """Remove the card in a folder, if there is one: beside weights that it was not made of it would be believed."""
    found = [path for path in (folder / CARD, folder / PAGE, folder / PLOT) if path.is_file()]
    for path in found:
        path.unlink()
    return bool(found)


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
