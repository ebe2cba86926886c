"""`twingym card`: how far can a twin model be trusted, measured again and written as JSON and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twingym.agents.export import ExportedPolicy, load_policy
from twingym.evaluation.fidelity import QUICK, fidelity
from twingym.evaluation.model_card import CARD, PAGE, card, write_card
from twingym.experiments.cli import run_module
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import RunExistsError
from twingym.twins.model import TwinModel

SNAPSHOTS = "policies"


@dataclass
class Args:
    """Compare a twin model with the reference and write its card."""

    env: str
    """Scenario id, or path of a scenario file."""
    weights: Path | None = None
    """Folder of the twin model; default: the scenario's own."""
    out: Path | None = None
    """Folder of card.json and card.md; default: beside the weights."""
    quick: bool = False
    """Few people, and neither policies nor calibration."""
    replace: bool = False
    """Replace a card that is there already."""


def run(args: Args) -> None:
    """Do what ``twingym card`` asks for.

    Raises:
        RunExistsError: If a card exists and ``replace`` was not asked for.
        WeightsError: If there is no twin model, or one of something else.
        SpecError: If the scenario has no reference or no fidelity plan.
    """
    scenario, console = get(args.env), Console()
    folder = args.weights or weights_folder(scenario)
    out = args.out or folder
    if (out / CARD).exists() and not args.replace:
        raise RunExistsError(f"{out / CARD} exists; pass --replace to write it again, or --out for another folder.")
    model = TwinModel.load(folder, scenario.world_fingerprint())
    write_card(out, judged(scenario, model, console, quick=args.quick))
    console.print(f"card: {out / PAGE}")


def snapshots(scenario: Scenario) -> dict[str, ExportedPolicy]:
    """Return the trained policies that ship with a scenario's weights, by name: what its twin model is judged on."""
    return {path.name: load_policy(path) for path in sorted((weights_folder(scenario) / SNAPSHOTS).glob("*"))}


def judged(scenario: Scenario, model: TwinModel, console: Console, *, quick: bool = False) -> dict[str, Any]:
    """Compute the card of a model and print its bars.

    Raises:
        SpecError: If the scenario has no reference or no fidelity plan.
    """
    with console.status("comparing with the reference"):
        again = fidelity(scenario, model, QUICK, values=False)
        report = again if quick else fidelity(scenario, model, policies=snapshots(scenario))
    content = card(scenario, model, report, again)
    table = Table("check", "value", "bar", "", title=f"{scenario.id}: twin model against reference")
    for row in content["bars"]:
        table.add_row(row["check"], f"{row['value']:.3f}", row["bar"], "ok" if row["cleared"] else "[red]missed[/red]")
    console.print(table)
    return content


if __name__ == "__main__":
    run_module(__file__)
