"""The evidence about a twin model that was learned from a table: no reference, but people who were held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twingym.evaluation.cards.model_card import SCHEMA
from twingym.evaluation.caveat import assumptions, caveat
from twingym.evaluation.fidelity.arms import arms
from twingym.evaluation.fidelity.held_out import LEAST_GROUP, LEVEL, MOST_PEOPLE, held_out, recorded_of
from twingym.evaluation.fidelity.recorded_likelihood import gain, log_likelihood
from twingym.evaluation.fidelity.simple_forecasts import CARRY
from twingym.scenarios.scenario import Scenario
from twingym.twins.model import TwinModel

SELDOM = 0.5  # share of steps below which little is known of what a variable does in between
Row = dict[str, Any]


def recorded_card(scenario: Scenario, model: TwinModel, challenger: TwinModel | None) -> dict[str, Any]:
    """Judge a twin model on the people of the test split, and beside its challenger.

    Args:
        scenario: From a table.
        model: Its twin model.
        challenger: Another backbone fitted on other people; None if there is none.

    Returns:
        Plain JSON: counts and provenance, likelihoods, forecasts beside simple ones, effects in both models and between
        the recorded arms, bars, and in ``cannot`` what such data can not support.
    """
    recorded = recorded_of(scenario)
    test = recorded.known().take(recorded.rows("test")[:MOST_PEOPLE])
    report = held_out(scenario, model)
    mine, counts = log_likelihood(model, test)
    likelihood: dict[str, Any] = {"per_value": float(mine.sum() / counts.sum()), "over_challenger": None}
    models = {"twin": model}
    if challenger is not None:
        models["challenger"] = challenger
        likelihood["over_challenger"] = gain(mine, log_likelihood(challenger, test)[0], counts)
    effects = arms(scenario, models)
    bars = _bars(report, likelihood, effects)
    return {
        "schema": SCHEMA,
        "scenario": scenario.id,
        "world": scenario.world_fingerprint(),
        "note": caveat(scenario),
        "weights": model.sha256,
        "judge": "held-out people" + (" and a challenger" if challenger is not None else ""),
        "step": f"{scenario.dt:g} {scenario.dt_unit}",
        "table": recorded.described(),
        "assumed": assumptions(scenario),
        "training": model.training,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "report": report,
        "likelihood": likelihood,
        "effects": effects,
        "bars": bars,
        "cleared": all(row["cleared"] for row in bars),
        "cannot": cannot(scenario, report, effects),
    }


def _bars(report: Mapping[str, Any], likelihood: Mapping[str, Any], effects: Mapping[str, Any]) -> list[Row]:
    """Return every check with its bar: few people are held out, so all bars are on intervals over people."""
    rows: list[Row] = []

    def add(check: str, value: float, bar: str, cleared: bool) -> None:
        rows.append({"check": check, "value": value, "bar": bar, "cleared": bool(cleared)})

    for variable, horizons in report["variables"].items():
        for label, found in horizons.items():
            if not found["points"]:
                continue
            for name, (value, low, high) in found["skill"].items():
                check = f"{variable} {label}: skill over {name}"
                if name == CARRY:
                    add(check, value, "above 0 with its interval", low > 0.0)
                else:
                    add(check, value, "not below 0 with its interval", high >= 0.0)
            share, low, high = found["coverage"]
            add(f"{variable} {label}: coverage of {LEVEL:.0%}", share, f"interval holds {LEVEL}", low <= LEVEL <= high)
    for event, horizons in report["events"].items():
        for label, found in horizons.items():
            if found["people"]:
                value, _, high = found["skill"]
                add(f"{event} {label}: skill over its share", value, "not below 0 with its interval", high >= 0.0)
    if likelihood["over_challenger"] is not None:
        value, _, high = likelihood["over_challenger"]
        add("nats per value more likely than under the challenger", value, "not below 0 with its interval", high >= 0.0)
    for intervention, levels in effects.items():
        for level, variables in levels.items():
            for variable, found in variables.items():
                if "recorded" in found:
                    _, low, high = found["recorded"]
                    value = found["twin"][0]
                    add(
                        f"{intervention} {level}: effect on {variable}",
                        value,
                        f"between arms {low:.3g} to {high:.3g}",
                        low <= value <= high,
                    )
    return rows


def cannot(scenario: Scenario, report: Mapping[str, Any], effects: Mapping[str, Any]) -> list[str]:
    """Say, from counts alone, what these data can not support."""
    recorded, said = recorded_of(scenario), []
    plan, courses = recorded.held_out, recorded.courses
    for name, what in recorded.never_varied.items():
        said.append(
            f"What {name} does: it was {what} for everybody. No forecast under anything else is one, and no policy for "
            "it can be trained without an effect that is declared as assumed."
        )
    for name, counts in recorded.seldom.items():
        told = ", ".join(f"{level} ({count} people)" for level, count in counts.items())
        said.append(
            f"What {name} does at levels that hardly anybody got: {told}. No policy that offers them can be trained."
        )
    for name in (d.name.removesuffix("_given") for d in scenario.derived if d.name.endswith("_given")):
        said.append(f"When to begin, switch or stop {name}: it was decided once, at entry, and never changed.")
    for intervention, levels in effects.items():
        if intervention not in plan.randomised:
            said.append(
                f"Effects of {intervention} free of confounding: it was not drawn by lot, so whatever moved both the "
                "decision and the outcome, and is not in the table, is taken for its effect."
            )
        for level, variables in levels.items():
            open_ = [
                v
                for v, found in variables.items()
                if "recorded" in found and found["recorded"][1] <= 0 <= found["recorded"][2]
            ]
            if open_:
                said.append(
                    f"Whether {level} ({intervention}) changes {', '.join(open_)} within "
                    f"{plan.effect_steps * scenario.dt:g} {scenario.dt_unit}: the arms' intervals hold 0."
                )
    going = (courses.length[None, :] >= np.arange(courses.observed.shape[1])[:, None]).sum(axis=1)
    last = int(np.flatnonzero(going >= LEAST_GROUP).max(initial=0))
    said.append(
        f"Anything after {last * scenario.dt:g} {scenario.dt_unit}: fewer than {LEAST_GROUP} people were followed so "
        "long."
    )
    seldom = [f"{v} ({1 - p.missing:.0%})" for v, p in recorded.provenance.items() if 1.0 - p.missing < SELDOM]
    if seldom:
        said.append(
            f"What happens between visits: of steps of {scenario.dt:g} {scenario.dt_unit}, few have a value of "
            f"{', '.join(seldom)}. When something is measured may depend on how somebody is; only what was measured "
            "before explains it here."
        )
    test = recorded.rows("test")
    for trait, levels in scenario.group_levels.items():
        sizes = np.bincount(courses.traits[trait][test].astype(int), minlength=len(levels))
        small = [f"{level} ({size})" for level, size in zip(levels, sizes, strict=True) if size < LEAST_GROUP]
        if small:
            said.append(f"Fairness by {trait}: too few held-out people are {', '.join(small)}.")
    for event, horizons in report["events"].items():
        known = [label for label, found in horizons.items() if found["people"]]
        if known:
            k = [v.name for v in scenario.variables].index(event)
            count = int(np.nansum(courses.observed[test][..., k]))
            said.append(f"Fine differences in {event}: {count} of {len(test)} held-out people had it.")
    widths = [
        (f["skill"][CARRY][2] - f["skill"][CARRY][1]) / 2
        for horizons in report["variables"].values()
        for f in horizons.values()
        if f["points"]
    ]
    if widths:
        said.append(
            f"Smaller differences between forecasts than their intervals: {report['people']} people are held out, and "
            f"skill is known to {max(widths):.2f} at worst."
        )
    return said
