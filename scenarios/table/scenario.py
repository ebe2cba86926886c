"""A scenario whose dynamics is learned from the user's own table: no equations, no reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twingym.scenarios.bookkeeping import Bookkeeping
from twingym.scenarios.constraint import Constraint
from twingym.scenarios.parameter import Parameter
from twingym.scenarios.recorded import HeldOut, Recorded, TablePeople
from twingym.scenarios.rule import Rule
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.table.check import check_tables
from twingym.scenarios.table.grid import on_grid
from twingym.scenarios.table.parsed import Tables
from twingym.scenarios.table.spec import REQUIRED, SECTIONS, Section, TableSpec, check_keys, read_spec
from twingym.scenarios.table.terms import GIVEN, AtEntry, Give, Term, Total
from twingym.twins.courses import Courses
from twingym.twins.errors import SpecError, unknown
from twingym.twins.fit_config import FitConfig
from twingym.twins.transformer_config import TransformerConfig
from twingym.twins.variables import Variable

if TYPE_CHECKING:
    import pandas as pd

# A cohort of some hundred people needs few parameters, seen often, and stops early.
NETWORK = TransformerConfig(width=32, layers=2, attention_heads=4, head_width=8, ensemble=4, ensemble_width=32)
FIT = FitConfig(epochs=10, batches=40, batch_tokens=1500, learning_rate=2e-3, ema=0.98, patience=4, weight_decay=1e-2)
ABOUT = set(REQUIRED) | {"judged_horizon", "ending", "window", "about", "sources", "groups", "baseline", "behaviour"}
ABOUT |= {"band", "reward", "constraints", "rules", "card", "fit", "network"}
TERM = ("of", "weight", "above", "below", "is", "log", "constant")
CONSTRAINT = (*TERM, "limit", "kind", "risk", "unit", "primary", "source", "trait", "metric")
CARD = ("variables", "origins", "cut", "horizons", "total", "simple", "effect_steps", "randomised")
ASSUMPTION = "assumption"
Seldom = Mapping[str, Mapping[str, int]]  # people who ever got a level, by intervention and level


def from_table(
    spec: Path | str | Section,
    tables: pd.DataFrame | Mapping[str, pd.DataFrame] | None = None,
) -> Scenario:
    """Return a scenario from a user's table.

    Everything that is wrong with the table is told at once, before anything is made of it. What is declared stays
    declared: bounds, units and levels are the user's, nothing is guessed from the data.

    Args:
        spec: A TOML file, or the same nested mapping; see ``docs/table.md``.
        tables: A DataFrame in place of the file of the only table, or DataFrames by table name.

    Returns:
        The scenario, with what was recorded in its field ``recorded``. It has no reference: its twin model is fitted by
        ``twingym fit`` or :func:`~twingym.experiments.fit_recorded.fit_recorded`, and judged on held-out people and by
        a challenger.

    Raises:
        TableError: If anything is wrong with the table; its ``problems`` hold every row.
        SpecError: If the spec contradicts itself.
        UnknownNameError: If a key or name is not one of those there are; suggests the nearest.
    """
    found = read_spec(spec)
    check_keys("the spec", found.about, ABOUT | set(SECTIONS))
    frames = tables if isinstance(tables, Mapping) else {} if tables is None else {_only_table(found): tables}
    recorded = on_grid(check_tables(found, frames), partial(_held_out, found))
    parameters, provenance = _assumed(found)
    return _built(found, recorded, provenance, parameters)


def _only_table(spec: TableSpec) -> str:
    if len(spec.sources) > 1:
        names = [s.name for s in spec.sources]
        raise SpecError(f"tables is one DataFrame, and the spec has several tables; allowed: one for each of {names}.")
    return spec.sources[0].name


def _built(spec: TableSpec, recorded: Recorded, provenance: Mapping[str, Parameter], parameters: Any) -> Scenario:
    about = dict(spec.about)
    once = tuple(c.name for c in spec.of("intervention") if c.decided == "at entry")
    for name in once:
        if not next(i for i in spec.interventions if i.name == name).categorical:
            raise SpecError(f"interventions.{name}: decided is 'at entry' on an amount; allowed: with levels.")
    entry = AtEntry(once)
    derived = tuple(
        Variable(i.name + GIVEN, kind="categorical", levels=("undecided", *i.levels), about="Decided at entry.")
        for i in spec.interventions
        if i.name in once
    )
    courses = recorded.courses
    rules = _rules(spec, about.get("rules", {}), recorded.seldom)
    window = int(about.get("window", min(max(8, courses.observed.shape[1]), 64)))
    return Scenario(
        id=about["id"],
        title=about["title"],
        kind=about["kind"],
        about=_prose(about.get("about", ""), recorded, provenance),
        dt=spec.dt,
        dt_unit=spec.dt_unit,
        horizon=int(about["horizon"]),
        judged_horizon=int(about.get("judged_horizon", 0)),
        ending=about.get("ending", "truncation"),
        people=TablePeople((courses.ids, courses.traits)),
        traits=tuple(c.variable for c in spec.of("trait")),
        variables=tuple(c.variable for c in spec.of("variable", "event")),
        derived=derived,
        bookkeeping=Bookkeeping(entry.start, entry.update) if once else None,
        interventions=spec.interventions,
        reward=Total(tuple(_term(spec, f"reward {n}", t) for n, t in enumerate(about.get("reward", ())))),
        constraints=_constraints(spec, about.get("constraints", {}), entry),
        groups=tuple(about.get("groups", ())),
        rules=rules,
        baseline=about.get("baseline", next(iter(rules))),
        behaviour=about.get("behaviour", dict.fromkeys(rules, 1.0)),
        band={name: tuple(span) for name, span in about.get("band", {}).items()},
        window=window,
        network=_changed(NETWORK, "network", about.get("network", {})),
        fit=_changed(FIT, "fit", about.get("fit", {})),
        parameters=parameters,
        provenance=provenance,
        rebuild=None if parameters is None else partial(_built, spec, recorded, provenance),
        sources=tuple(about.get("sources", ())),
        recorded=recorded,
        assumed=_effects(spec, parameters),
    )


def _prose(about: str, recorded: Recorded, assumed: Mapping[str, Parameter]) -> str:
    told = [about.strip(), f"Learned from a table of {len(recorded.courses):,} people; there is no reference."]
    for name, what in recorded.never_varied.items():
        told.append(f"Intervention {name} was {what} for everybody at all times.")
    told += [_unsupported(name, level, n) for name, levels in recorded.seldom.items() for level, n in levels.items()]
    if assumed:
        told.append(f"ASSUMED, not learned: {'; '.join(p.about for p in assumed.values())}")
    return " ".join(part for part in told if part)


def _unsupported(name: str, level: str, people: int) -> str:
    who = "Nobody" if people == 0 else f"Only {people} {'person' if people == 1 else 'people'}"
    return f"{who} in the table ever got {level!r} of {name}: what it does is INVENTED, not learned."


# -- what is wanted ------------------------------------------------------------------------------------------------


def _term(spec: TableSpec, where: str, section: Section) -> Term:
    check_keys(where, section, TERM)
    keys = dict(section)
    if "constant" in keys:
        return Term(weight=float(keys["constant"]))
    of = str(keys.pop("of", ""))
    levels = {c.name: c.variable.levels for c in spec.columns}
    if of not in levels:
        raise unknown(f"name in {where}", of, levels)
    if "is" in keys:
        keys["equals"] = _level(where, of, levels[of], keys.pop("is"))
    return Term(of, **keys)


def _level(where: str, of: str, levels: Sequence[str], value: object) -> float:
    if not levels:
        if isinstance(value, int | float):
            return float(value)
        raise SpecError(f"{where}: {of!r} is to be {value!r}; allowed: a number, for it has no levels.")
    if value not in levels:
        raise unknown(f"level of {of!r} in {where}", str(value), levels)
    return float(levels.index(str(value)))


def _constraints(spec: TableSpec, section: Section, entry: AtEntry) -> tuple[Constraint, ...]:
    found = []
    for name, keys in section.items():
        where = f"constraints.{name}"
        check_keys(where, keys, CONSTRAINT)
        declared = {k: v for k, v in keys.items() if k not in TERM}
        cost = None
        if "of" in keys:
            cost = _term(spec, where, {k: v for k, v in keys.items() if k in TERM})
        if "limit" not in declared:
            raise SpecError(f"{where}: limit is missing; say how much is allowed.")
        found.append(Constraint(name, cost, **declared))
    if entry.names:
        source = "the table: what was decided at entry stayed"
        found.append(Constraint("decided_once", entry.changed, 0.0, hard=True, enforce=entry.enforce, source=source))
    return tuple(found)


def _rules(spec: TableSpec, section: Section, seldom: Seldom) -> dict[str, Rule]:
    """Return the declared rules or, without any, one for each level (or for nothing and the most) of everything."""
    found = {}
    nothing = {i.name: 0.0 if i.categorical else i.low for i in spec.interventions}
    for name, keys in section.items():
        where = f"rules.{name}"
        check_keys(where, keys, ("give", "when", "otherwise", "about"))
        when = _term(spec, f"{where}.when", keys["when"]) if "when" in keys else None
        give, otherwise = ({**nothing, **_amounts(spec, where, keys.get(part, {}))} for part in ("give", "otherwise"))
        found[name] = _rule(spec, Give(give, when, otherwise), keys.get("about", ""), seldom)
    if found:
        return found
    for i in spec.interventions:
        amounts = enumerate(i.levels) if i.categorical else ((i.low, "least"), (i.high, "most"))
        for amount, label in amounts:
            name = _identifier(f"{i.name}_{label}")
            always = Give({**nothing, i.name: float(amount)})
            found[name] = _rule(spec, always, f"{i.name}: always {label}.", seldom)
    return found


def _rule(spec: TableSpec, give: Give, about: str, seldom: Seldom) -> Rule:
    """Return a rule that says so if it gives what hardly anybody got."""
    levels = {i.name: i.levels for i in spec.interventions}
    given = (give.amounts,) if give.when is None else (give.amounts, give.otherwise)
    told = [
        _unsupported(name, level, people)
        for name in seldom
        for level, people in seldom[name].items()
        if any(amounts.get(name) == levels[name].index(level) for amounts in given)
    ]
    return Rule(give, about=" ".join([about, *told]).strip())


def _amounts(spec: TableSpec, where: str, section: Section) -> dict[str, float]:
    levels = {i.name: i.levels for i in spec.interventions}
    check_keys(where, section, levels)
    return {name: _level(where, name, levels[name], value) for name, value in section.items()}


def _identifier(text: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in text)


def _changed(settings: Any, where: str, section: Section) -> Any:
    check_keys(where, section, vars(settings))
    return type(settings)(**{**vars(settings), **section})


# -- what is assumed -----------------------------------------------------------------------------------------------


def _assumed(spec: TableSpec) -> tuple[Any, dict[str, Parameter]]:
    """Return the declared effects as parameters that may be varied, and their provenance; None without any."""
    values, provenance = {}, {}
    for column in spec.of("intervention"):
        for level, effects in column.assumed.items():
            for variable, effect in effects.items():
                key = _identifier(f"{column.name}_{level}_on_{variable}")
                values[key] = float(effect)
                about = f"{column.name} {level!r} adds {effect:g} to the log rate of {variable} in its step."
                provenance[key] = Parameter("log rate", ASSUMPTION, about, moves=False)
    if not values:
        return None, {}
    made = make_dataclass("Assumed", [(name, float, value) for name, value in values.items()], frozen=True)
    return made(), provenance


def _effects(spec: TableSpec, parameters: Any) -> dict[str, dict[int, dict[str, float]]]:
    """Return the assumed effects: intervention -> number of its level -> variable -> log rate."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for column in spec.of("intervention"):
        for level, effects in column.assumed.items():
            number = int(_level(f"interventions.{column.name}.assumed", column.name, column.variable.levels, level))
            for variable in effects:
                key = _identifier(f"{column.name}_{level}_on_{variable}")
                found.setdefault(column.name, {}).setdefault(number, {})[variable] = float(getattr(parameters, key))
    return found


