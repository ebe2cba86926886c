"""What is left of a judgement: tables, figures, TensorBoard runs, and a summary on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from twingym.evaluation.caveat import assumptions, caveat
from twingym.evaluation.charts import plot_groups, plot_tradeoff
from twingym.evaluation.comparison import TWIN, Comparison, compare
from twingym.evaluation.courses import CourseMoments
from twingym.evaluation.disparity import Fairness
from twingym.evaluation.episodes import Evaluation
from twingym.evaluation.judge import JUDGES
from twingym.evaluation.plots import plot_courses
from twingym.evaluation.tables import write_tables
from twingym.evaluation.verdict import limit_of
from twingym.experiments.board import Facts, write_board
from twingym.experiments.console import VERDICT_STYLES, table
from twingym.experiments.judging import Judged
from twingym.experiments.run_dir import EVENTS, FIGURES, TABLES, RunDir
from twingym.scenarios.scenario import Scenario


def report(
    judged: Judged,
    run: RunDir,
    page: Console,
    *,
    facts: Mapping[str, Facts] | None = None,
    steps: int = 1,
    board: Path | None = None,
) -> Comparison:
    """Compare, write everything into ``run`` and print a summary.

    Args:
        judged: Evaluations by policy and dynamics.
        run: Where to.
        page: The terminal.
        facts: What is known of each policy beforehand, for the hparams table.
        steps: Training steps over which level lines are drawn.
        board: Folder of the TensorBoard runs, if not the run's own.
    """
    comparison = compare(judged)
    scenario = next(iter(next(iter(judged.values())).values())).scenario
    figures = drawn(judged, comparison, scenario)
    write_tables(run.path / TABLES, comparison.tables() | {"episodes": _episodes(judged)}, _settings(judged))
    for name, figure in figures.items():
        path = run.path / FIGURES / f"{name.replace('/', '_')}.png"
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=120)
    events = board or run.path / EVENTS
    write_board(events, judged, comparison, facts or {}, figures, steps)
    summarise(comparison, judged, page)
    page.print(f"tables: {run.path / TABLES}   figures: {run.path / FIGURES}")
    page.print(f"side by side: tensorboard --logdir {events}", style="bold")
    for effect in assumptions(scenario):
        page.print(f"[bold]assumed, not learned, whoever judges:[/] {effect}")
    page.print(caveat(scenario))
    return comparison


def drawn(judged: Judged, comparison: Comparison, scenario: Scenario) -> dict[str, Figure]:
    """Return the figures by tag: courses with the safe band, groups with intervals, return against cost."""
    found = {"return_against_cost": plot_tradeoff(comparison, scenario, "gain")}
    for place in (*JUDGES, TWIN):
        there = {policy: places[place] for policy, places in judged.items() if place in places}
        if not there:
            continue
        found[f"courses/{place}"] = plot_courses({titled(policy, e): last_episode(e) for policy, e in there.items()})
        fair = {policy: _fairness(comparison, policy, place) for policy in there}
        measures = dict.fromkeys(("return", *(str(c.metric) for c in scenario.constraints if c.kind == "group_gap")))
        for measure in measures:
            found[f"groups/{measure}_{place}"] = plot_groups(fair, measure, unit=_unit(scenario, measure))
    return found


def titled(policy: str, evaluation: Evaluation) -> str:
    """Return a policy's name with the steps that :func:`last_episode` shows."""
    last, steps = evaluation.settings["horizon"], evaluation.scenario.horizon
    return f"{policy}, steps {last - steps} to {last}" if last > steps else policy


