"""Is each limit broken by some policy and all of them kept by one, and are there people in every group?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation.checks.finding import Finding, of_error
from twingym.evaluation.checks.subject import Subject
from twingym.evaluation.disparity import FEW
from twingym.evaluation.rollout import evaluate
from twingym.evaluation.tuning import tune
from twingym.evaluation.verdict import overall, verdicts
from twingym.twins.cohort import people

if TYPE_CHECKING:
    import pandas as pd


def limit_checks(subject: Subject) -> Iterator[Finding]:
    """Let every rule live, and look whether each limit is broken by some and all are kept by one, beyond chance."""
    s = subject.scenario
    failed_rules, tables = _judge(subject)
    yield from failed_rules
    if not tables:
        return
    # What a table holds decides what its people can come to: a limit that all of it keeps is told, and no failure.
    invented = s.recorded is None
    more = f"Ask more than {subject.count} people (--people), or move the limit away from what policies reach."
    for c in s.constraints:
        if c.hard:
            acted = any("shielded" in e.episodes and e.episodes["shielded"].sum() > 0 for e in subject.judged.values())
            if not acted:
                idle = "Add a rule that would break it; enforcement that never acts is never tried."
                yield Finding(f"hard limit {c.name}", "no policy was ever stopped", "one that is", idle, fails=invented)
            continue
        rows = {name: table.loc[c.name] for name, table in tables.items()}
        if any(row["verdict"] == "fail" for row in rows.values()):
            continue
        name, row = max(rows.items(), key=lambda item: item[1]["estimate"])
        value = f"{row['estimate']:.4g} {c.unit}".strip() + f" at most (by {name}, surely {row['lower']:.4g})"
        allowed = f"a rule that is surely above the limit, {row['limit']:g}"
        undecided = bool(row["estimate"] > row["limit"])
        trivial = "A limit that nothing breaks says nothing: lower it, or add the rule that it guards against."
        yield Finding(f"limit {c.name}", value, allowed, more if undecided else trivial, fails=invented or undecided)
    if not any(overall(table) == "pass" for table in tables.values()):
        missed = {name: list(table.index[table["verdict"] != "pass"]) for name, table in tables.items()}
        failed = {name: int((table["verdict"] == "fail").sum()) for name, table in tables.items()}
        nearest = min(missed, key=lambda name: (failed[name], len(missed[name])))
        lost = tables[nearest].loc[missed[nearest]]
        told = [f"{name} up to {row['bound']:.4g} (limit {row['limit']:g})" for name, row in lost.iterrows()]
        value = f"no policy surely keeps all; nearest is {nearest}, with {', '.join(told)}"
        close = bool((lost["estimate"] <= lost["limit"]).all())
        strict = "A limit that nobody keeps says nothing: raise it, or add a rule or policy that keeps them all."
        yield Finding("limits together", value, "a policy that keeps all of them", more if close else strict)


def _judge(subject: Subject) -> tuple[list[Finding], dict[str, pd.DataFrame]]:
    """Return verdicts on all rules, and on known policies until something keeps all limits; by name of the limit.

    A rule that fails is told and left out.
    """
    s, ids, dynamics = subject.scenario, people("test", subject.count), subject.dynamics
    found: list[Finding] = []
    tables: dict[str, pd.DataFrame] = {}
    for name in [*s.rules, *subject.policies]:
        if name in subject.policies and any(overall(table) == "pass" for table in tables.values()):
            break
        try:
            policy = subject.policies.get(name) or (
                tune(s, name, ids, dynamics=dynamics or "") if s.rules[name].per_person else RulePolicy(s, name)
            )
            judged = evaluate(policy, s, ids, dynamics=dynamics or "", name=name, horizon=subject.horizon)
        except Exception as error:
            amounts = "A rule returns an amount (N,) for each intervention, by name."
            found.append(of_error(f"rule {name}", error, amounts))
            continue
        subject.judged[name] = judged
        tables[name] = verdicts(judged).set_index("name")
    return found, tables


def group_checks(subject: Subject) -> Iterator[Finding]:
    """Look whether every group has enough people to speak of, and every gap a value."""
    s = subject.scenario
    limited = {c.trait for c in s.constraints if c.kind == "group_gap"}
    sampled = s.people.sample(people("test", subject.count))
    for trait, levels in s.group_levels.items():
        for number, level in enumerate(levels):
            count = int((sampled.traits[trait] == number).sum())
            if count < FEW:
                few = "Draw more of them, or join levels; gaps with so few are chance (or ask more people: --people)."
                yield Finding(f"group {trait} = {level}", f"{count} of {subject.count} people", f"{FEW} or more", few)
        if trait not in limited:
            gap = f"Limit some gap between its groups: Constraint(kind='group_gap', trait={trait!r})."
            yield Finding(f"groups of {trait}", "no limit speaks of them", "", gap, fails=False)
    for c in s.constraints:
        for name, judged in subject.judged.items():
            if c.kind == "group_gap" and np.isnan(judged.measure(str(c.metric))).any():
                unknown = "Its metric must be a number for everybody; see Metric.how."
                yield Finding(f"gap {c.name} under {name}", "not a number", "a number", unknown)
                break
