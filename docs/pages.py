"""Write a page on each shipped scenario from its declarations: ``python docs/pages.py``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from twingym.envs import RulePolicy
from twingym.evaluation import evaluate
from twingym.evaluation.cards.markdown import markdown_table
from twingym.evaluation.cards.model_card import CARD, PAGE
from twingym.evaluation.courses import Courses, Series
from twingym.evaluation.episodes import Evaluation
from twingym.scenarios import Constraint, Intervention, Parameter, Scenario, Variable, get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder
from twingym.twins import people

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "scenarios"
MARK = "<!-- written by docs/pages.py from the scenario's declarations: do not edit -->"
PEOPLE, PLACES = 100, 5  # on whom courses are shown, and at how many times
OURS = "MIT, as this package"
NUMBERS = "none stated; numbers from a publication"


def page(scenario: Scenario) -> str:
    """Return the page of a scenario, in Markdown."""
    parts = [
        f"# {scenario.title}: `{scenario.env_id}`",
        MARK,
        scenario.about,
        times(scenario),
        "## What is known of a person",
        variables(scenario),
        "## What a policy decides",
        table(
            ("name", "unit", "range", "about"),
            ((i.name, i.unit, _span(i), i.about) for i in scenario.interventions),
        ),
        "## Equations",
        equations(scenario),
        "## What must not happen",
        table(
            ("limit", "kind", "at most", "unit", "source"),
            ((c.name + _mark(c), _kind(c), _limit(c), c.unit, c.source) for c in scenario.constraints),
        ),
        "## Groups",
        table(
            ("trait", "levels", "seen by policies", "what it moves"),
            (
                (v.name, ", ".join(v.levels), "yes" if v.seen_by("policy") else "no", v.about)
                for v in map(scenario.variable, scenario.groups)
            ),
        ),
        "## Rules to beat",
        table(("rule", "about"), ((_named(scenario, name), rule.about) for name, rule in scenario.rules.items())),
        baselines(scenario),
        course(scenario),
        "## Constants",
        constants(scenario),
        "## Citations",
        "\n".join(f"- {source}" for source in scenario.sources),
        "## Versions",
        "\n".join(f"- `-v{number}`: {told}" for number, told in enumerate(scenario.versions)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; what is empty in every row is left out."""
    body = list(rows)
    kept = [k for k in range(len(head)) if any(row[k] for row in body)]
    return markdown_table([head[k] for k in kept], [[row[k].replace("|", "/").strip() for k in kept] for row in body])


def times(scenario: Scenario) -> str:
    """Return how long everything lasts, and where the twin model's card is."""
    ends = "Then the problem ends." if scenario.ending == "end" else "Life goes on after that."
    told = ""
    if (weights_folder(scenario) / CARD).is_file():
        told = f" How far its twin model can be trusted: [card](../../scenarios/weights/{scenario.id}/{PAGE})."
    unit = scenario.dt_unit.removesuffix("s") if scenario.dt == 1.0 else scenario.dt_unit
    return (
        f"One step is {scenario.dt:g} {unit}, a training episode {scenario.horizon} steps; verdicts are "
        f"reached over {scenario.judged_horizon}. {ends}{told}"
    )


def variables(scenario: Scenario) -> str:
    """Return the table of traits, observations, inputs and derived values."""
    roles: dict[str, tuple[Variable, ...]] = {
        "trait": scenario.traits,
        "observed": scenario.variables,
        "input": scenario.inputs,
        "derived": scenario.derived,
    }
    readers = {"policy": "everybody", "twin": "twin model, auditor", "auditor": "auditor"}
    return table(
        ("name", "role", "kind", "unit", "range", "seen by", "about"),
        (
            (v.name, role, v.kind, v.unit, _span(v), readers[v.audience], v.about)
            for role, declared in roles.items()
            for v in declared
        ),
    )


def equations(scenario: Scenario) -> str:
    """Return the declared equations, else what the reference's file and class say."""
    if scenario.equations:
        return scenario.equations.strip()
    if scenario.reference is None:
        return "None: the dynamics were learned from recorded courses."
    reference = scenario.reference.func if isinstance(scenario.reference, partial) else scenario.reference
    module = sys.modules[reference.__module__]
    texts = (inspect.getdoc(module) or "", inspect.getdoc(reference) or "")
    return "\n\n".join(dict.fromkeys(text.split("\nAttributes:")[0].strip() for text in texts if text))


def constants(scenario: Scenario) -> str:
    """Return the table of constants with value, source and licence."""
    if not scenario.provenance:
        return ""
    held = dict(_values(scenario))
    rows = ((name, held[name], p.unit, p.source, licence(p), p.about) for name, p in scenario.provenance.items())
    return table(("name", "value", "unit", "source", "licence", "about"), rows)


def licence(parameter: Parameter) -> str:
    """Return under which licence a constant comes."""
    return parameter.licence or (OURS if parameter.source.startswith("assumption") else NUMBERS)


