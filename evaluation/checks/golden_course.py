"""Do the people of a scenario still live as they did when its version was set?

Golden courses are a small JSON file beside a scenario's own: the same three people under each of its rules, number by
number, a crowd in summary, and what was declared. Whoever refactors gets them again, to the bit or to rounding. A
change that is meant raises the version in the scenario's id, and then they are recorded anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twingym.envs.layout import Observations
from twingym.envs.rule_policy import RulePolicy
from twingym.envs.vector import TwinVectorEnv
from twingym.evaluation.checks.course import CROWD, STATISTICS, STEPS, TWINS, Act, columns, course, crowd
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import RunExistsError, SpecError
from twingym.twins.model import write_atomically
from twingym.twins.scales import Floats

# Two machines may round differently; a changed constant moves numbers by more.
RELATIVE, ABSOLUTE = 1e-8, 1e-9


@dataclass(frozen=True)
class Difference:
    """What is not as it was.

    Attributes:
        what: Which number, of whom and when.
        now: What it is.
        was: What was recorded.
    """

    what: str
    now: str
    was: str


@dataclass(frozen=True)
class GoldenCourses:
    """What a version of a scenario does.

    Attributes:
        scenario: Its id.
        declared: Variables, interventions, limits and groups by name, in words.
        columns: What the last axis of a quantity counts.
        courses: By rule and quantity; see ``evaluation/checks/course.py``.
        crowd: By trait or quantity, the ``STATISTICS`` of many people.
    """

    scenario: str
    declared: dict[str, str]
    columns: dict[str, list[str]]
    courses: dict[str, dict[str, Floats]]
    crowd: dict[str, Floats]

    @classmethod
    def record(cls, scenario: Scenario) -> GoldenCourses:
        """Record the courses of a few people under every rule that is the same for everybody.

        Raises:
            SpecError: If there is no reference.
        """
        if scenario.reference is None:
            raise SpecError(f"scenario {scenario.id!r} has no reference; golden courses are those of equations.")
        steps = min(STEPS, scenario.horizon)
        shared = [name for name, rule in scenario.rules.items() if not rule.per_person]
        courses = {name: course(scenario, _under(RulePolicy(scenario, name)), steps=steps) for name in shared}
        return cls(scenario.id, _declared(scenario), columns(scenario), courses, crowd(scenario, steps))

    @classmethod
    def read(cls, path: Path) -> GoldenCourses:
        """Read a file of golden courses.

        Raises:
            SpecError: If it is none.
        """
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            arrays = {rule: _arrays(quantities) for rule, quantities in kept["courses"].items()}
            declared, columns = dict(kept["declared"]), dict(kept["columns"])
            return cls(kept["scenario"], declared, columns, arrays, _arrays(kept["crowd"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SpecError(
                f"{path} cannot be read as golden courses ({type(error).__name__}: {error}); restore it, or remove it "
                "and record them again."
            ) from error

    def write(self, path: Path) -> None:
        """Write all digits, an array a line, so that the file is there whole or not at all."""
        rules = [f" {json.dumps(rule)}: {{\n{_lines(arrays, '  ')}\n }}" for rule, arrays in self.courses.items()]
        head = f'"scenario": {json.dumps(self.scenario)},\n"declared": {json.dumps(self.declared, indent=1)},\n'
        head += f'"columns": {json.dumps(self.columns)},\n"crowd": {{\n{_lines(self.crowd, " ")}\n}},\n'
        write_atomically(path, ("{\n" + head + '"courses": {\n' + ",\n".join(rules) + "\n}\n}\n").encode())

    def differences(self, now: GoldenCourses) -> Iterator[Difference]:
        """Yield what differs beyond rounding: every declaration, and the first number of each array."""
        for name in dict.fromkeys([*self.declared, *now.declared]):
            is_now, was = (those.declared.get(name, "nothing") for those in (now, self))
            if is_now != was:
                yield Difference(name, is_now, was)
        for rule in dict.fromkeys([*self.courses, *now.courses]):
            theirs, ours = now.courses.get(rule), self.courses.get(rule)
            if theirs is None or ours is None:
                there = ("a rule", "no rule")
                yield Difference(f"rule {rule}", *(there if ours is None else there[::-1]))
                continue
            for name in dict.fromkeys([*ours, *theirs]):
                yield from _first_of(
                    name, f" under {rule}", now.columns.get(name, []), theirs.get(name), ours.get(name)
                )
        for name in dict.fromkeys([*self.crowd, *now.crowd]):
            yield from _of_crowd(name, now.crowd.get(name), self.crowd.get(name))

    def same_bits(self, now: GoldenCourses) -> bool:
        """Return whether every number is the same to the last bit."""
        if self.declared != now.declared or self.courses.keys() != now.courses.keys():
            return False
        pairs = [(ours, now.courses[rule]) for rule, ours in self.courses.items()]
        return all(
            ours.keys() == theirs.keys()
            and all(np.array_equal(values, theirs[name], equal_nan=True) for name, values in ours.items())
            for ours, theirs in [*pairs, (self.crowd, now.crowd)]
        )


def golden_path(scenario: Scenario) -> Path | None:
    """Return where the golden courses of a scenario lie: beside its file; None for what ships or was made in memory."""
    origin = None if registry.ships(scenario.id) else registry.origin(scenario.id)
    return None if origin is None else origin.with_name(f"{origin.stem}_golden.json")


def write_golden(scenario: Scenario) -> Path:
    """Record the golden courses of a scenario, unless its version has some already.

    Raises:
        RunExistsError: If others were recorded for this version, or for a later one or another scenario.
        SpecError: If there is no reference, or no file to lie beside.
    """
    path = golden_path(scenario)
    if path is None:
        raise SpecError(
            f"scenario {scenario.id!r} comes from no file of your own that golden courses could lie beside."
        )
    now = GoldenCourses.record(scenario)
    if path.exists():
        kept = GoldenCourses.read(path)
        if kept.scenario == scenario.id:
            first = next(kept.differences(now), None)
            if first is None:
                return path
            raise RunExistsError(
                f"{path} holds other courses of {scenario.id}: {first.what} is {first.now}, was {first.was}. If "
                f"that is meant, raise the version in the id to {next_version(scenario.id)}; else undo it."
            )
        if not _follows(kept.scenario, scenario.id):
            raise RunExistsError(
                f"{path} holds golden courses of {kept.scenario}, which {scenario.id} does not follow; keep that file "
                "under another name."
            )
    now.write(path)
    return path


def next_version(name: str) -> str:
    """Return the id of the version after this one."""
    stem, _, version = name.rpartition("-v")
    return f"{stem}-v{int(version) + 1}"


def _follows(earlier: str, later: str) -> bool:
    (stem, _, before), (other, _, after) = earlier.rpartition("-v"), later.rpartition("-v")
    return stem == other and before.isdigit() and int(after) > int(before)


def _under(policy: RulePolicy) -> Act:
    memory: list[Any] = [None]

    def act(env: TwinVectorEnv, seen: Observations, step: int) -> ArrayLike:
        actions, memory[0] = policy.predict(seen, state=memory[0], episode_start=env.t == 0)
        return actions

    return act


def _declared(scenario: Scenario) -> dict[str, str]:
    found = {
        "time step": f"{scenario.dt:g} {scenario.dt_unit}",
        "episode length": f"{scenario.horizon} steps, judged over {scenario.judged_horizon}, {scenario.ending}",
        "group traits": ", ".join(scenario.groups) or "none",
        "baseline rule": scenario.baseline,
    }
    for v in scenario.every_variable():
        found[v.name] = f"{v.kind}, {v.span}, {v.scale}, for {v.audience}"
    for i in scenario.interventions:
        span = ", ".join(i.levels) or f"{i.low:g} to {i.high:g} {i.unit}".strip()
        found[i.name] = f"{span}, {i.scale}" + (f", times {i.per_person}" if i.per_person else "")
    for c in scenario.constraints:
        more = [f"{c.metric} between {c.trait}"] if c.trait else []
        more += [f"risk {c.risk:g}"] if c.kind in ("chance", "cvar") else []
        more += [flag for flag in ("hard", "primary") if getattr(c, flag)]
        found[f"limit {c.name}"] = ", ".join([f"{c.kind} at most {c.limit:g} {c.unit}".strip(), *more])
    return found | {f"metric {m.name}": f"{m.how} in {m.unit}, wanted: {m.better}" for m in scenario.metrics}


def _first_of(
    name: str, under: str, columns: list[str], now: Floats | None, was: Floats | None
) -> Iterator[Difference]:
    """Yield the first number of an array that differs."""
    if now is None or was is None or now.shape != was.shape:
        yield Difference(name + under, *("nothing" if a is None else f"an array of {a.shape}" for a in (now, was)))
        return
    wrong = _wrong(now, was)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])  # (N,), (T, N) or (T, N, ...)
        column = f" {columns[place[2]]}" if now.ndim == 3 else ""
        person = TWINS[place[0] if now.ndim == 1 else place[1]]
        step = "" if now.ndim == 1 else f" at step {place[0]}"
        what = f"{name}{column} of person {person}{under}{step}"
        yield Difference(what, f"{now[place]:.10g}", f"{was[place]:.10g}")


def _of_crowd(name: str, now: Floats | None, was: Floats | None) -> Iterator[Difference]:
    """Yield the first statistic that differs."""
    if now is None or was is None:
        yield Difference(f"{name} of {CROWD} people", *("nothing" if a is None else "statistics" for a in (now, was)))
        return
    for place in _wrong(now, was)[:1, 0]:
        what = f"{STATISTICS[place]} of {name} among {CROWD} people"
        yield Difference(what, f"{now[place]:.10g}", f"{was[place]:.10g}")


def _wrong(now: Floats, was: Floats) -> Any:
    """Return the places of what differs beyond rounding."""
    return np.argwhere(~np.isclose(now, was, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))


def _arrays(kept: dict[str, Any]) -> dict[str, Floats]:
    return {name: np.asarray(values, dtype=np.float64) for name, values in kept.items()}


def _lines(arrays: dict[str, Floats], indent: str) -> str:
    """Return arrays as the inside of a JSON object, one a line."""
    return ",\n".join(f"{indent}{json.dumps(name)}: {json.dumps(_plain(a))}" for name, a in arrays.items())


def _plain(values: Floats) -> Any:
    """Return numbers as JSON holds them: all digits, null for NaN."""
    numbers = values.astype(object)
    numbers[np.isnan(values)] = None
    return numbers.tolist()
