"""How much better than rules is PPO trained on the twin model, judged on the reference?

``python -m benchmarks.policies`` trains three seeds on the twin model of each scenario, tunes the rules, judges
everybody on held-out people over the judged horizon, on twin model and reference, and writes one row per policy, seed
and dynamics to ``benchmarks/results/policies_<scenario>.csv``. ``gain`` is the return above the scenario's baseline
rule on the same people with the same luck. For scale, an oracle (``ORACLES``): three seeds that see what is hidden,
trained and judged on the reference. A seed that was trained before on the same weights with the same settings is not
trained again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import tyro
from rich.console import Console

from twingym.agents.algorithms import algorithm
from twingym.agents.auditor import reveal
from twingym.agents.export import WEIGHTS as POLICY
from twingym.agents.export import export_policy, load_policy
from twingym.agents.hyperparameters import hyperparameters
from twingym.agents.trainer import train
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation import evaluate, tune, verdicts
from twingym.evaluation.comparison import REFERENCE, TWIN
from twingym.evaluation.rollout import Policy
from twingym.scenarios import Scenario, get
from twingym.scenarios.weights import weights_folder
from twingym.twins import people
from twingym.twins.model import digest

RESULTS = Path(__file__).parent / "results"
# Scenarios whose hidden state is worth knowing, and small enough for an agent to use.
ORACLES = ("Retention-v0",)


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
    """Held-out people on the reference; default: 500, or 100,000 where an episode is short."""
    judged_on_twin: int = 0
    """Held-out people on the twin model; default: 200, or 20,000 where an episode is short."""
    tuned: int = 0
    """People that shared settings of rules are tuned on; default: 200, or 10,000 where an episode is short."""
    oracles: bool = True
    """Train those that see what is hidden; else their rows of the table stay, which no twin model has a part in."""


def trained(scenario: Scenario, seed: int, folder: Path, dynamics: str = TWIN) -> Policy:
    """Return PPO trained with this seed, from disk if it is there."""
    if not (folder / POLICY).is_file():
        outcome = train(scenario, "ppo", seed=seed, dynamics=dynamics, progress=True)
        export_policy(outcome.policy, scenario, folder)
    return load_policy(folder)


def origin(scenario: Scenario, dynamics: str = TWIN) -> str:
    """Return a short hash of what a seed is trained on and how: other weights or settings make another policy."""
    world = digest(weights_folder(scenario)) if dynamics == TWIN else scenario.world_fingerprint()
    settings = hyperparameters(algorithm("ppo"), scenario.env_id)
    return hashlib.sha256(repr((world, settings)).encode()).hexdigest()[:8]


def rules(scenario: Scenario, tuned: int) -> dict[str, Policy]:
    """Return every rule: as declared, tuned for everybody on other people, or tuned for each person on other days."""
    found: dict[str, Policy] = {}
    judged = people("test", 500)
    for name, rule in scenario.rules.items():
        found[name] = tune(scenario, rule, judged) if rule.per_person else RulePolicy(scenario, rule)
        if rule.grid and not rule.per_person:
            found[f"{name} (tuned)"] = tune(scenario, rule, people("validation", tuned))
    return found


def judge(scenario: Scenario, policies: dict[str, Policy], counts: dict[str, int]) -> pd.DataFrame:
    """Judge everybody on each dynamics in ``counts`` (people by name): one row per policy and dynamics."""
    rows = []
    for place, count in counts.items():
        ids = people("test", count)
        left = evaluate(RulePolicy(scenario, scenario.baseline), scenario, ids, (0,), place).episodes
        for name, policy in policies.items():
            result = evaluate(policy, scenario, ids, (0,), place, name=name, progress=True, baseline_episodes=left)
            episodes, row = result.episodes, {"policy": name, "dynamics": place, "people": count}
            for column, error in (("return", "standard_error"), ("gain", "gain_error")):
                row[column], row[error] = episodes[column].mean(), episodes[column].std() / count**0.5
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
        short = scenario.judged_horizon <= 1000
        policies = rules(scenario, args.tuned or (10_000 if short else 200))
        kept = args.runs / scenario.id / f"twins_{origin(scenario)}"
        for seed in args.seeds:
            policies[f"ppo on twins, seed {seed}"] = trained(scenario, seed, kept / f"seed_{seed}")
        count = args.judged or (100_000 if short else 500)
        on_twin = args.judged_on_twin or min(count, 20_000 if short else 200)
        table = judge(scenario, policies, {REFERENCE: count, TWIN: on_twin})
        results = RESULTS / f"policies_{scenario.id}.csv"
        if scenario.id in ORACLES and args.oracles:
            seeing = reveal(scenario)
            kept = args.runs / scenario.id / f"oracle_{origin(seeing, REFERENCE)}"
            oracles = {
                f"oracle, seed {seed}": trained(seeing, seed, kept / f"seed_{seed}", REFERENCE) for seed in args.seeds
            }
            table = pd.concat([table, judge(seeing, oracles, {REFERENCE: count})], ignore_index=True)
        elif scenario.id in ORACLES and results.exists():
            before = pd.read_csv(results)
            table = pd.concat([table, before[before["policy"].str.startswith("oracle")]], ignore_index=True)
        RESULTS.mkdir(exist_ok=True)
        table.to_csv(results, index=False, float_format="%.6g")
        Console(width=200).print(table.to_string())


if __name__ == "__main__":
    main(tyro.cli(Args))
