"""Put trained policies and rules side by side: the same people and luck, on twin model and reference.

Writes tables, figures and one TensorBoard run per policy, whose training curves are copied beside it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from twingym.agents.export import ExportedPolicy
from twingym.evaluation.rollout import Policy
from twingym.experiments.cli import run_module
from twingym.experiments.console import console
from twingym.experiments.judging import BenchArgs, policy_of
from twingym.experiments.report import report
from twingym.experiments.run_dir import EVENTS, RunDir, scenario_of
from twingym.experiments.train import board, facts
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError

VERB = "compare"


@dataclass(frozen=True)
class Args(BenchArgs):
    """Put policies side by side."""

    runs: tuple[Path, ...] = ()
    """Runs of trained policies, of one scenario."""
    rules: tuple[str, ...] = ()
    """Rules of the scenario beside its baseline, over which benefit is reported."""
    env: str | None = None
    """Scenario, an id or the path of its file; only needed without runs."""


def run(args: Args) -> None:
    """Evaluate all, write tables, figures and events, and print a summary."""
    page = console()
    trained = by_name([RunDir.open(path) for path in args.runs])
    scenario = scenario_in_common(list(trained.values()), args.env)
    loaded: dict[str, ExportedPolicy] = {name: policy_of(training, scenario) for name, training in trained.items()}
    bench = args.bench(scenario)
    policies: dict[str, Policy] = {**loaded, **bench.rules(args.rules)}
    folder = args.new_run(VERB, scenario)
    with folder.withdrawn_on_failure():
        judged = bench.judge(policies, progress=args.progress)
    steps = max((policy.description["steps"] for policy in loaded.values()), default=1)
    report(judged, folder, page, facts={name: facts(training) for name, training in trained.items()}, steps=steps)
    for name, training in trained.items():
        curves = board(training) / "training"
        if curves.is_dir():
            shutil.copytree(curves, folder.path / EVENTS / name / "training")
    folder.seal()


def by_name(trained: list[RunDir]) -> dict[str, RunDir]:
    """Name runs by the last parts of their folders: two, or as many as tell them apart.

    Raises:
        SpecError: If one is named twice.
    """
    parts = [training.path.resolve().parts for training in trained]
    for folder in parts:
        if parts.count(folder) > 1:
            raise SpecError(f"run {Path(*folder)} is named twice; allowed: each run once.")
    depth = 2
    while len({folder[-depth:] for folder in parts}) < len(parts):
        depth += 1
    return {"/".join(folder[-depth:]): training for folder, training in zip(parts, trained, strict=True)}


def scenario_in_common(trained: list[RunDir], env: str | None) -> Scenario:
    """Return the scenario of all runs.

    Raises:
        SpecError: If they differ from each other or from ``env``, or there are none and no scenario was named.
    """
    if not trained:
        if env is None:
            raise SpecError("neither runs nor env is given; allowed: --runs RUN [RUN ...], or --env with --rules.")
        return registry.get(env)
    scenarios = [scenario_of(training.config) for training in trained]
    for training, scenario in zip(trained, scenarios, strict=True):
        if scenario.fingerprint() != scenarios[0].fingerprint():
            raise SpecError(
                f"{training.path} is on scenario {scenario.id!r}, {trained[0].path} on {scenarios[0].id!r}; allowed: "
                "one for all."
            )
    if env is not None and registry.get(env).fingerprint() != scenarios[0].fingerprint():
        raise SpecError(f"env is {env!r}, but the runs are on scenario {scenarios[0].id!r}; leave env out.")
    return scenarios[0]


if __name__ == "__main__":
    run_module(__file__)
