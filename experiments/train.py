"""Train an agent on twins, and judge it beside the scenario's rules on the twin model and the reference.

A run folder holds everything: settings, versions, checkpoints, events for TensorBoard, the exported policy and tables.
Ctrl-C saves the state of the training and says how to go on.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from twingym.agents.algorithms import algorithm
from twingym.agents.export import SUBFOLDER as POLICY
from twingym.agents.export import export_policy, load_policy
from twingym.agents.hyperparameters import NO_DOUBT, hyperparameters
from twingym.agents.trainer import Training, train
from twingym.envs.actions import ActionMap
from twingym.envs.dynamics import resolve
from twingym.envs.live import believer
from twingym.evaluation.comparison import TWIN
from twingym.evaluation.rollout import Policy
from twingym.experiments.board import Facts
from twingym.experiments.cli import STOPPED, run_module
from twingym.experiments.console import console
from twingym.experiments.judging import Bench, fit_if_missing
from twingym.experiments.reading_flags import ReadingArgs
from twingym.experiments.report import report
from twingym.experiments.run_dir import CHECKPOINTS, EVENTS, RunDir, describe, free_path, plain, scenario_of
from twingym.scenarios import registry
from twingym.scenarios.recorded import check_varied
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.weights import weights_folder
from twingym.twins.errors import SpecError
from twingym.twins.model import digest

VERB = "train"
_PATHS = ("weights", "log_folder", "out", "tensorboard_log")


@dataclass(frozen=True)
class Args(ReadingArgs):
    """Train an agent."""

    env: str = "twingym/Glucose-v0"
    """Id of the scenario, or the path of a scenario file."""
    algo: str = "ppo"
    """Algorithm: ppo, or dqn where there is one choice per step."""
    dynamics: str = "transformer"
    """What moves the people in training: transformer or reference."""
    seed: int = 0
    """Of the initial weights, the exploration and the people met."""
    n_timesteps: int | None = None
    """Steps over all twins; by default those of agents/hyperparams/."""
    n_envs: int | None = None
    """Twins in parallel; by default those of agents/hyperparams/."""
    doubt: str | None = None
    """Where heads of the twin model disagree: penalise, truncate, rebind or none; by default as
    in agents/hyperparams/."""
    hyperparams: tuple[str, ...] = ()
    """Hyperparameters to change, such as learning_rate:0.001 batch_size:4096."""
    device: str = "cpu"
    """Torch device of the agent."""
    num_threads: int = 1
    """Torch threads: for networks this small more of them only wait for each other."""
    weights: Path | None = None
    """Folder of a twin model other than the scenario's own."""
    log_folder: Path = Path("runs")
    """Where runs are kept; this one becomes <log-folder>/<algo>/<scenario>_<n>."""
    out: Path | None = None
    """Folder of this run, if it is to have another name; it must not exist."""
    tensorboard_log: Path | None = None
    """Folder of the event files, if not the run's own."""
    resume: Path | None = None
    """Run to go on with after it was stopped; all settings are read from it."""
    eval_people: int = 200
    """Test people whom the policies are judged on at the end; 0 to judge none. `twingym evaluate` takes 500."""
    eval_horizon: int | None = None
    """Steps that they are judged over; by default the scenario's judged horizon."""
    eval_rules: tuple[str, ...] | None = None
    """Rules that are judged beside the agent; by default all of the scenario."""
    progress: bool = True
    """Show a progress bar."""


def run(args: Args) -> int:
    """Train, export, judge and report; return the exit status."""
    page = console()
    if args.resume is not None:
        folder, args = stopped_run(args.resume)
        scenario = scenario_of(folder.config)
        unchanged(args, scenario, folder)
    else:
        scenario = registry.get(args.env)
        check_varied(scenario.recorded, scenario.assumed, scenario.id)
        if args.weights is None and (args.dynamics == TWIN or args.belief == "particles"):
            fit_if_missing(scenario, page)
        check(args, scenario)
        path = args.out or free_path(args.log_folder, args.algo, scenario.id)
        config = {"verb": VERB, "args": plain(args), **describe(scenario), **learned_with(args, scenario)}
        folder = RunDir.create(path, config)
    page.print(f"run: {folder.path}")
    torch.set_num_threads(args.num_threads)
    if not (folder.path / POLICY).is_dir():  # else it was stopped while it was judged
        with nullcontext() if args.resume else folder.withdrawn_on_failure():
            done = learn(args, scenario, folder)
        if not done.finished:
            steps = done.policy.model.num_timesteps
            return stopped(page, folder, f"stopped after {steps} steps; saved in {done.checkpoint}")
        export_policy(done.policy, scenario, folder.path / POLICY)
    try:
        finish(scenario, args, folder)
    except KeyboardInterrupt:
        return stopped(page, folder, f"stopped while it was judged; the policy is in {folder.path / POLICY}")
    return 0


def stopped(page: Console, folder: RunDir, said: str) -> int:
    """Say that a run was stopped and how to go on; return the exit status."""
    page.print(said)
    page.print(f"go on with: twingym train --resume {folder.path}", style="bold")
    return STOPPED


