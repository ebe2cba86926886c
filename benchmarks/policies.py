"""How much better than rules is PPO trained on the twin model, judged on the reference?

``python -m benchmarks.policies`` trains three seeds on the twin model of each scenario, tunes the rules, judges
everybody on held-out people over the judged horizon, on twin model and reference, and writes one row per policy, seed
and dynamics to ``benchmarks/results/policies_<scenario>.csv``. A seed that was trained before is not trained again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import tyro
from rich.console import Console

from twingym.agents.export import WEIGHTS as POLICY
from twingym.agents.export import export_policy, load_policy
from twingym.agents.trainer import train
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation import evaluate, tune, verdicts
from twingym.evaluation.rollout import Policy
from twingym.scenarios import Scenario, get
from twingym.twins import people

RESULTS = Path(__file__).parent / "results"


@dataclass
class Args:
    """Compare PPO with the rules of the shipped scenarios."""

    envs: tuple[str, ...] = ("Glucose-v0", "Retention-v0")
    """Scenarios."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    runs: Path = Path("runs/benchmark")
    """Where trained policies are kept."""
    judged: int = 0
    """Held-out people; default: 500, or 20,000 where an episode is short."""


def trained(scenario: Scenario, seed: int, folder: Path, dynamics: str = "transformer") -> Policy:
    """Return PPO trained on the twin model with this seed, from disk if it is there."""
    if not (folder / POLICY).is_file():
        outcome = train(scenario, "ppo", seed=seed, dynamics=dynamics, progress=True)
        export_policy(outcome.policy, scenario, folder)
    return load_policy(folder)


def rules(scenario: Scenario) -> dict[str, Policy]:
    """Return every rule: as declared, tuned for everybody on other people, or tuned for each person on other days."""
    found: dict[str, Policy] = {}
    judged = people("test", 500)
    for name, rule in scenario.rules.items():
        found[name] = tune(scenario, rule, judged) if rule.per_person else RulePolicy(scenario, rule)
        if rule.grid and not rule.per_person:
            found[f"{name} (tuned)"] = tune(
                scenario, rule, people("validation", 2000 if scenario.horizon < 100 else 100)
            )
    return found


def judge(scenario: Scenario, policies: dict[str, Policy], count: int) -> pd.DataFrame:
    """Judge everybody on both dynamics: one row per policy and dynamics."""
    rows = []
    for name, policy in policies.items():
        for place in ("reference", "transformer"):
            result = evaluate(policy, scenario, people("test", count), (0,), place, name=name, progress=True)
            episodes, row = result.episodes, {"policy": name, "dynamics": place, "people": count}
            row["return"] = episodes["return"].mean()
            row["standard_error"] = episodes["return"].std() / count**0.5
            row |= {m.name: episodes[m.name].mean() for m in scenario.metrics}
            for verdict in verdicts(result).itertuples():
                row[verdict.name] = verdict.estimate
                row[f"{verdict.name}_verdict"] = verdict.verdict
            rows.append(row)
    return pd.DataFrame(rows)


def main(args: Args) -> None:
    """Train, tune, judge and write."""
    torch.set_num_threads(1)
    for env in args.envs:
        scenario = get(env)
        policies = rules(scenario)
        for seed in args.seeds:
            policies[f"ppo on twins, seed {seed}"] = trained(scenario, seed, args.runs / scenario.id / f"seed_{seed}")
        count = args.judged or (500 if scenario.judged_horizon > 1000 else 20000)
        table = judge(scenario, policies, count)
        RESULTS.mkdir(exist_ok=True)
        table.to_csv(RESULTS / f"policies_{scenario.id}.csv", index=False, float_format="%.6g")
        Console(width=200).print(table.to_string())


if __name__ == "__main__":
    main(tyro.cli(Args))
