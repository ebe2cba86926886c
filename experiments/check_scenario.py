"""Check a scenario: declaration, people, reference, env, limits, groups and golden courses; explain each failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from twingym.evaluation.checks.finding import Finding
from twingym.evaluation.checks.golden_course import write_golden
from twingym.evaluation.checks.scenario import CHECKS, GOLDEN, PEOPLE, check_scenario
from twingym.evaluation.rollout import Policy
from twingym.experiments.card import snapshots
from twingym.experiments.cli import run_module
from twingym.experiments.console import console
from twingym.scenarios import registry
from twingym.twins.errors import SpecError

FAILED = 1  # exit status


@dataclass(frozen=True)
class Args:
    """Check a scenario."""

    env: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SCENARIO")]
    """Path of the scenario's file, or its id."""
    people: int = PEOPLE
    """Test people whom the rules are judged on: more of them decide closer limits."""
    horizon: int | None = None
    """Steps that they are judged over; by default the scenario's judged horizon."""
    golden: bool = False
    """If all is well, record the golden courses of this version beside the file."""


def run(args: Args) -> int:
    """Print what was found; return 1 if the scenario should not be used as it is."""
    page, begun = console(), []
    with page.status("checking") as status:

        def tell(name: str) -> None:
            begun.append(name)
            status.update(f"checking {name}")

        known = trained(args.env)
        found = check_scenario(args.env, known, count=args.people, horizon=args.horizon, tell=tell)
    # Golden courses of an earlier version are about to be replaced, and those of this one never are.
    shown = [name for name in CHECKS if not (args.golden and name == GOLDEN)]
    told = [finding for finding in found if finding.check in shown]
    for name in shown:
        show(name, [finding for finding in told if finding.check == name], name in begun, page)
    failures = sum(finding.fails for finding in told)
    if failures:
        page.print(f"{failures} {'failures' if failures > 1 else 'failure'}", style="bold red")
        return FAILED
    if args.golden:
        path = write_golden(registry.get(args.env))
        page.print(f"golden courses: {path}", markup=False)
    page.print("all is well" + ("; see the notes" if told else ""), style="bold green")
    return 0


def trained(env: str) -> Mapping[str, Policy]:
    """Return the trained policies beside a scenario's weights; none if it cannot be read, which the check will tell."""
    try:
        return snapshots(registry.get(env))
    except SpecError:
        return {}


def show(name: str, found: Sequence[Finding], begun: bool, page: Console) -> None:
    """Print a line for a check, and below it what it found."""
    verdict, style = ("ok", "green") if begun else ("not checked", "yellow")
    if any(finding.fails for finding in found):
        verdict, style = "failed", "bold red"
    page.print(f"{name:16}{verdict}", style=style, highlight=False)
    for finding in found:
        page.print(f"  {'failure' if finding.fails else 'note'}: {finding}", markup=False, highlight=False)


if __name__ == "__main__":
    run_module(__file__)
