"""`twingym distil`: teach a twin model where networks that were fitted apart from it would disagree.

Five networks are fitted to other people (about two CPU minutes each; they are kept, and a stopped fit goes on), read
courses that the model itself makes up under everything that its fit met, and differ about each step by so much. A head
on the model's trunk learns that. Nothing else about the model changes: the same luck still gives the same people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from twingym.envs.behaviour import collect
from twingym.evaluation.cards.model_card import withdraw_card
from twingym.experiments.cli import run_module
from twingym.experiments.console import console
from twingym.experiments.independent import independent_network
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins.cohort import people
from twingym.twins.distillation import check_enough, distilled
from twingym.twins.errors import RunExistsError, SpecError
from twingym.twins.model import WEIGHTS, TwinModel

FIRST = 5  # those before are the referees of benchmarks.disagreement
STEPS = 300_000  # on 20,000 of them a head ranked states less well than the spread of the heads that it is to replace
PUPILS = 5_000_000  # ids from here: nobody whom the model or a network was fitted on


@dataclass
class Args:
    """Teach a twin model disagreement."""

    env: str
    """Scenario id, or path of a scenario file."""
    weights: Path | None = None
    """Folder of the twin model; default: the scenario's own."""
    out: Path | None = None
    """Folder for the model with its new head; default: where it was, which needs --replace."""
    networks: int = 5
    """Networks to learn from."""
    epochs: int = 12
    """Epochs of each."""
    learners: int = 2000
    """People whom each learns from, over two episodes or one that ends; eight times as many where it ends."""
    people: int | None = None
    """People on whose made-up courses the head is taught; default: as many as have 300,000 steps before them."""
    runs: Path = Path("runs/independent")
    """Where the networks are kept."""
    replace: bool = False
    """Replace a model that is there already."""


def run(args: Args) -> None:
    """Do what ``twingym distil`` asks for.

    Raises:
        RunExistsError: If a model is there already and ``replace`` was not asked for.
        SpecError: If the scenario has no reference, or there are too few networks or people.
        WeightsError: If there is no twin model.
    """
    scenario, screen = get(args.env), console()
    home = args.weights or weights_folder(scenario)
    out = args.out or home
    if (out / WEIGHTS).exists() and not args.replace:
        raise RunExistsError(
            f"{out} holds a twin model; pass --replace to write it again, or --out for another folder."
        )
    count = check(args, scenario)
    model = TwinModel.load(home, scenario.world_fingerprint())
    try:
        networks = [
            independent_network(scenario, FIRST + k, args.runs, epochs=args.epochs, learners=args.learners)
            for k in range(args.networks)
        ]
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"the same command goes on after the last whole epoch, kept in {args.runs}") from stop
    courses = collect(scenario, people("train", count, PUPILS), 0, dynamics=model.dynamics())
    taught = distilled(model, networks, courses, progress=True)
    taught.save(out)
    if withdraw_card(out):
        screen.print(f"removed: the card in {out}, which was that of the old model; `twingym card` writes another")
    about = taught.training["doubt"]
    screen.print(
        f"doubt head: {out} (taught on {about['states']} states; on people held out it ranks steps as the networks do "
        f"at a Spearman of {about['spearman']:.2f})"
    )


def check(args: Args, scenario: Scenario) -> int:
    """Refuse what nothing can be learned from, before networks are fitted; return how many people teach the head.

    Raises:
        SpecError: If the scenario has no reference, or there are too few networks or people.
    """
    if scenario.reference is None:
        raise SpecError(
            f"{scenario.id} has no reference to fit other networks to: the people of its table are those of its twin "
            "model. Its disagreement is that of the heads."
        )
    count = math.ceil(STEPS / scenario.horizon) if args.people is None else args.people
    check_enough(args.networks, count)
    return count


if __name__ == "__main__":
    run_module(__file__)
