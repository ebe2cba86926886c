"""What is one problem: who, what is measured, what can be done, what is wanted, and what must not happen?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from typing import Any, Literal

import numpy as np

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.fingerprint import fingerprint_of
from twingym.scenarios.inputs import Guess, Inputs
from twingym.scenarios.intervention import Intervention
from twingym.scenarios.metric import Metric
from twingym.scenarios.mixture import Mixture
from twingym.scenarios.parameter import Parameter
from twingym.scenarios.recorded import Recorded
from twingym.scenarios.rule import Rule
from twingym.scenarios.step import Step
from twingym.twins.cohort import CohortSource
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown
from twingym.twins.fit_config import FitConfig
from twingym.twins.scales import Floats
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

PerPerson = Callable[[Step], Floats]


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
        provenance: Source of each parameter by name, and of constants of their class that nobody may vary.
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
        return fingerprint_of(self)

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
        same = moving is None or fingerprint_of(moving) == fingerprint_of(self.parameters)
        s = self if same or self.rebuild is None else self.rebuild(moving)
        world = (s.id, s.dt, s.dt_unit, s.traits, s.variables, s.inputs, s.interventions)
        return fingerprint_of((world, s.people, s.reference, moving))

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
        return fingerprint_of(self.constraints)


def _finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))
