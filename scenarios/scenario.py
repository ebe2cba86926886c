"""What is one problem: who, what is measured, what can be done, what is wanted, and what must not happen?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Any, Literal, Protocol

import numpy as np

from twingym.scenarios.constraint import Constraint
from twingym.scenarios.definitions import definition
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.mixture import Mixture
from twingym.scenarios.recorded import Recorded
from twingym.scenarios.rule import Rule
from twingym.scenarios.step import Step, Values
from twingym.twins.cohort import Cohort, CohortSource, Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown
from twingym.twins.fit_config import FitConfig
from twingym.twins.scales import Floats
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

PerPerson = Callable[[Step], Floats]


class Inputs(Protocol):
    """Exogenous series that no intervention changes, the same under every dynamics."""

    def __call__(self, cohort: Cohort, seed: int, episode: Ids, steps: int) -> Floats:
        """Draw the inputs of N courses.

        Args:
            cohort: N people.
            seed: Experiment seed.
            episode: Episode number of each, shape (N,).
            steps: Number of steps.

        Returns:
            Array of shape (N, steps + 1, K), physical units: entry t is in force from step t to t + 1.
        """
        ...


class Guess(Protocol):
    """What somebody who is shown some inputs takes the hidden ones for, possibility by possibility."""

    def __call__(self, shown: Floats, memory: Floats, u: Floats) -> tuple[Floats, Floats]:
        """Guess the inputs now.

        Args:
            shown: Inputs in force, shape (M, K), physical units; NaN in channels that policies are not shown.
            memory: A number that each possibility keeps from step to step, shape (M,); 0 at birth.
            u: A uniform for each, in (0, 1), shape (M,).

        Returns:
            Inputs without gaps, (M, K), and the next memory, (M,).
        """
        ...


@dataclass(frozen=True)
class Bookkeeping:
    """Deterministic counters of what was observed and delivered (insulin on board, weeks since the last purchase).

    Attributes:
        start: From the values at birth (without derived ones) to a memory: arrays by name, first axis N. It holds
            every derived variable; further entries are private.
        update: From the memory and the step just made (``before`` with derived values, ``after`` without) to the
            next memory. It must not change the arrays it was given.
    """

    start: Callable[[Values], dict[str, Floats]]
    update: Callable[[Mapping[str, Floats], Step], dict[str, Floats]]


@dataclass(frozen=True)
class Parameter:
    """Where a constant of the scenario comes from.

    Attributes:
        unit: Its unit.
        source: The publication, or ``assumption``.
        about: One sentence.
        moves: Whether people move by it. By prices they do not: a twin model holds whatever these are.
        licence: Under which the source gives it, if it says so; numbers themselves belong to nobody.
    """

    unit: str
    source: str
    about: str = ""
    moves: bool = True
    licence: str = ""


@dataclass(frozen=True)
class Scenario:
    """A frozen, declarative description of one problem; it steps nothing itself.

    Attributes:
        id: Name with version, such as ``Glucose-v0``; the environment id is ``twingym/<id>``.
        title: One line for people.
        kind: ``patient`` or ``consumer``.
        dt: Length of a step, in ``dt_unit``.
        dt_unit: Unit of time.
        horizon: Steps of a training episode.
        judged_horizon: Steps over which verdicts are reached; defaults to ``horizon``.
        ending: ``truncation``: life goes on after the horizon, which is then nothing to the agent; ``end``: the
            problem ends there, and time is observed.
        people: Where people come from.
        traits: Recorded constant properties; those with an audience beyond the policy are learned, but not shown.
        variables: What is observed at each step, events included.
        inputs: Exogenous channels; those a policy may see are announced at the step when they come into force.
        draw_inputs: Draws the inputs; None without inputs.
        guess_inputs: What a belief about people takes hidden inputs for; None if nobody can guess them.
        derived: Counters of what was observed and delivered.
        bookkeeping: Computes the derived variables; None without derived ones.
        interventions: What a policy decides.
        reward: From a step to the reward (N,).
        constraints: Limits, safety and fairness alike.
        groups: Names of the categorical traits that form groups.
        metrics: Further numbers per person.
        need: Optional: from a step to whether the person needed something (N,), for benefit rates between groups.
        benefit: Optional: the part of that need which was met (N,).
        reference: Builds the published mechanistic dynamics; None where there is none.
        behaviour: Rules whose exploratory versions generate training courses, with weights; see
            ``envs/behaviour.py``.
        mixture: Shares of people who are treated by such a rule, by a rough version of it, or at random, and how many
            courses each person gives.
        rules: Rule baselines by name.
        baseline: The rule over which benefit is reported.
        band: Optional safe band for plots: variable name to (low, high) in its unit.
        window: Steps that the twin model's attention looks back; must cover the slowest memory.
        network: How large its twin model is.
        fit: How long and how its twin model is trained.
        fidelity: How a twin model is compared with the reference, fixed before it is fitted.
        parameters: A frozen dataclass of every constant that may be varied, or None.
        provenance: Source of each parameter by name.
        rebuild: Builds the scenario again from other parameters.
        sources: Publications.
        about: A paragraph for people.
        equations: The reference in Markdown, for its page in the documentation.
        versions: What is new in each version of the id, -v0 first.
        recorded: The people of a table and their courses, where dynamics are learned from them alone.
        assumed: Effects that no table tells of and that are taken for granted: intervention -> level -> variable -> log
            rate.
    """

    id: str
    title: str
    kind: Literal["patient", "consumer"]
    dt: float
    dt_unit: str
    horizon: int
    people: CohortSource
    traits: tuple[Variable, ...]
    variables: tuple[Variable, ...]
    interventions: tuple[Intervention, ...]
    reward: PerPerson
    constraints: tuple[Constraint, ...]
    groups: tuple[str, ...]
    rules: Mapping[str, Rule]
    baseline: str
    behaviour: Mapping[str, float]
    mixture: Mixture = field(default_factory=Mixture)
    reference: Callable[[], Dynamics] | None = None
    ending: Literal["truncation", "end"] = "truncation"
    judged_horizon: int = 0
    inputs: tuple[Variable, ...] = ()
    draw_inputs: Inputs | None = None
    guess_inputs: Guess | None = None
    derived: tuple[Variable, ...] = ()
    bookkeeping: Bookkeeping | None = None
    metrics: tuple[Metric, ...] = ()
    need: PerPerson | None = None
    benefit: PerPerson | None = None
    band: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    window: int = 64
    network: TransformerConfig = field(default_factory=TransformerConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    fidelity: FidelityPlan | None = None
    parameters: Any = None
    provenance: Mapping[str, Parameter] = field(default_factory=dict)
    rebuild: Callable[[Any], Scenario] | None = None
    sources: tuple[str, ...] = ()
    about: str = ""
    equations: str = ""
    versions: tuple[str, ...] = ("The first.",)
    recorded: Recorded | None = None
    assumed: Mapping[str, Mapping[int, Mapping[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a scenario that contradicts itself; see ``scenarios/validation.py``.

        Raises:
            SpecError: Naming the field.
        """
        from twingym.scenarios.validation import validate

        if self.judged_horizon == 0:
            object.__setattr__(self, "judged_horizon", self.horizon)
        validate(self)

    # -- look-ups ------------------------------------------------------------------------------------------------

    @property
    def env_id(self) -> str:
        """The Gymnasium environment id."""
        return f"twingym/{self.id}"

    def every_variable(self) -> Iterator[Variable]:
        """Yield traits, variables, inputs and derived variables, in this order."""
        yield from self.traits
        yield from self.variables
        yield from self.inputs
        yield from self.derived

    def variable(self, name: str) -> Variable:
        """Return the trait, variable, input or derived variable of this name.

        Raises:
            UnknownNameError: If there is none.
        """
        found = {v.name: v for v in self.every_variable()}
        if name not in found:
            raise unknown("variable", name, found)
        return found[name]

    def rule(self, name: str) -> Rule:
        """Return the rule baseline of this name.

        Raises:
            UnknownNameError: If there is none.
        """
        if name not in self.rules:
            raise unknown("rule", name, self.rules)
        return self.rules[name]

    @property
    def events(self) -> tuple[Variable, ...]:
        """The variables that end an episode when they are 1."""
        return tuple(v for v in self.variables if v.kind == "event")

    @property
    def costs(self) -> tuple[Constraint, ...]:
        """The constraints that have a cost at each step, in declared order."""
        return tuple(c for c in self.constraints if c.cost is not None)

    @property
    def primary(self) -> Constraint:
        """The constraint that ``info["cost"]`` reports."""
        return next(c for c in self.constraints if c.primary)

    @property
    def group_levels(self) -> dict[str, tuple[str, ...]]:
        """Level names of each grouping trait."""
        return {name: self.variable(name).levels for name in self.groups}

    # -- variants ------------------------------------------------------------------------------------------------

    def vary(self, **parameters: object) -> Scenario:
        """Return the scenario with other constants (a sweep over an assumption).

        Raises:
            UnknownNameError: If it has no such parameter.
            SpecError: If it declares no parameters at all, or a number is none.
        """
        if not parameters:
            return self
        if self.parameters is None or self.rebuild is None:
            raise SpecError(f"scenario {self.id!r}: parameters is None; declare a dataclass and rebuild to vary it.")
        known = [f.name for f in dataclass_fields(self.parameters)]
        for name, value in parameters.items():
            if name not in known:
                raise unknown("parameter", name, known)
            if isinstance(getattr(self.parameters, name), int | float) and not _finite(value):
                unit = self.provenance[name].unit
                raise SpecError(f"parameter {name!r} is {value!r}; allowed: a finite number of {unit}.")
        return self.rebuild(replace(self.parameters, **parameters))

    def fingerprint(self) -> str:
        """Return a hash of everything declared, to tell whose results these are; see ``scenarios/definitions.py``."""
        text = json.dumps(_plain(self), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def twin_spec(self) -> TwinSpec:
        """Return what a twin model of this scenario reads and writes."""
        interventions = tuple(
            Variable(i.name, i.unit, kind="categorical", levels=i.levels)
            if i.categorical
            else Variable(i.name, i.unit, 0.0, i.most, scale=i.scale, knee=i.knee or i.most / 100.0)
            for i in self.interventions
        )
        own_bounds = {i.name: i.per_person for i in self.interventions if i.per_person}
        return TwinSpec(
            self.traits, self.variables, self.inputs, interventions, own_bounds, self.window, self.world_fingerprint()
        )

    def world_fingerprint(self) -> str:
        """Return a hash of what the dynamics depend on (not reward, limits or rules): whose twin model this is."""
        moving = self._moving()
        # What people do not move by may change declarations all the same: who may see a trait.
        same = moving is None or _plain(moving) == _plain(self.parameters)
        s = self if same or self.rebuild is None else self.rebuild(moving)
        world = (s.id, s.dt, s.dt_unit, s.traits, s.variables, s.inputs, s.interventions)
        text = json.dumps(_plain((world, s.people, s.reference, moving)), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _moving(self) -> Any:
        """Return the parameters, those at their defaults by which nobody moves."""
        if self.parameters is None:
            return None
        still = {name for name, parameter in self.provenance.items() if not parameter.moves}
        if len(still) == len(self.provenance):
            return None
        return replace(
            self.parameters, **{f.name: f.default for f in dataclass_fields(self.parameters) if f.name in still}
        )

    def limits_hash(self) -> str:
        """Return a hash of the constraints alone, taken before a run and repeated in its verdict."""
        text = json.dumps([_plain(c) for c in self.constraints], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# Prose, drawing, and how a twin model is fitted and what it may take for granted are not part of what a scenario does.
_OF_THE_TWIN_MODEL = {"recurrent", "amount_of", "relative", "edges", "network", "fit"}
# What somebody else believes changes nothing either.
_BELIEVED = {"guess_inputs"}
_PROSE = {"about", "source", "sources", "equations", "versions", "units", "title", "provenance", "rebuild", "band"}
_PROSE |= {"track", "fidelity"}
# What was added to declarations since weights were first shipped counts where it is used.
_SINCE: dict[str, object] = {"intermittent": False, "assumed": {}}
# Whoever is added to a table is another person of the same world.
_UNHASHED = _OF_THE_TWIN_MODEL | _BELIEVED | _PROSE | {"recorded"}


def _finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _plain(value: object) -> Any:
    """Reduce a declaration to JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {f.name: getattr(value, f.name) for f in dataclass_fields(value) if f.name not in _UNHASHED}
        return {k: _plain(v) for k, v in said.items() if k not in _SINCE or v != _SINCE[k]}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if callable(value):
        return definition(value)
    return value
