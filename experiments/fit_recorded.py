"""`twingym fit` on a scenario from a table: a twin model and its challenger, on other people each, and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from twingym.envs.dynamics import CHALLENGER, resolve
from twingym.evaluation.cards.model_card import exploitability_field
from twingym.evaluation.cards.recorded_card import recorded_card
from twingym.evaluation.cards.recorded_page import recorded_page
from twingym.evaluation.fidelity.exploitability import exploitability
from twingym.evaluation.fidelity.held_out import recorded_of
from twingym.evaluation.judge import judged_by
from twingym.evaluation.rollout import Policy
from twingym.experiments.console import bars_table
from twingym.experiments.finished_blocks import FinishedBlocks
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.errors import WeightsError
from twingym.twins.fit import fit_twin
from twingym.twins.fit_config import FitConfig
from twingym.twins.model import WEIGHTS, TwinModel

BACKBONE: Literal["gru"] = "gru"  # of challengers, where none is asked for
EXPLOITED_PEOPLE, SEED = 1000, 20261  # whom agents are judged on, and with which luck


def fit_recorded(
    scenario: Scenario,
    config: FitConfig | None = None,
    folder: Path | None = None,
    *,
    challenger: str | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> TwinModel:
    """Fit a twin model to the people of a table, or its challenger to others of them; saves nothing.

    Args:
        scenario: From a table.
        config: How to train; as the scenario says if None.
        folder: Where a checkpoint is kept after each epoch; None for none.
        challenger: Backbone of a challenger; None for the twin model itself.
        device: Torch device of the fit.
        progress: Whether to show a bar.

    Raises:
        SpecError: If the scenario is not from a table, or the device is not there.
        WeightsError: If the folder holds a checkpoint of another fit.
    """
    recorded = recorded_of(scenario)
    network = replace(scenario.network, backbone=challenger) if challenger else scenario.network
    source = recorded.learners(challenger=challenger is not None)
    config = config or scenario.fit
    model = fit_twin(source, scenario.twin_spec(), folder, config, network, device=device, progress=progress)
    tables = {p.table: p.sha256 for p in recorded.provenance.values()}
    return TwinModel(model.network, {**model.training, "tables": tables})


def judged_recorded(
    scenario: Scenario,
    model: TwinModel,
    folder: Path,
    console: Console,
    agents: Callable[[], Mapping[str, Policy]] | None = None,
    finished: FinishedBlocks | None = None,
) -> tuple[dict[str, Any], str]:
    """Return the card of a model as JSON and as a page, and print its bars; a challenger in ``folder`` judges too.

    Args:
        scenario: From a table.
        model: Its twin model.
        folder: Of its weights.
        console: Where to print.
        agents: Trains or loads what shows whether agents exploit the model's errors; none by default. The challenger
            judges them, on simulated people with the traits of those who were held out.
        finished: Blocks that were finished before; none by default.

    Raises:
        WeightsError: If there are agents, and no challenger to judge them.
    """
    once = finished.once if finished else lambda name, compute: compute()
    try:
        challenger = TwinModel.load(folder / CHALLENGER, scenario.world_fingerprint())
    except WeightsError:
        challenger = None
    with console.status("forecasting held-out people"):
        content = dict(once("held out", lambda: recorded_card(scenario, model, challenger)))
    exploited = None
    if agents is not None:
        _, world = judged_by(scenario, CHALLENGER, folder)
        dynamics, held_out = resolve(scenario, "transformer", folder), people("test", EXPLOITED_PEOPLE)
        exploited = once("exploitability", lambda: exploitability(world, dynamics, agents(), held_out, SEED))
    content["exploitability"] = exploitability_field(exploited)
    console.print(bars_table(f"{scenario.id}: twin model on {content['judge']}", content["bars"]))
    for line in content["cannot"]:
        console.print(f"[bold]can not support[/] {line}")
    return content, recorded_page(content)


def lacks_challenger(folder: Path) -> bool:
    """Return whether no challenger lies beside the twin model of ``folder``."""
    return not (folder / CHALLENGER / WEIGHTS).is_file()


def said_of(recorded: Mapping[str, Any]) -> str:
    """Say whom a fit learns from."""
    people = recorded["people"]
    return (
        f"{people['train']:,} people to learn from, a third of them for the challenger; {people['validation']:,} "
        f"decide when to stop, {people['test']:,} are held out"
    )
