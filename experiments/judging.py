"""Who judges policies, on whom and for how long: the same people and luck for each, on twin model and reference."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from twingym.agents.export import ExportedPolicy, load_policy
from twingym.envs.dynamics import CHALLENGER, resolve
from twingym.envs.readings import Readings
from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.comparison import REFERENCE, TWIN
from twingym.evaluation.episodes import Evaluation
from twingym.evaluation.rollout import Policy, check_numbers, evaluate
from twingym.evaluation.tuning import tune
from twingym.experiments.reading_flags import ReadingArgs
from twingym.experiments.run_dir import RunDir, describe, free_path, plain
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.weights import weights_folder
from twingym.twins.cohort import Ids, Split, people
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, WeightsError, unknown
from twingym.twins.model import WEIGHTS, digest

# By policy and then by dynamics.
Judged = dict[str, dict[str, Evaluation]]


@dataclass(frozen=True)
class Bench:
    """Held-out people under one or both dynamics.

    Attributes:
        scenario: The problem.
        ids: People.
        horizon: Steps.
        places: Dynamics by name.
        seeds: Seeds of inputs and noise.
        twin_sha256: Of the twin model's weights, if it is one of the places.
        readings: How readings reach the policies; None: at once, all and without further error.
    """

    scenario: Scenario
    ids: Ids
    horizon: int
    places: Mapping[str, Dynamics]
    seeds: tuple[int, ...] = (0,)
    twin_sha256: str | None = None
    readings: Readings | None = None

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        count: int,
        horizon: int | None = None,
        *,
        weights: Path | None = None,
        places: Collection[str] = (REFERENCE, TWIN),
        split: Split = "test",
        seeds: tuple[int, ...] = (0,),
        readings: Readings | None = None,
    ) -> Bench:
        """Seat ``count`` people of a split under those of the ``places`` that exist for this scenario.

        Where there is no reference, a challenger judges in its place, under its own name.

        Raises:
            UnknownNameError: If one of the places is unknown; suggests the nearest.
            SpecError: If none exists for the scenario, a number is impossible, or no belief can be had.
            WeightsError: If ``weights`` were named and are missing, or the twin model is corrupt or foreign.
        """
        steps = scenario.judged_horizon if horizon is None else horizon
        check_numbers(seeds, people=count, horizon=steps)
        if readings is not None:
            readings.check(scenario)
        exists = {
            REFERENCE: scenario.reference is not None,
            TWIN: weights is not None or has_twin(scenario),
            CHALLENGER: has_challenger(scenario, weights),
        }
        for place in places:
            if place not in exists:
                raise unknown("dynamics", place, exists)
        if not exists[REFERENCE]:
            places = [CHALLENGER if place == REFERENCE else place for place in places]
        found = {place: resolve(scenario, place, weights) for place in exists if place in places and exists[place]}
        if not found:
            raise SpecError(f"scenario {scenario.id!r} has none of the dynamics {list(places)}; run `twingym fit`.")
        whose = digest(weights or weights_folder(scenario)) if TWIN in found else None
        return cls(scenario, people(split, count), steps, found, seeds, whose, readings)

    def judge(self, policies: Mapping[str, Policy], progress: bool = False) -> Judged:
        """Let each policy treat everybody, under each dynamics, and the baseline too: benefit is benefit over it."""
        policies = {**policies, **self.rules({self.scenario.baseline} - set(policies))}
        return {
            name: {place: self._one(name, policy, place, progress) for place in self.places}
            for name, policy in policies.items()
        }

    def _one(self, name: str, policy: Policy, place: str, progress: bool) -> Evaluation:
        found = evaluate(
            policy,
            self.scenario,
            self.ids,
            self.seeds,
            self.places[place],
            name=name,
            horizon=self.horizon,
            courses="moments",
            progress=progress,
            readings=self.readings,
        )
        # Named by its place, not by the class that moves the people.
        settings = {**found.settings, "dynamics": place, "twin_sha256": self.twin_sha256 if place == TWIN else None}
        return Evaluation(found.scenario, found.episodes.assign(dynamics=place), settings, found.courses)

    def rules(self, names: Iterable[str]) -> dict[str, RulePolicy]:
        """Return rule baselines; settings per person are found on other days of the people who will be judged.

        Raises:
            UnknownNameError: If there is no such rule; suggests the nearest.
        """
        found = {}
        for name in names:
            rule = self.scenario.rule(name)
            tuned_on = self.places.get(REFERENCE, next(iter(self.places.values())))
            found[name] = (
                tune(self.scenario, rule, self.ids, dynamics=tuned_on)
                if rule.per_person
                else RulePolicy(self.scenario, rule)
            )
        return found


@dataclass(frozen=True)
class BenchArgs(ReadingArgs):
    """What every verb that judges policies asks for."""

    people: int = 500
    """How many people."""
    split: Split = "test"
    """Which people: test, validation or train."""
    horizon: int | None = None
    """Steps; by default the scenario's judged horizon."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of inputs and noise; each person lives once under each."""
    dynamics: tuple[str, ...] = (REFERENCE, TWIN)
    """Under what: reference (where there is none, the challenger), transformer, or both where both exist."""
    weights: Path | None = None
    """Folder of a twin model other than the scenario's own."""
    log_folder: Path = Path("runs")
    """Where runs are kept; this one becomes <log-folder>/VERB/<scenario>_<n>."""
    out: Path | None = None
    """Folder of this run, if it is to have another name; it must not exist."""
    progress: bool = True
    """Show a progress bar."""

    def bench(self, scenario: Scenario) -> Bench:
        """Seat the people that were asked for."""
        return Bench.of(
            scenario,
            self.people,
            self.horizon,
            weights=self.weights,
            places=self.dynamics,
            split=self.split,
            seeds=self.seeds,
            readings=self.readings(self.weights),
        )

    def new_run(self, verb: str, scenario: Scenario) -> RunDir:
        """Begin the folder that the results go to."""
        return RunDir.create(
            self.out or free_path(self.log_folder, verb, scenario.id),
            {"verb": verb, "args": plain(self), **describe(scenario)},
        )


def policy_of(training: RunDir, scenario: Scenario) -> ExportedPolicy:
    """Load the exported policy of a run whose files are what they were when it was finished.

    Raises:
        ManifestError: If a file was changed or is missing.
        WeightsError: If there is no policy, or it was trained on other observations.
    """
    training.verify()
    policy = load_policy(training.path)
    policy.check(scenario)
    return policy


def has_twin(scenario: Scenario, weights: Path | None = None) -> bool:
    """Return whether there is a twin model of the scenario."""
    try:
        return ((weights or weights_folder(scenario)) / WEIGHTS).is_file()
    except WeightsError:  # made in memory, without a place for weights
        return False


def has_challenger(scenario: Scenario, weights: Path | None = None) -> bool:
    """Return whether another twin model lies beside that of the scenario, to judge it."""
    try:
        return has_twin(scenario, (weights or weights_folder(scenario)) / CHALLENGER)
    except WeightsError:  # made in memory, without a place for weights
        return False


def fit_if_missing(scenario: Scenario, page: Console) -> None:
    """Fit a twin model to a scenario of one's own that has none yet."""
    if has_twin(scenario):
        return
    from twingym.experiments.fit import Args, fit

    page.print(f"{scenario.id} has no twin model yet: fitting one first")
    fit(Args(env=scenario.id))
