"""The evidence about a twin model, written by the machine: every field computed, or null with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twingym.evaluation.fidelity import bars
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import SpecError
from twingym.twins.model import TwinModel, write_atomically

CARD, PAGE = "card.json", "card.md"
SCHEMA = 1
LIMITS = (
    "Do not use it on people, doses or horizons beyond those above, nor where a missed bar matters; a policy that was "
    "trained in it is judged on the reference before anything is claimed."
)
UNEXPLOITED = "No agent was trained in the model for this card; `twingym card --exploit` trains one."
NOTE = "The reference is itself a model; nothing here is for treatment decisions."


def card(
    scenario: Scenario,
    model: TwinModel,
    report: Mapping[str, Any],
    recomputed: Mapping[str, Any] | None,
    judge: str = "reference",
    exploited: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put a fidelity report and what the model was fitted on into one record.

    Args:
        scenario: Whose model it is.
        model: The twin model.
        report: From :func:`~twingym.evaluation.fidelity.fidelity`.
        recomputed: The same with little effort, which tests repeat from the shipped weights; None if it was not asked.
        judge: What the model was compared with.
        exploited: From :func:`~twingym.evaluation.exploitability.exploitability`; None if no agent was trained.

    Raises:
        SpecError: If the scenario has no fidelity plan.
    """
    plan = scenario.fidelity
    if plan is None:
        raise SpecError(f"scenario {scenario.id!r}: fidelity is None; a card needs a fidelity plan.")
    checks = bars(report, plan)
    return {
        "schema": SCHEMA,
        "scenario": scenario.id,
        "world": scenario.world_fingerprint(),
        "note": NOTE,
        "judge": judge,
        "variable": plan.variable,
        "step": f"{scenario.dt:g} {scenario.dt_unit}",
        "training": model.training,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "exploitability": {"value": exploited, "reason": None if exploited else UNEXPLOITED},
        "report": report,
        "recomputed": recomputed,
        "bars": checks.to_dict(orient="records"),
        "cleared": bool(checks["cleared"].all()),
    }


def write_card(folder: Path, content: Mapping[str, Any], text: str | None = None) -> Path:
    """Write a card as JSON and as a page (``text``, if given), each atomically; returns the path of the JSON."""
    path = folder / CARD
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False, default=float) + "\n").encode())
    write_atomically(folder / PAGE, (page(content) if text is None else text).encode())
    return path


def page(content: Mapping[str, Any]) -> str:
    """Return a card as Markdown: what was measured, on whom, which bars were missed, and what the model is not for."""
    missed = [row for row in content["bars"] if not row["cleared"]]
    said = (
        f"{len(missed)} of {len(content['bars'])} bars missed" if missed else f"all {len(content['bars'])} bars cleared"
    )
    parts = [
        f"# Card of the twin model of {content['scenario']}",
        f"Judged by: **{content['judge']}**, on held-out people. {said[0].upper()}{said[1:]}. "
        f"{content['parameters']:,} parameters; a step is {content['step']}.",
        *(f"- Missed: {row['check']} is {row['value']:.3g}, wanted {row['bar']}." for row in missed),
        "## Bars",
        markdown_table(
            ("check", "value", "bar", "cleared"),
            [(r["check"], f"{r['value']:.3g}", r["bar"], "yes" if r["cleared"] else "**no**") for r in content["bars"]],
        ),
    ]
    parts += _caused(content["report"]["effects"])
    block = content["report"].get("calibration")
    parts += _calibrated(block, content["variable"]) if block else ["## Calibration", "Not computed: quick form."]
    gaps = content["report"].get("fairness")
    parts += _fair(gaps) if gaps else ["## Fairness of the model", "Not computed: quick form."]
    shifted = content["report"].get("shift")
    parts += _shifted(shifted) if shifted else ["## Shift", "Not computed: quick form."]
    windows = content["report"].get("two_sample")
    parts += _told_apart(windows) if windows else ["## Two-sample scores", "Not computed: quick form."]
    values = content["report"].get("policies")
    parts += _valued(values) if values else ["## Policies", "Not computed: quick form."]
    exploited = content["exploitability"]
    parts += ["## Exploitability"]
    parts += _exploited(exploited["value"]) if exploited["value"] else [f"Not computed. {exploited['reason']}"]
    parts += ["## What it must not be used for", f"{content['note']} {LIMITS}"]
    return "\n\n".join(parts) + "\n"


def _caused(block: Mapping[str, Any]) -> list[str]:
    """Effects of changed doses."""
    measures = ("effect", "reference", "correlation", "rmse", "spread")
    rows = [(dose, *(f"{found[measure]:.3g}" for measure in measures)) for dose, found in block.items()]
    head = ("dose", "effect", "judge's", "correlation", "error of a person's", "spread of the judge's")
    return [
        "## Effects",
        "What a changed dose does after the same past with the same luck: mean effect, correlation over people, root "
        "mean square error of a person's effect, and the standard deviation of effects under the judge.",
        markdown_table(head, rows),
    ]


