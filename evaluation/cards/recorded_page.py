"""How does the card of a twin model from a table read, as a page?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twingym.evaluation.cards.blocks import exploited
from twingym.evaluation.cards.markdown import bounded, markdown_table

# A right value lies outside of a 95 % interval in 5 % of cases, and beyond one end of it in 2.5 %.
CHANCE = (
    "Bars stand on 95 % intervals over the few people who are held out, so some are missed by chance alone: a right "
    "model misses one in twenty of those on coverage and on arms, one as good as a simple forecast one in forty of "
    "those on skill over it."
)


def recorded_page(content: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    table, report = content["table"], content["report"]
    missed = [row for row in content["bars"] if not row["cleared"]]
    counts = ", ".join(f"{count:,} {split}" for split, count in table["people"].items())
    parts = [
        f"# Card of the twin model of {content['scenario']}",
        f"Learned from a table alone. Judged by: **{content['judge']}**. "
        f"{len(content['bars']) - len(missed)} of {len(content['bars'])} bars cleared. {content['parameters']:,} "
        f"parameters (weights' SHA-256 {content['weights'][:12]}...); a step is {content['step']}. People: {counts}, "
        "split by person.",
        CHANCE,
        *(f"- Missed: {row['check']} is {row['value']:.3g}, wanted: {row['bar']}." for row in missed),
        *(f"- **Assumed, not learned**: {effect}" for effect in content["assumed"]),
        "## What these data can not support",
        *(f"- {line}" for line in content["cannot"]),
        "## Forecasts of held-out people",
        f"{report['people']} people, {report['forecasts']} forecasts, each given a person's own past. Skill is one "
        "minus the ratio of CRPS, with 95 % intervals over people; below 0 the simple forecast was better.",
    ]
    for variable, horizons in report["variables"].items():
        rows: list[tuple[str, ...]] = []
        simple: list[str] = []
        for label, found in horizons.items():
            if not found["points"]:
                rows.append((label, "0", "", *("" for _ in simple), ""))
                continue
            simple = list(found["skill"])
            skills = [bounded(value) for value in found["skill"].values()]
            points = f"{found['points']} of {found['people']}"
            rows.append((label, points, f"{found['crps']:.4g}", *skills, bounded(found["coverage"])))
        head = ("horizon", "values of people", "CRPS", *(f"skill over {name}" for name in simple), "coverage of 90 %")
        parts += [f"### {variable}", markdown_table(head, rows)]
    for event, horizons in report["events"].items():
        rows = [
            (
                label,
                str(f["people"]),
                f"{f['happened']:.3f}",
                f"{f['expected']:.3f}",
                f"{f['brier']:.4f}",
                bounded(f["skill"]),
            )
            for label, f in horizons.items()
            if f["people"]
        ]
        head = ("by the end of", "people", "happened", "expected", "Brier score", "skill over its share")
        parts += [f"### {event}", markdown_table(head, rows)]
    groups = [
        (variable, label, trait, level, str(g["people"]), f"{g['crps']:.4g}", bounded(g["coverage"]))
        for variable, horizons in report["variables"].items()
        for label, found in horizons.items()
        for trait, levels in found.get("groups", {}).items()
        for level, g in levels.items()
        if g["crps"] is not None
    ]
    head = ("variable", "horizon", "trait", "group", "people", "CRPS", "coverage of 90 %")
    parts += ["## Groups", markdown_table(head, groups)]
    parts += ["## Effects", *_effects(content["effects"])]
    parts += ["## Exploitability", *exploited(content["exploitability"])]
    like = content["likelihood"]
    beside = (
        "There is no challenger."
        if like["over_challenger"] is None
        else (f"That is {bounded(like['over_challenger'])} more than under the challenger.")
    )
    parts += ["## Likelihood", f"{like['per_value']:.3f} nats per recorded value of held-out people. {beside}"]
    rows = [
        (
            name,
            p["table"],
            p["file"],
            p["column"],
            f"{p['lag']:g} {p['lag_unit']}",
            f"{p['missing']:.0%}",
            p["sha256"][:12],
        )
        for name, p in table["provenance"].items()
    ]
    head = ("name", "table", "file", "column", "lag", "missing", "SHA-256")
    parts += ["## Where it comes from", markdown_table(head, rows), content["note"]]
    return "\n\n".join(parts) + "\n"


def _effects(effects: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            intervention,
            level,
            variable,
            *(bounded(found[who]) if who in found else "" for who in ("twin", "challenger", "recorded")),
        )
        for intervention, levels in effects.items()
        for level, variables in levels.items()
        for variable, found in variables.items()
    ]
    if not rows:
        return ["No intervention ever varied, so there are none to be judged."]
    head = ("intervention", "level", "on", "twin model", "challenger", "recorded arms")
    return [
        "Against the first level, for the same people with the same luck: the mean of the heads and their range; "
        "between recorded arms, where they were drawn by lot, the difference and its 95 % interval.",
        markdown_table(head, rows),
    ]