# -- how it is judged ----------------------------------------------------------------------------------------------


def _held_out(spec: TableSpec, courses: Courses, tables: Tables) -> HeldOut:
    section = dict(spec.about.get("card", {}))
    check_keys("card", section, CARD)
    known = {c.name: c.variable for c in spec.of("variable")}
    variables = tuple(section.get("variables", [n for n, v in known.items() if v.kind in ("continuous", "count")]))
    for name in variables:
        if name not in known:
            raise unknown("variable in card.variables", name, known)
    cut = section.get("cut")
    longest = int(courses.length.max())
    origins = tuple(int(o) for o in section.get("origins", () if cut is not None else (max(1, longest // 4),)))
    horizons = section.get("horizons", {"1 step": [1, 1], "2 to 4 steps": [2, 4]})
    for label, span in horizons.items():
        if not (isinstance(span, list | tuple) and len(span) == 2 and 1 <= span[0] <= span[1]):
            raise SpecError(f"card.horizons: {label!r} is {span!r}; allowed: [first, last] steps ahead, from 1.")
    cuts = None
    if cut is not None:
        sheet = next(p.sheet for p in tables.parsed if p.sheet.source.time is not None)
        time = sheet.instant(cut, spec.dt_unit) - tables.starts
        cuts = np.clip(np.floor(time / spec.dt + 1e-6), 0, courses.length).astype(np.int64)
    return HeldOut(
        variables,
        {label: (int(span[0]), int(span[1])) for label, span in horizons.items()},
        origins,
        cuts,
        bool(section.get("total", False)),
        str(section.get("simple", "random effects")),
        int(section.get("effect_steps", max(1, int(spec.about["horizon"]) // 2))),
        tuple(section.get("randomised", ())),
    )
