"""`twingym card`: how far can a twin model be trusted, measured again and written as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from twingym.agents.export import ExportedPolicy, load_policy
from twingym.agents.trainer import train
from twingym.evaluation.exploitability import exploitability
from twingym.evaluation.fidelity import QUICK, fidelity
from twingym.evaluation.judge import judged_by
from twingym.evaluation.model_card import CARD, PAGE, card, write_card
from twingym.evaluation.rollout import Policy
from twingym.experiments.cli import run_module
from twingym.experiments.fit_recorded import judged_recorded
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins.cohort import people
from twingym.twins.errors import RunExistsError, SpecError
from twingym.twins.model import TwinModel

SNAPSHOTS = "policies"


@dataclass
class Args:
    """Compare a twin model with its judge, or a table's with held-out people, and write its card."""

    env: str
    """Scenario id, or path of a scenario file."""
    weights: Path | None = None
    """Folder of the twin model; default: the scenario's own."""
    out: Path | None = None
    """Folder of card.json and card.md; default: beside the weights."""
    against: str | None = None
    """Who judges: reference, or challenger (another backbone in the folder of the weights); the reference if there is
    one."""
    quick: bool = False
    """Few people, and neither policies nor calibration."""
    exploit: bool = False
    """Train PPO in the model and tell what remains, under the judge, of what it was promised: takes minutes."""
    n_timesteps: int | None = None
    """Steps of that training; default: those of `twingym train`."""
    agents: tuple[Path, ...] = ()
    """Folders of exported policies that were trained in this model, to be judged in its place."""
    replace: bool = False
    """Replace a card that is there already."""


def run(args: Args) -> None:
    """Do what ``twingym card`` asks for.

    Raises:
        RunExistsError: If a card exists and ``replace`` was not asked for.
        WeightsError: If there is no twin model, or one of something else.
        SpecError: If the scenario has no fidelity plan, or not the judge that was asked for, or an agent is both to be
            trained and given.
    """
    if args.exploit and args.agents:
        raise SpecError("exploit is True and agents are given; allowed: one of the two.")
    scenario, console = get(args.env), Console()
    folder = args.weights or weights_folder(scenario)
    out = args.out or folder
    if (out / CARD).exists() and not args.replace:
        raise RunExistsError(f"{out / CARD} exists; pass --replace to write it again, or --out for another folder.")
    model = TwinModel.load(folder, scenario.world_fingerprint())
    if scenario.recorded is not None:
        content, text = judged_recorded(scenario, model, folder, console)
        write_card(out, content, text)
        console.print(f"card: {out / PAGE}")
        return
    agents = exploiting(args, scenario, model)
    write_card(out, judged(scenario, model, console, agents, quick=args.quick, against=args.against, weights=folder))
    console.print(f"card: {out / PAGE}")


def snapshots(scenario: Scenario) -> dict[str, ExportedPolicy]:
    """Return the trained policies that ship with a scenario's weights, by name: what its twin model is judged on."""
    return {path.name: load_policy(path) for path in sorted((weights_folder(scenario) / SNAPSHOTS).glob("*"))}


def exploiting(args: Args, scenario: Scenario, model: TwinModel) -> dict[str, Policy]:
    """Return agents that were trained in the model, by name: those given, one trained now, or none.

    Raises:
        KeyboardInterrupt: If the training is stopped: a card says nothing of half an agent.
        SpecError: If two folders have the same name.
        WeightsError: If a folder holds no policy of this scenario.
    """
    found: dict[str, Policy] = {}
    for folder in args.agents:
        policy = load_policy(folder)
        policy.check(scenario)
        name = f"{policy.description['algorithm']} {folder.name}"
        if name in found:
            raise SpecError(f"two agents are called {name!r}; allowed: folders with names of their own.")
        found[name] = policy
    if not args.exploit:
        return found
    training = train(scenario, dynamics=model.dynamics(), n_timesteps=args.n_timesteps, progress=True)
    if not training.finished:
        raise KeyboardInterrupt("no card was written")
    return {"PPO": training.policy}


def judged(
    scenario: Scenario,
    model: TwinModel,
    console: Console,
    agents: Mapping[str, Policy] | None = None,
    *,
    quick: bool = False,
    against: str | None = None,
    weights: Path | None = None,
) -> dict[str, Any]:
    """Compute the card of a model and print its bars.

    Args:
        scenario: Whose model.
        model: The twin model.
        console: Where to print.
        agents: What was trained in the model, to see whether it exploits its errors; none by default.
        quick: Whether to leave out all that takes long.
        against: Who judges; see :func:`~twingym.evaluation.judge.judged_by`.
        weights: Folder of the model, in which a challenger lies too.

    Raises:
        SpecError: If the scenario has no fidelity plan, or not the judge that was asked for.
    """
    judge, world = judged_by(scenario, against, weights)
    with console.status(f"comparing with the {judge}"):
        again = fidelity(world, model, QUICK, values=False)
        report = again if quick else fidelity(world, model, policies=snapshots(scenario))
        exploited = None
        if agents and world.fidelity is not None:
            held_out = people("test", world.fidelity.policy_people)
            exploited = exploitability(world, model.dynamics(), agents, held_out, report["seed"])
    content = card(scenario, model, report, again, judge, exploited)
    table = Table("check", "value", "bar", "", title=f"{scenario.id}: twin model against {judge}")
    for row in content["bars"]:
        table.add_row(row["check"], f"{row['value']:.3f}", row["bar"], "ok" if row["cleared"] else "[red]missed[/red]")
    console.print(table)
    return content


if __name__ == "__main__":
    run_module(__file__)