def _calibrated(block: Mapping[str, Any], variable: str) -> list[str]:
    """Coverage, scores and groups by steps ahead."""
    rows, named = [], [f"{float(level):.0%}" for level in next(iter(block["variables"][variable].values()))["coverage"]]
    for name, by_step in block["variables"].items():
        for step, found in by_step.items():
            shares = [f"{share:.3f}" for share, _, _ in found["coverage"].values()]
            ratio = "" if found["variance_ratio"] is None else f"{found['variance_ratio']:.2f}"
            rows.append((name, step, f"{found['crps']:.4g}", *shares, f"{found['ks']:.3f}", ratio))
    groups = [
        (trait, level, step, str(found["people"]), f"{found['crps']:.4g}", *(f"{c[0]:.3f}" for c in shares.values()))
        for trait, levels in block["groups"].items()
        for level, by_step in levels.items()
        for step, found in by_step.items()
        if (shares := found["coverage"])
    ]
    energy = ", ".join(f"{step}: {score:.3f}" for step, score in block["energy"].items())
    return [
        "## Calibration",
        f"{block['people']:,} people, {block['samples']} futures each. Coverage by level, Kolmogorov's distance of the "
        "ranks from uniform, and the variance of futures over that of what happened.",
        markdown_table(("variable", "steps ahead", "CRPS", *named, "KS", "variance ratio"), rows),
        f"Energy score of the joint state, in standard deviations, by steps ahead: {energy}.",
        f"### Groups: {variable}",
        markdown_table(("trait", "group", "steps ahead", "people", "CRPS", *named), groups),
    ]


def _fair(block: Mapping[str, Any]) -> list[str]:
    """Errors of values by group, and the worst gaps."""
    errors = [
        (trait, level, bounded(error))
        for trait, levels in block["value_error"].items()
        for level, error in levels.items()
    ]
    worst = [
        (trait, *("too few people" if gap is None else f"{gap:.3g}" for gap in gaps.values()))
        for trait, gaps in block["worst"].items()
    ]
    return [
        "## Fairness of the model",
        "Value of the baseline on the twin model minus the judge's, by group, with 95 % intervals over people.",
        markdown_table(("trait", "group", "error of the value"), errors),
        "Largest gaps between groups, over all horizons.",
        markdown_table(("trait", "CRPS, share of the smaller", "coverage of 90 %", "value"), worst),
    ]


def _shifted(block: Mapping[str, Any]) -> list[str]:
    """Forecasts under other treatments."""
    measures = ("people", "crps", "coverage", "bias", "ended", "ended_reference")
    rows = [
        (name, *("" if found[measure] is None else f"{found[measure]:.3g}" for measure in measures))
        for name, found in block.items()
    ]
    return [
        "## Shift",
        "Forecasts at the longest of the plan's horizons, under treatments unlike those planned: doses of other people "
        "and times, the largest factor, and those of eight schedules under which the heads disagree most.",
        markdown_table(
            ("treatment", "people", "CRPS", "coverage of 90 %", "bias", "ended", "ended on the judge"), rows
        ),
    ]


def _told_apart(block: Mapping[str, Any]) -> list[str]:
    """Two-sample scores beside their controls."""
    measures = ("mmd", "p", "discriminative", "autocorrelation", "cross_correlation")
    named = {"twin": "twin model", "positive": "reference, other people", "negative": "reference without memory"}
    rows = [
        (told, *(bounded(found) if isinstance(found := block[name][m], list) else f"{found:.3g}" for m in measures))
        for name, told in named.items()
    ]
    return [
        "## Two-sample scores",
        f"Windows of {block['people']} people on each side, of {', '.join(block['channels'])}, against the reference: "
        "squared maximum mean discrepancy and its p-value, accuracy of a classifier less one half, and errors of "
        "correlations.",
        markdown_table(("windows of", "MMD²", *measures[1:]), rows),
    ]


def _exploited(block: Mapping[str, Any]) -> list[str]:
    """What remains of what agents were promised."""
    rows = [
        (
            name,
            *(bounded(found[measure]) for measure in ("promised", "kept")),
            bounded(found["gap"]["return"]),
            ", ".join(found["violations"]) or "none",
            ", ".join(n for n, limit in found["limits"].items() if limit["reference"]["verdict"] == "fail") or "none",
            " / ".join("unknown" if doubt is None else f"{doubt:.3g}" for doubt in found["disagreement"]),
        )
        for name, found in block["agents"].items()
    ]
    head = ("agent", "gain promised", "gain kept", "return gap", "broken unforeseen", "broken", "disagreement")
    return [
        f"Agents trained in the twin model, on {block['people']:,} held-out people over {block['steps']:,} steps: gain "
        "over the baseline on the twin model and under the judge, the difference of returns, limits that are broken "
        "under the judge (and those that did not seem broken on the twin model), and disagreement of the heads on the "
        "agent's way / on the baseline's.",
        markdown_table(head, rows),
    ]


def _valued(block: Mapping[str, Any]) -> list[str]:
    """Values of policies under both."""
    rows = [(name, *(f"{value:.4g}" for value in numbers)) for name, numbers in block["values"].items()]
    return ["## Policies", markdown_table(("policy", "twin model", "judge", "standard error"), rows)]


def bounded(interval: Sequence[float]) -> str:
    """Write an estimate with its interval."""
    value, low, high = interval
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def read_card(folder: Path) -> dict[str, Any]:
    """Read a card.

    Raises:
        SpecError: If there is none.
    """
    path = folder / CARD
    if not path.is_file():
        raise SpecError(f"no card in {folder}; `twingym fit` writes one.")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
