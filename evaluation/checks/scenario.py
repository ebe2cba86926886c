"""Is a scenario fit for use: what can be checked of anybody's, and what each failure means?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from twingym.evaluation.checks.env import env_checks
from twingym.evaluation.checks.finding import Finding, of_error
from twingym.evaluation.checks.golden_course import GoldenCourses, golden_path, next_version
from twingym.evaluation.checks.limits import group_checks, limit_checks
from twingym.evaluation.checks.reference import reference_checks
from twingym.evaluation.checks.subject import Check, Subject
from twingym.evaluation.rollout import Policy, check_numbers
from twingym.scenarios import registry
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import people
from twingym.twins.errors import SpecError, TwinGymError

PEOPLE = 400
GOLDEN = "golden courses"
MOST_TOLD = 3  # differences of golden courses: one changed constant moves them all


def check_scenario(
    scenario: Scenario | str | Path,
    policies: Mapping[str, Policy] | None = None,
    *,
    count: int = PEOPLE,
    horizon: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Check a scenario, and explain what is wrong with it.

    Args:
        scenario: A scenario, its id, or the path of its file.
        policies: Known policies beside the rules, such as trained ones: tried in turn where no rule meets all limits.
        count: Test people whom policies are judged on.
        horizon: Steps that they are judged over; the scenario's ``judged_horizon`` if None.
        tell: Called with the name of each check before it begins.

    Returns:
        What was found, empty if all is well. Findings with ``fails`` are mistakes, the others worth knowing. After a
        check that an error ended nothing further is checked.

    Raises:
        UnknownNameError: If there is no scenario of this name.
        SpecError: If there is no such file, or a number is impossible.
    """
    check_numbers((0,), count=count, horizon=1 if horizon is None else horizon)
    if not isinstance(scenario, Scenario):
        if str(scenario).endswith(".py") and not Path(scenario).is_file():
            registry.load(Path(scenario))
        try:
            scenario = registry.get(scenario)
        except SpecError as error:
            return [
                Finding("the declaration", str(error).rstrip("."), "", "Mend it first; the rest follows.", check="spec")
            ]
    subject, found = Subject(scenario, policies or {}, count, horizon), []
    for name, check in CHECKS.items():
        if tell is not None:
            tell(name)
        try:
            with np.errstate(all="ignore"):  # what comes of it is told
                found += [replace(finding, check=name) for finding in check(subject)]
        except Exception as error:  # whatever a scenario's own functions raise
            found.append(replace(of_error("the check", error), check=name))
            break
        if subject.dynamics is None:
            break
    return found


def spec(subject: Subject) -> Iterator[Finding]:
    """Look for what a declaration that does not contradict itself still lacks."""
    s = subject.scenario
    if subject.dynamics is None:
        no_world = "Give it a reference, or fit a twin model (twingym fit); nothing more was checked."
        yield Finding("dynamics", "neither a reference nor a twin model", "one of them", no_world)
    if s.parameters is not None and s.rebuild is not None and s.rebuild(s.parameters).fingerprint() != s.fingerprint():
        yield Finding("rebuild", "another scenario from the same parameters", "the same", "Let rebuild make all of it.")
    if not s.sources:
        yield Finding("sources", "none", "", "Name the publications that equations and limits come from.", fails=False)
    assumed = [c.name for c in s.constraints if c.source == "assumption"]
    if assumed:
        said = "Say who set them, if somebody did; they are reported as assumptions."
        yield Finding("assumed limits", ", ".join(assumed), "", said, fails=False)
    if s.fidelity is None and s.reference is not None:
        plan = "Without one there is no card of the twin model; see scenarios/fidelity_plan.py."
        yield Finding("fidelity plan", "there is none", "", plan, fails=False)


def cohort(subject: Subject) -> Iterator[Finding]:
    """Look whether an id is always the same person, with the traits that were declared."""
    s, ids = subject.scenario, people("test", 200)
    once, again = s.people.sample(ids), s.people.sample(ids[::-2])
    named = {v.name for v in s.traits}
    if set(once.traits) != named:
        differ = sorted(set(once.traits) ^ named)
        yield Finding(
            "traits of people", f"{differ} are only declared or only drawn", str(sorted(named)), "Draw those."
        )
        return
    for where, first, second in (("trait", once.traits, again.traits), ("hidden", once.hidden, again.hidden)):
        for name, values in first.items():
            if not np.allclose(values[::-2], second[name], equal_nan=True):
                alone = "Make people of the uniforms alone: no mean over people, no random generator."
                yield Finding(f"{where} {name}", "differs in other company", "the same person for the same id", alone)
    for v in s.traits:
        values = once.traits[v.name]
        whole = v.kind == "continuous" or bool((values == np.rint(values)).all())
        if not (np.isfinite(values).all() and (values >= v.low).all() and (values <= v.high).all() and whole):
            worst = values[np.argmax(~np.isfinite(values) | (values < v.low) | (values > v.high) | (values % 1 != 0))]
            yield Finding(f"trait {v.name}", f"{worst:g}", v.span, "Clip it, or widen the bounds.")
    for trait, levels in s.group_levels.items():
        try:
            s.people.sample(ids[:8], fixed={trait: float(len(levels) - 1)})
        except TwinGymError as error:
            ask = "Honour `fixed` in draw(), to ask what the same person would have met in another group."
            yield replace(of_error(f"imposing {trait}", error, ask), allowed="", fails=False)


def reference(subject: Subject) -> Iterator[Finding]:
    """Look whether the reference keeps the contract of a dynamics."""
    yield from reference_checks(subject.scenario)


def golden(subject: Subject) -> Iterator[Finding]:
    """Compare with the courses that were recorded when the version was set."""
    s, path = subject.scenario, golden_path(subject.scenario)
    if path is None or s.reference is None:
        return
    if not path.exists():
        record = "Record them with --golden once the scenario is as you want it; they hold a version still."
        yield Finding(path.name, "does not exist yet", "", record, fails=False)
        return
    kept, now = GoldenCourses.read(path), GoldenCourses.record(s)
    if kept.scenario != s.id:
        record = "Record those of this version with --golden."
        yield Finding(path.name, f"is of {kept.scenario}", s.id, record)
        return
    change = f"If that is meant, raise the id to {next_version(s.id)} and record it with --golden; else undo it."
    differences = list(kept.differences(now))
    for difference in differences[:MOST_TOLD]:
        yield Finding(difference.what, difference.now, f"{difference.was}, as {path.name} has it", change)
    if len(differences) > MOST_TOLD:
        yield Finding(path.name, f"{len(differences) - MOST_TOLD} more differences", "none", change)
    if not differences and not kept.same_bits(now):
        rounding = "Another machine, or a reordered formula: no change of behaviour."
        yield Finding(path.name, "the same up to rounding, not to the bit", "", rounding, fails=False)


# In this order: later checks rely on what earlier ones look at.
CHECKS: Mapping[str, Check] = {
    "spec": spec,
    "people": cohort,
    "reference": reference,
    "env": env_checks,
    "limits": limit_checks,
    "groups": group_checks,
    GOLDEN: golden,
}