def last_episode(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with courses of its last steps only, as many as a training episode has.

    Fourteen days under each other are a grey block; the last one shows what people have settled into.
    """
    courses, steps = evaluation.courses, evaluation.scenario.horizon
    if not isinstance(courses, CourseMoments) or len(courses.time) - 1 <= steps:
        return evaluation

    def cut(series: Mapping[str, Any]) -> dict[str, Any]:
        # Values have one entry more than inputs and amounts: the one at birth.
        return {
            name: array[..., array.shape[-1] - steps - (array.shape[-1] == len(courses.time)) :]
            for name, array in series.items()
        }

    time, worst = courses.time[: steps + 1], courses.worst
    worst = replace(
        worst, time=time, values=cut(worst.values), inputs=cut(worst.inputs), delivered=cut(worst.delivered)
    )
    mean, sd, quantiles = cut(courses.mean), cut(courses.sd), cut(courses.quantiles)
    shorter = replace(courses, time=time, worst=worst, mean=mean, sd=sd, quantiles=quantiles)
    return replace(evaluation, courses=shorter)


def summarise(comparison: Comparison, judged: Judged, page: Console) -> None:
    """Print one table per dynamics: a column per policy, a row per measure and constraint, with bounds and verdicts."""
    for place, evaluation in next(iter(judged.values())).items():
        scenario, policies = evaluation.scenario, [policy for policy in judged if place in judged[policy]]
        tidy: Any = comparison.tidy[comparison.tidy["dynamics"] == place].set_index(["policy", "what", "quantity"])
        where = "twin model" if place == TWIN else place
        found = table(
            f"On the {where}: {len(evaluation.twins)} people, {evaluation.settings['horizon']} steps", "", *policies
        )
        for name in ("return", *(m.name for m in scenario.metrics if m.better != "neither")):
            found.add_row(name, *(f"{tidy.loc[(policy, 'measure', name), 'estimate']:.4g}" for policy in policies))
        for constraint in scenario.constraints:
            rows = (tidy.loc[(policy, "constraint", constraint.name)] for policy in policies)
            found.add_row(f"{constraint.name} <= {limit_of(constraint):g}", *(_judged(row) for row in rows))
        verdicts = (tidy.loc[(policy, "verdict", "overall"), "verdict"] for policy in policies)
        found.add_row("all limits", *(f"[{VERDICT_STYLES[verdict]}]{verdict}[/]" for verdict in verdicts))
        if place == TWIN and (policies[0], "exploitation", "return") in tidy.index:
            gaps = (tidy.loc[(policy, "exploitation", "return")] for policy in policies)
            found.add_row(
                f"return beyond the {tidy.loc[(policies[0], 'exploitation', 'return'), 'judge']}",
                *(f"{g['estimate']:.3g} ({g['low']:.3g} to {g['high']:.3g})" for g in gaps),
            )
        page.print(found)
    if told := next(iter(next(iter(judged.values())).values())).settings.get("readings"):
        page.print(f"Policies were shown: {shown(told)}.")
    page.print("Limits: estimate (upper 95 % bound) and verdict; a limit is passed when the bound keeps it.")


def shown(readings: Mapping[str, Any]) -> str:
    """Return in words what policies were shown of people, from the settings of an evaluation."""
    what = "the last reading" if readings["belief"] == "last" else f"what {readings['particles']} particles believe"
    bad = [f"{readings['missing']:g} of them missing"] if readings["missing"] else []
    bad += [f"in gaps of {readings['gap']:g} steps"] if readings["gap"] else []
    bad += [f"up to {readings['late']} steps late"] if readings["late"] else []
    bad += [f"an error of {spread:g} on {name}" for name, spread in readings["error"].items()]
    return f"{what} ({', '.join(bad)})"


def _judged(row: Any) -> str:
    style = VERDICT_STYLES[row["verdict"]]
    return f"{row['estimate']:.3g} ({row['high']:.3g}) [{style}]{row['verdict']}[/]"


def _fairness(comparison: Comparison, policy: str, place: str) -> Fairness:
    def own(frame: Any) -> Any:
        return frame[(frame["policy"] == policy) & (frame["dynamics"] == place)]

    return Fairness(own(comparison.groups), own(comparison.gaps) if len(comparison.gaps) else comparison.gaps)


def _unit(scenario: Scenario, measure: str) -> str:
    units = {m.name: m.unit for m in scenario.metrics} | {c.name: c.unit for c in scenario.constraints}
    return units.get(measure, "")


def _every(judged: Judged) -> list[Evaluation]:
    return [evaluation for places in judged.values() for evaluation in places.values()]


def _episodes(judged: Judged) -> Any:
    import pandas as pd

    return pd.concat([evaluation.episodes for evaluation in _every(judged)], ignore_index=True)


def _settings(judged: Judged) -> dict[str, Any]:
    every = _every(judged)
    shared = {key: value for key, value in every[0].settings.items() if key not in ("policy", "dynamics")}
    taken = assumptions(every[0].scenario)
    return {
        **shared,
        **({"assumed": taken} if taken else {}),
        "evaluations": [{"policy": e.policy, "dynamics": e.dynamics} for e in every],
    }