def _values(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield constants by name: those that may be varied, else those of this name in the scenario's files."""
    files = list(own_modules(scenario))
    for name in scenario.provenance:
        if scenario.parameters is not None:
            yield name, _number(getattr(scenario.parameters, name))
        else:
            yield name, _number(next(getattr(m, name.upper()) for m in files if hasattr(m, name.upper())))


def own_modules(scenario: Scenario) -> Iterator[ModuleType]:
    """Yield the modules of the package that define the reference, and those that they use, nearest first."""
    assert scenario.reference is not None
    reference = scenario.reference.func if isinstance(scenario.reference, partial) else scenario.reference
    waiting, met = [reference.__module__], set[str]()
    if scenario.draw_inputs is not None:
        waiting.append(str(getattr(scenario.draw_inputs, "__module__", type(scenario.draw_inputs).__module__)))
    while waiting:
        name = waiting.pop(0)
        if name in met or ".scenarios." not in name:
            continue
        met.add(name)
        module = import_module(name)
        yield module
        used = (value if inspect.ismodule(value) else inspect.getmodule(value) for value in vars(module).values())
        waiting += [m.__name__ for m in used if m is not None]


# -- what rules do -----------------------------------------------------------------------------------------------------


def baselines(scenario: Scenario) -> str:
    """Return what every rule brings and costs, on the reference."""
    if scenario.reference is None:
        return ""
    measures = ["return", *(m.name for m in scenario.metrics), *(c.name for c in scenario.costs)]
    rows = []
    for name, rule in scenario.rules.items():
        if not rule.per_person:
            result = lived(scenario, name)
            rows.append((name, *(f"{np.nanmean(result.measure(measure)):.3g}" for measure in measures)))
    tuned = [name for name, rule in scenario.rules.items() if rule.per_person]
    without = f" without {', '.join(tuned)}, tuned for each person," if tuned else ""
    told = f"Means over {PEOPLE} held-out people and one training episode,{without} on the reference:"
    return f"{told}\n\n{table(('rule', *measures), rows)}"


def course(scenario: Scenario) -> str:
    """Return how the tracked variables go under the baseline rule, on the reference."""
    if scenario.reference is None:
        return ""
    found = lived(scenario, scenario.baseline, courses=True).courses
    assert isinstance(found, Courses)
    tracked = [v for v in scenario.variables if v.name in found.values]
    steps = np.unique(np.linspace(0, scenario.horizon, PLACES).round().astype(int))
    rows = [
        (
            f"{found.time[t]:g}",
            str(int(np.isfinite(found.values[tracked[0].name][:, t]).sum())),
            *(_told(v, found.values[v.name][:, t]) for v in tracked),
        )
        for t in steps
    ]
    head = (f"time, {scenario.dt_unit}", "people", *(f"{v.name}{f', {v.unit}' if v.unit else ''}" for v in tracked))
    told = f"The same people under `{scenario.baseline}`: means (a tenth lies below, a tenth above), or shares."
    return f"{told}\n\n{table(head, rows)}"


def _told(variable: Variable, values: Series) -> str:
    there = values[np.isfinite(values)]
    if not len(there):
        return ""
    if variable.levels:
        shares = ((level, (there == k).mean()) for k, level in enumerate(variable.levels))
        return ", ".join(f"{level} {share:.0%}" for level, share in shares if share > 0.0)
    if variable.kind in ("binary", "event"):
        return f"{there.mean():.0%}"
    low, high = np.quantile(there, (0.1, 0.9))
    return f"{there.mean():.3g} ({low:.3g} to {high:.3g})"


def lived(scenario: Scenario, rule: str, courses: bool = False) -> Evaluation:
    """Let the same held-out people live through a training episode under a rule, on the reference."""
    return evaluate(
        RulePolicy(scenario, rule),
        scenario,
        people("test", PEOPLE),
        (0,),
        dynamics="reference",
        horizon=scenario.horizon,
        courses=courses,
    )


# -- words -------------------------------------------------------------------------------------------------------------


def _span(declared: Variable | Intervention) -> str:
    if declared.levels:
        return ", ".join(declared.levels)
    times = declared.per_person if isinstance(declared, Intervention) else None
    return f"{declared.low:g} to {declared.high:g}{f' times {times}' if times else ''}"


def _mark(c: Constraint) -> str:
    return " (primary)" if c.primary else " (enforced)" if c.hard else ""


def _kind(c: Constraint) -> str:
    return f"gap of {c.metric} between {c.trait}" if c.kind == "group_gap" else c.kind.replace("_", " ")


def _limit(c: Constraint) -> str:
    return f"{c.limit:g}" + (f" in all but {c.risk:.0%} of people" if c.kind == "chance" else "")


def _named(scenario: Scenario, rule: str) -> str:
    return f"{rule} (baseline)" if rule == scenario.baseline else rule


def _number(value: object) -> str:
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_number(v)}" for key, v in value.items())
    if isinstance(value, tuple | list | np.ndarray):
        return ", ".join(_number(v) for v in value)
    return f"{value:.6g}"  # type: ignore[str-format]


def write() -> None:
    """Write all pages, and remove those of scenarios that are no longer there."""
    FOLDER.mkdir(exist_ok=True)
    shipped = [name for name in names() if ships(name)]
    for old in FOLDER.glob("*.md"):
        if old.stem not in shipped:
            old.unlink()
    for name in shipped:
        (FOLDER / f"{name}.md").write_text(page(get(name)), encoding="utf-8")


if __name__ == "__main__":
    write()
