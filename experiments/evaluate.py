"""Judge one policy, a trained one or a rule, beside the baseline: chosen people, twin model and reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twingym.evaluation.rollout import Policy
from twingym.experiments.cli import run_module
from twingym.experiments.console import console
from twingym.experiments.judging import BenchArgs, policy_of
from twingym.experiments.report import report
from twingym.experiments.run_dir import RunDir, scenario_of
from twingym.experiments.train import facts
from twingym.scenarios import registry
from twingym.twins.errors import SpecError

VERB = "evaluate"


@dataclass(frozen=True)
class Args(BenchArgs):
    """Judge one policy."""

    run: Path | None = None
    """Run of a trained policy."""
    rule: str | None = None
    """Name of a rule of the scenario, instead of a run."""
    env: str | None = None
    """Scenario of the rule: an id, or the path of a scenario file; default: Glucose-v0. A run knows its own."""


def run(args: Args) -> None:
    """Evaluate, write tables, figures and events, and print a summary."""
    if (args.run is None) == (args.rule is None):
        raise SpecError(f"run is {args.run}, rule is {args.rule}; allowed: one of the two.")
    if args.run is not None and args.env is not None:
        raise SpecError(f"env is {args.env!r}, but a run knows its own scenario; leave env out.")
    page = console()
    trained = RunDir.open(args.run) if args.run is not None else None
    scenario = scenario_of(trained.config) if trained else registry.get(args.env or "twingym/Glucose-v0")
    bench = args.bench(scenario)
    policies: dict[str, Policy] = {}
    if trained:
        policies[trained.name] = policy_of(trained, scenario)
    if args.rule:
        policies |= bench.rules([args.rule])
    folder = args.new_run(VERB, scenario)
    with folder.withdrawn_on_failure():
        judged = bench.judge(policies, progress=args.progress)
    report(judged, folder, page, facts={trained.name: facts(trained)} if trained else {})
    folder.seal()


if __name__ == "__main__":
    run_module(__file__)
