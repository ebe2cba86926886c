"""What does a course look like: of one person, or of many, as matplotlib figures (``figure.savefig("it.png")``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twingym.evaluation.courses import CourseMoments, Courses
from twingym.evaluation.episodes import Evaluation
from twingym.evaluation.other_unit import drawn_in_unit
from twingym.evaluation.rollout import Policy, evaluate
from twingym.evaluation.style import COLOURS, QUIET, SAFE, clean, clock, mark, sign
from twingym.scenarios.registry import get
from twingym.scenarios.scenario import Scenario
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown
from twingym.twins.scales import Floats

_HIDDEN = ("--", ":", "-.")


def plot_person(
    scenario: Scenario | str | Path,
    policy: Policy,
    twin: int,
    dynamics: str | Dynamics = "reference",
    *,
    name: str | None = None,
    seed: int = 0,
    horizon: int | None = None,
    unit: str | None = None,
) -> Figure:
    """Draw one person's course under a policy: what was tracked, what came from outside, and what was delivered.

    Args:
        scenario: A scenario, its id, or the path of its file.
        policy: Anything with SB3's ``predict``.
        twin: The person's id.
        dynamics: ``reference``, ``transformer``, or an object.
        name: What to call the policy; its class if None.
        seed: Seed of inputs and noise.
        horizon: Steps; the scenario's training episode if None.
        unit: Unit to draw in what can be shown in it, such as ``mmol/L``; as declared if None.

    Raises:
        UnknownNameError: If nothing can be shown in that unit.
    """
    found = scenario if isinstance(scenario, Scenario) else get(scenario)
    steps = found.horizon if horizon is None else horizon
    evaluation = evaluate(policy, found, [twin], [seed], dynamics, name=name, horizon=steps, courses=True)
    row = evaluation.episodes.iloc[0]
    traits = ", ".join(f"{v.name.replace('_', ' ')} {_number(row[v.name])} {v.unit}".strip() for v in found.traits)
    title = f"{found.title}: twin {twin} under {evaluation.policy} ({evaluation.dynamics})\n{traits}"
    shown = evaluation if unit is None else drawn_in_unit(evaluation, unit)
    return draw_course(shown.scenario, kept_courses(shown), 0, title)


def draw_course(scenario: Scenario, courses: Courses, row: int = 0, title: str = "") -> Figure:
    """Draw one of some courses, a panel per unit of the tracked variables, then inputs, then interventions."""
    by_unit: dict[str, list[str]] = {}
    for name in courses.values:
        by_unit.setdefault(scenario.variable(name).unit, []).append(name)
    panels: list[tuple[str, Sequence[str]]] = [("values", names) for names in by_unit.values()]
    panels += [("inputs", list(courses.inputs))] if courses.inputs else []
    panels += [("delivered", [name]) for name in courses.delivered]
    heights = [2.0 if kind == "values" else 1.0 for kind, _ in panels]
    figure = Figure(figsize=(9.0, 1.3 + 1.35 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    times, time_label = clock(scenario, courses.time)
    for ax, (kind, names) in zip(axes, panels, strict=True):
        if kind == "values":
            _draw_values(ax, scenario, courses, names, row, times)
        elif kind == "inputs":
            _draw_inputs(ax, scenario, courses, names, row, times)
        else:
            _draw_delivered(ax, scenario, courses.delivered[names[0]][row], names[0], times)
        clean(ax)
    axes[-1].set_xlabel(time_label)
    axes[-1].set_xlim(times[0], times[-1])
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    sign(figure)
    return figure


def plot_courses(
    evaluations: Evaluation | Mapping[str, Evaluation],
    variable: str | None = None,
    *,
    people: int = 6,
    period: float | None = None,
    unit: str | None = None,
) -> Figure:
    """Draw a variable's mean and its 10 to 90 % band over people, with some people and the safe band.

    Folded to a ``period``, it is the median with bands of 25 to 75 % and 5 to 95 % over people and periods: with 1440
    min the ambulatory profile of a day, as the consensus on glucose monitoring draws it (Battelino et al. 2019).

    Args:
        evaluations: One, or several by name, a panel each; made with ``courses=True`` or ``"moments"``.
        variable: What is drawn; the first tracked variable with a safe band, or else the first.
        people: How many people are drawn alone (with moments: the worst cases that were kept).
        period: Fold time to this length, in the scenario's unit.
        unit: Unit to draw in what can be shown in it, such as ``mmol/L``; as declared if None.

    Raises:
        SpecError: If courses were not kept, or moments are to be folded.
        UnknownNameError: If nothing can be shown in that unit.
    """
    several = {evaluations.policy: evaluations} if isinstance(evaluations, Evaluation) else dict(evaluations)
    several = {name: drawn_in_unit(e, unit) if unit else e for name, e in several.items()}
    scenario = next(iter(several.values())).scenario
    figure = Figure(figsize=(9.0, 0.9 + 2.5 * len(several)), layout="constrained")
    axes = figure.subplots(len(several), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for ax, (name, evaluation) in zip(axes, several.items(), strict=True):
        courses = evaluation.courses
        if courses is None:
            raise SpecError(f"evaluation of {name!r} kept no courses; evaluate with courses=True or courses='moments'.")
        channels = courses.channels if isinstance(courses, Courses) else courses.mean
        shown = variable or next((v for v in scenario.band if v in channels), next(iter(channels)))
        if shown not in channels:
            raise unknown("tracked variable", shown, channels)
        centre, bands, alone, time = _summary(courses, shown, people, period, scenario.dt)
        times, time_label = clock(scenario, time)
        times = times[: len(centre)]
        _band(ax, scenario, shown)
        for i, line in enumerate(alone):
            who = "worst people" if isinstance(courses, CourseMoments) else "people"
            label = f"{len(alone)} {who}" if i == 0 else None
            ax.plot(times, line, color=QUIET, lw=0.6, alpha=0.7, label=label, zorder=1)
        for label, (low, high) in bands.items():
            ax.fill_between(times, low, high, color=COLOURS[0], alpha=0.25, lw=0, label=label, zorder=2)
        ax.plot(times, centre, color=COLOURS[0], lw=1.8, label="median" if period else "mean", zorder=3)
        n = int(courses.groups["n"].iloc[0]) if isinstance(courses, CourseMoments) else len(courses.who)
        ax.set_title(f"{name} ({evaluation.dynamics}, {n} courses)", fontsize=10, loc="left")
        if not np.isfinite(centre).any():
            said = "everybody's course had ended by then"
            ax.text(0.5, 0.5, said, transform=ax.transAxes, ha="center", color=QUIET, fontsize=9)
        ax.set_ylabel(_label(scenario, shown))
        clean(ax)
        ax.set_xlim(times[0], times[-1])
    axes[-1].set_xlabel(time_label + (", folded" if period else ""))
    axes[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    sign(figure)
    return figure


def kept_courses(evaluation: Evaluation) -> Courses:
    """Return the whole courses of an evaluation, or of its worst cases.

    Raises:
        SpecError: If it kept none.
    """
    if isinstance(evaluation.courses, CourseMoments):
        return evaluation.courses.worst
    if evaluation.courses is None:
        raise SpecError(f"evaluation of {evaluation.policy!r} kept no courses; evaluate with courses=True.")
    return evaluation.courses


def _summary(
    courses: Courses | CourseMoments, name: str, people: int, period: float | None, dt: float
) -> tuple[Floats, dict[str, tuple[Floats, Floats]], Floats, Floats]:
    """Return mean or median (T,), bands by label, courses of some people (P, T), and times."""
    if isinstance(courses, CourseMoments):
        if period:
            raise SpecError("moments cannot be folded; evaluate with courses=True.")
        low, _, high = courses.quantiles[name][:, 0]
        alone = courses.worst.channels[name][:people].astype(np.float64)
        return courses.mean[name][0], {"10 to 90 %": (low, high)}, alone, courses.time
    series, time = courses.channels[name].astype(np.float64), courses.time
    alone = series[:: max(1, len(series) // max(people, 1))][:people]
    if period:
        steps = round(period / dt)
        whole = series.shape[1] // steps * steps
        series = series[:, :whole].reshape(-1, steps)
        alone, time = alone[:, :steps], time[:steps]
    series = series[:, np.isfinite(series).any(axis=0)]
    alone = alone[:, : series.shape[1]]
    if period:
        least, low, median, high, most = np.nanquantile(series, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
        return median, {"5 to 95 %": (least, most), "25 to 75 %": (low, high)}, alone, time
    low, high = np.nanquantile(series, [0.1, 0.9], axis=0)
    return np.nanmean(series, axis=0), {"10 to 90 %": (low, high)}, alone, time


def _draw_values(ax: Axes, scenario: Scenario, courses: Courses, names: Sequence[str], row: int, times: Floats) -> None:
    for k, name in enumerate(names):
        _band(ax, scenario, name)
        variable, series = scenario.variable(name), courses.values[name][row]
        hidden = not variable.seen_by("policy")
        colour, width, rank = (QUIET, 1.0, 2) if hidden else (COLOURS[k % len(COLOURS)], 1.4, 3)
        line = _HIDDEN[k % len(_HIDDEN)] if hidden else "-"
        label = name.replace("_", " ") + (" (hidden)" if hidden else "")
        if variable.has_zero_atom:  # mostly nothing, such as money spent
            at = np.flatnonzero(np.nan_to_num(series))
            ax.vlines(times[at], 0.0, series[at], color=colour, lw=width + 0.4, label=label, zorder=rank)
            ax.set_ylim(bottom=0.0)
        else:
            steps = "default" if variable.kind == "continuous" else "steps-post"
            ax.plot(times, series, color=colour, lw=width, ls=line, label=label, zorder=rank, drawstyle=steps)
    seen = np.isfinite(courses.values[names[0]][row])
    if not seen.all():
        end = times[np.flatnonzero(seen)[-1]]
        mark(ax, float(end), "episode ended")
    ax.set_ylabel(_label(scenario, names[0]) if len(names) == 1 else scenario.variable(names[0]).unit or "value")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), fontsize=8, frameon=False, ncols=4, borderaxespad=0.0)


def _draw_inputs(ax: Axes, scenario: Scenario, courses: Courses, names: Sequence[str], row: int, times: Floats) -> None:
    units = dict.fromkeys(scenario.variable(name).unit for name in names)
    for k, name in enumerate(names):
        series = np.nan_to_num(courses.inputs[name][row])
        colour, label = COLOURS[(k + 3) % len(COLOURS)], name.replace("_", " ")
        at = np.flatnonzero(series)
        if len(at) > len(series) // 2:
            ax.step(times[:-1], series, where="post", color=colour, lw=1.2, label=label)
        else:  # rare, such as meals
            ax.vlines(times[at], 0.0, series[at], color=colour, lw=1.6, alpha=0.8, label=label)
    ax.set_ylabel(f"inputs ({', '.join(u for u in units if u)})" if any(units) else "inputs")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), fontsize=8, frameon=False, ncols=4, borderaxespad=0.0)


def _draw_delivered(ax: Axes, scenario: Scenario, series: np.ndarray[Any, Any], name: str, times: Floats) -> None:
    intervention = next(i for i in scenario.interventions if i.name == name)
    label = name.replace("_", " ")
    if intervention.categorical:
        at = np.flatnonzero(np.nan_to_num(series) > 0.0)
        ax.plot(times[at], series[at], "o", color=COLOURS[1], ms=4)
        ax.set_yticks(range(len(intervention.levels)), intervention.levels, fontsize=8)
        ax.set_ylim(-0.5, len(intervention.levels) - 0.5)
    else:
        ax.step(times[:-1], series, where="post", color=COLOURS[1], lw=1.2)
        if intervention.scale == "log":
            given = series[series > 0.0]
            ax.set_yscale("symlog", linthresh=max(float(np.median(given)), 1e-3) if len(given) else 1.0)
        ax.set_ylim(bottom=0.0)
        label += f" ({intervention.unit})" if intervention.unit else ""
    ax.set_ylabel(label)


def _band(ax: Axes, scenario: Scenario, name: str) -> None:
    if name in scenario.band:
        low, high = scenario.band[name]
        ax.axhspan(low, high, color=SAFE, alpha=0.12, lw=0, zorder=0, label=f"safe band {low:.4g} to {high:.4g}")


def _label(scenario: Scenario, name: str) -> str:
    for intervention in scenario.interventions:
        if intervention.name == name:
            return name.replace("_", " ") + (f" ({intervention.unit})" if intervention.unit else "")
    return scenario.variable(name).label()


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