def learned_with(args: Args, scenario: Scenario) -> dict[str, Any]:
    """Return every hyperparameter as it was resolved, and the SHA-256 of the twin model's weights, if it is one."""
    settings = hyperparameters(algorithm(args.algo), scenario.env_id, asked(args))
    twin = digest(args.weights or weights_folder(scenario)) if args.dynamics == TWIN else None
    return {"hyperparameters": asdict(settings), "twin_sha256": twin}


def asked(args: Args) -> dict[str, Any]:
    """Return the hyperparameters that were named on the command line."""
    flags = {"n_timesteps": args.n_timesteps, "n_envs": args.n_envs, "doubt": args.doubt}
    return parsed(args.hyperparams) | {name: value for name, value in flags.items() if value is not None}


def learn(args: Args, scenario: Scenario, folder: RunDir) -> Training:
    """Train as asked, with checkpoints and event files in the run."""
    return train(
        scenario,
        args.algo,
        dynamics=args.dynamics,
        seed=args.seed,
        changes=asked(args),
        weights=args.weights,
        device=args.device,
        folder=folder.path / CHECKPOINTS,
        tensorboard=board(folder) / "training",
        resume=args.resume is not None,
        progress=args.progress,
        readings=args.readings(args.weights),
    )


def check(args: Args, scenario: Scenario) -> None:
    """Refuse impossible arguments before anything is written.

    Raises:
        UnknownNameError: If an algorithm, hyperparameter, rule or dynamics is unknown; suggests the nearest.
        SpecError: If the algorithm cannot learn on these actions, or a number is impossible.
        WeightsError: If the twin model is missing, corrupt or foreign.
    """
    chosen = algorithm(args.algo)
    hyperparameters(chosen, scenario.env_id, asked(args))
    chosen.check(ActionMap(scenario).space, scenario.id)
    if args.doubt not in (None, NO_DOUBT) and args.dynamics != TWIN:
        raise SpecError(f"doubt is {args.doubt!r}, dynamics {args.dynamics!r}; only a twin model can be doubted.")
    numbers = {"num_threads": 1, "n_timesteps": 1, "n_envs": 1, "seed": 0, "eval_people": 0, "eval_horizon": 1}
    for name, least in numbers.items():
        number = getattr(args, name)
        if number is not None and number < least:
            raise SpecError(f"{name} is {number}; allowed: {least} or more.")
    for rule in args.eval_rules or ():
        scenario.rule(rule)
    resolve(scenario, args.dynamics, args.weights)
    readings = args.readings(args.weights)
    if readings is not None:
        readings.check(scenario)
        believer(scenario, readings.belief)
    if args.eval_people:
        Bench.of(scenario, args.eval_people, args.eval_horizon, weights=args.weights, readings=readings)


def finish(scenario: Scenario, args: Args, folder: RunDir) -> None:
    """Judge the exported policy beside the rules, and write the report into the run."""
    policy = load_policy(folder.path)
    if args.eval_people:
        readings = args.readings(args.weights)
        bench = Bench.of(scenario, args.eval_people, args.eval_horizon, weights=args.weights, readings=readings)
        rules = bench.rules(scenario.rules if args.eval_rules is None else args.eval_rules)
        policies: dict[str, Policy] = {args.algo: policy, **rules}
        judged = bench.judge(policies, progress=args.progress)
        report(
            judged,
            folder,
            console(),
            facts={args.algo: facts(folder)},
            steps=policy.description["steps"],
            board=board(folder),
        )
    folder.seal()


def facts(run: RunDir) -> Facts:
    """Return what the hparams table says of a trained policy."""
    args = run.config["args"]
    return {"algorithm": args["algo"], "seed": str(args["seed"]), "trained_on": args["dynamics"]}


def board(run: RunDir) -> Path:
    """Return where the event files of a training go."""
    elsewhere = run.config["args"]["tensorboard_log"]
    return Path(elsewhere) / run.name if elsewhere else run.path / EVENTS


def stopped_run(path: Path) -> tuple[RunDir, Args]:
    """Return a training that was stopped, and what it had been asked for.

    Raises:
        SpecError: If it is no training, or finished.
    """
    instead = f"judge it with `twingym evaluate --run {path}`, or train a new run"
    folder, kept = RunDir.stopped(path, VERB, "training", _PATHS, instead)
    return folder, replace(Args(**kept), resume=path)


def unchanged(args: Args, scenario: Scenario, folder: RunDir) -> None:
    """Refuse to go on with other settings, or on another twin model, than a training began with.

    Raises:
        SpecError: Naming what differs.
    """
    config, now = folder.config, json.loads(json.dumps(learned_with(args, scenario), default=str))
    for name, value in now.items():
        if value != config.get(name):
            raise SpecError(
                f"{folder.path} began with {name} {config.get(name)}, which would now be {value}. Go on with the "
                "version and the twin model that it began with, or train again."
            )


def parsed(texts: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name:value`` pairs, as rl-baselines3-zoo writes them.

    Raises:
        SpecError: If one is no pair.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise SpecError(f"hyperparameter is {text!r}; allowed: name:value, such as learning_rate:0.001.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


if __name__ == "__main__":
    run_module(__file__)
