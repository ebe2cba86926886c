"""`twingym card`: how far can a twin model be trusted, measured again and written as JSON and as a page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from twingym import __version__
from twingym.agents.export import ExportedPolicy, load_policy
from twingym.agents.trainer import train
from twingym.envs.dynamics import CHALLENGER, resolve
from twingym.evaluation.cards.model_card import CARD, PAGE, card, write_card
from twingym.evaluation.fidelity.exploitability import exploitability
from twingym.evaluation.fidelity.report import QUICK, Effort, fidelity
from twingym.evaluation.judge import judged_by
from twingym.evaluation.rollout import Policy
from twingym.experiments.cli import run_module
from twingym.experiments.console import bars_table, console
from twingym.experiments.finished_blocks import FinishedBlocks
from twingym.experiments.fit_recorded import judged_recorded
from twingym.scenarios import Scenario, get
from twingym.scenarios.recorded import check_varied
from twingym.scenarios.weights import weights_folder
from twingym.twins.cohort import people
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import RunExistsError, SpecError
from twingym.twins.model import TwinModel, digest

SNAPSHOTS = "policies"
SCHOOL = "exploiting.unfinished"  # folder of the checkpoints of an agent that is trained for a card


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
    """Few people, and neither policies nor calibration; a table's card has no such form."""
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

    Whatever is finished is kept beside the card until the card is written, so that the same command goes on where a
    stopped one was.

    Raises:
        RunExistsError: If a card exists and ``replace`` was not asked for.
        WeightsError: If there is no twin model, or one of something else; or a given folder holds no policy.
        SpecError: If the scenario has no fidelity plan, or not the judge that was asked for, or an agent is both to be
            trained and given, or two have the same name; if a table's card is to be quick, or nobody can know what its
            interventions do.
        KeyboardInterrupt: If the training of an agent is stopped: a card says nothing of half an agent.
    """
    if args.exploit and args.agents:
        raise SpecError("exploit is True and agents are given; allowed: one of the two.")
    scenario, screen = get(args.env), console()
    folder = args.weights or weights_folder(scenario)
    out = args.out or folder
    if (out / CARD).exists() and not args.replace:
        raise RunExistsError(f"{out / CARD} exists; pass --replace to write it again, or --out for another folder.")
    model, given = TwinModel.load(folder, scenario.world_fingerprint()), given_agents(args.agents, scenario)
    if scenario.recorded is not None:
        check_recorded(args, scenario, folder)
    finished = FinishedBlocks(out, depends_on(args, scenario, folder))
    school = out / SCHOOL
    if finished.found:
        screen.print(f"{', '.join(finished.found)}: finished before, kept in {finished.path}")
    else:
        shutil.rmtree(school, ignore_errors=True)

    def agents() -> Mapping[str, Policy]:
        if not args.exploit:
            return given
        return {"PPO": trained(scenario, resolve(scenario, "transformer", folder), school, args.n_timesteps)}

    exploited, text = agents if args.exploit or given else None, None
    how: dict[str, Any] = {"quick": args.quick, "against": args.against, "weights": folder}
    try:
        if scenario.recorded is None:
            content = judged(scenario, model, screen, exploited, **how, finished=finished)
        else:
            content, text = judged_recorded(scenario, model, folder, screen, exploited, finished)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"the same command goes on after the last finished block, kept in {out}") from stop
    write_card(out, content, text)
    finished.remove()
    shutil.rmtree(school, ignore_errors=True)
    screen.print(f"card: {out / PAGE}")


def check_recorded(args: Args, scenario: Scenario, folder: Path) -> None:
    """Refuse what the card of a table has not.

    Raises:
        SpecError: If it is to be quick, judged by a reference, or to train an agent for what nobody was ever given.
        WeightsError: If agents are to be judged, and there is no challenger to do it.
    """
    if args.quick:
        raise SpecError("quick is True; the card of a table takes seconds and has no shorter form. Leave it out.")
    if args.exploit:
        check_varied(scenario.recorded, scenario.assumed, scenario.id)
    if args.against or args.exploit or args.agents:
        judged_by(scenario, args.against, folder)


def depends_on(args: Args, scenario: Scenario, folder: Path) -> dict[str, Any]:
    """Return what the blocks of a card depend on, plain JSON: functions of the plan by their names alone."""

    def said(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: said(part) for name, part in value.items()}
        if isinstance(value, tuple):
            return [said(part) for part in value]
        return value.__qualname__ if callable(value) else value

    models = [folder, folder / CHALLENGER] if (folder / CHALLENGER).is_dir() else [folder]
    recorded = {} if scenario.recorded is None else scenario.recorded.provenance
    return {
        "scenario": scenario.fingerprint(),
        "plan": None if scenario.fidelity is None else said(vars(scenario.fidelity)),
        "weights": [digest(model) for model in models],
        "tables": {source.table: source.sha256 for source in recorded.values()},
        "judge": args.against,
        "exploited": [args.exploit, args.n_timesteps, [str(path) for path in args.agents]],
        "quick": args.quick,
        "code": __version__,
    }


def snapshots(scenario: Scenario) -> dict[str, ExportedPolicy]:
    """Return the trained policies that lie beside a scenario's weights, by name: what its twin model is judged on.

    Raises:
        WeightsError: If one cannot be read, or is of another scenario.
    """
    found = {path.name: load_policy(path) for path in sorted((weights_folder(scenario) / SNAPSHOTS).glob("*"))}
    for policy in found.values():
        policy.check(scenario)
    return found


def given_agents(folders: Sequence[Path], scenario: Scenario) -> dict[str, Policy]:
    """Load agents that were trained in the model, by name.

    Raises:
        SpecError: If two folders have the same name.
        WeightsError: If a folder holds no policy of this scenario.
    """
    found: dict[str, Policy] = {}
    for folder in folders:
        policy = load_policy(folder)
        policy.check(scenario)
        name = f"{policy.description['algorithm']} {folder.name}"
        if name in found:
            raise SpecError(f"two agents are called {name!r}; allowed: folders with names of their own.")
        found[name] = policy
    return found


def trained(scenario: Scenario, dynamics: Dynamics, folder: Path, n_timesteps: int | None) -> Policy:
    """Train PPO in a twin model, with checkpoints in ``folder``, from which it goes on.

    Raises:
        KeyboardInterrupt: If the training is stopped.
    """
    training = train(
        scenario,
        dynamics=dynamics,
        n_timesteps=n_timesteps,
        folder=folder,
        resume=any(folder.glob("steps_*")),
        progress=True,
    )
    if not training.finished:
        raise KeyboardInterrupt
    return training.policy


def judged(
    scenario: Scenario,
    model: TwinModel,
    screen: Console,
    agents: Callable[[], Mapping[str, Policy]] | None = None,
    *,
    quick: bool = False,
    against: str | None = None,
    weights: Path | None = None,
    effort: Effort | None = None,
    finished: FinishedBlocks | None = None,
) -> dict[str, Any]:
    """Compute the card of a model and print its bars.

    Args:
        scenario: Whose model.
        model: The twin model.
        screen: Where to print.
        agents: Trains or loads what shows whether agents exploit the model's errors; none by default.
        quick: Whether to leave out all that takes long.
        against: Who judges; see :func:`~twingym.evaluation.judge.judged_by`.
        weights: Folder of the model, in which a challenger lies too.
        effort: How much is simulated, if not the usual.
        finished: Blocks that were finished before; none by default.

    Raises:
        SpecError: If the scenario has no fidelity plan, or not the judge that was asked for.
    """
    judge, world = judged_by(scenario, against, weights)

    def once(name: str, compute: Callable[[], Any]) -> Any:
        screen.print(f"comparing with the {judge}: {name.replace('_', ' ')}", style="dim")
        return finished.once(name, compute) if finished else compute()

    again = once("recomputed", lambda: fidelity(world, model, QUICK, values=False))
    report = again if quick else fidelity(world, model, effort, policies=snapshots(scenario), once=once)
    exploited = None
    if agents is not None and world.fidelity is not None:
        held_out = people("test", world.fidelity.policy_people)
        exploited = once(
            "exploitability", lambda: exploitability(world, model.dynamics(), agents(), held_out, report["seed"])
        )
    content = card(scenario, model, report, again, judge, exploited)
    screen.print(bars_table(f"{scenario.id}: twin model against {judge}", content["bars"]))
    return content


if __name__ == "__main__":
    run_module(__file__)
