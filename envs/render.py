"""What has happened to a person so far, in a picture?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twingym.envs.moment import Moment
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Rows
from twingym.twins.scales import Floats
from twingym.twins.variables import Variable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Image = NDArray[np.uint8]
CAUTION = "Simulated. Reference and twin model are models; nothing here is for treatment decisions."
_BAND, _EVENT = "#dff0d8", "#c0392b"
_SEEN, _HIDDEN = ("#1f4e79", "#d17a00", "#2e7d32"), ("0.4", "0.6", "0.75")


class Film:
    """The courses of N slots since each began, and pictures of them."""

    def __init__(self, scenario: Scenario, horizon: int, moment: Moment) -> None:
        """Begin with everybody's birth."""
        self._scenario, self._horizon = scenario, horizon
        self._observed: list[Floats] = [moment.observed]
        self._inputs: list[Floats] = [moment.inputs]
        self._delivered: list[Floats] = []
        self._since = np.zeros(len(moment.t), dtype=np.intp)

    def add(self, delivered: Floats, moment: Moment) -> None:
        """Add a step: amounts (N, A), and what is true after it."""
        self._delivered.append(delivered)
        self._observed.append(moment.observed)
        self._inputs.append(moment.inputs)

    def begin(self, rows: Rows, moment: Moment) -> None:
        """Begin anew in ``rows`` with what is true now."""
        self._observed[-1], self._inputs[-1] = moment.observed, moment.inputs
        self._since[rows] = len(self._delivered)
        past = int(self._since.min())  # nobody's course reaches back further
        if past:
            del self._observed[:past], self._inputs[:past], self._delivered[:past]
            self._since -= past

    def draw(self, moment: Moment, slot: int) -> Image:
        """Draw one slot's course: tracked variables with the safe band, inputs, interventions, events."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        scenario = self._scenario
        since, t = int(self._since[slot]), int(moment.t[slot])  # a course that is over has no further frames
        observed = np.array([o[:, slot] for o in self._observed[since : since + t + 1]])  # (t + 1, V)
        inputs = np.array([i[slot] for i in self._inputs[since : since + t + 1]])  # (t + 1, K)
        delivered = np.array([d[slot] for d in self._delivered[since : since + t]])
        delivered = delivered.reshape(t, len(scenario.interventions))

        tracked = [(c, v) for c, v in enumerate(scenario.variables) if v.track and not v.levels]
        tracked = tracked or [(c, v) for c, v in enumerate(scenario.variables) if v.kind == "continuous"]
        # A twin model does not know what is hidden: no empty panels.
        tracked = [(c, v) for c, v in tracked if np.isfinite(observed[:, c]).any()] or tracked[:1]
        units = list(dict.fromkeys(v.unit for _, v in tracked))
        panels = len(units) + bool(scenario.inputs) + len(scenario.interventions)
        figure = Figure(figsize=(8.0, 1.2 + 1.5 * panels), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = iter(np.atleast_1d(figure.subplots(panels, 1, sharex=True)))
        time: Floats = np.arange(self._horizon + 1, dtype=np.float64) * self._hours[0]

        for unit in units:
            axis = next(axes)
            for number, (column, variable) in enumerate((c, v) for c, v in tracked if v.unit == unit):
                self._draw_variable(axis, variable, time[: t + 1], observed[:, column], number)
            self._finish(axis, unit)
        if scenario.inputs:
            axis = next(axes)
            for column, variable in enumerate(scenario.inputs):
                axis.step(
                    time[: len(inputs)],
                    inputs[:, column],
                    where="post",
                    label=variable.name.replace("_", " "),
                    linewidth=1.2,
                )
            self._finish(axis, ", ".join(dict.fromkeys(v.unit for v in scenario.inputs)))
        for column, intervention in enumerate(scenario.interventions):
            axis = next(axes)
            amounts = np.append(delivered[:, column], delivered[-1:, column])  # the last one lasts until now
            axis.step(
                time[: len(amounts)],
                amounts,
                where="post",
                color="#7d3c98",
                label=intervention.name,
                linewidth=1.2,
            )
            if intervention.categorical:
                axis.set_yticks(range(len(intervention.levels)), intervention.levels)
                axis.set_ylim(-0.5, len(intervention.levels) - 0.5)
            self._finish(axis, intervention.unit)
        self._mark_events(figure.axes, observed, time)
        figure.axes[-1].set_xlabel(f"time ({self._hours[1]}).  {CAUTION}", fontsize=8)
        groups = ", ".join(
            levels[int(moment.cohort.traits[name][slot])] for name, levels in scenario.group_levels.items()
        )
        figure.suptitle(
            f"{scenario.title}: twin {moment.cohort.ids[slot]}{f' ({groups})' if groups else ''}", fontsize=10
        )
        canvas.draw()  # type: ignore[no-untyped-call]
        return np.array(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]

    def _draw_variable(self, axis: Axes, variable: Variable, time: Floats, course: Floats, number: int) -> None:
        """Draw one course as the ``number``-th of its panel; what the policy does not see is dashed."""
        seen = variable.seen_by("policy")
        axis.plot(
            time,
            course,
            color=(_SEEN if seen else _HIDDEN)[number % len(_SEEN)],
            linestyle="-" if seen else "--",
            drawstyle="default" if variable.kind == "continuous" else "steps-post",
            label=variable.name.replace("_", " ") + ("" if seen else " (hidden)"),
            linewidth=1.2,
        )
        if variable.name in self._scenario.band:
            low, high = self._scenario.band[variable.name]
            axis.axhspan(low, high, facecolor=_BAND, edgecolor="#b5cfa8", zorder=0, label="safe band")

    @property
    def _hours(self) -> tuple[float, str]:
        """Length of a step and its unit on the axis: minutes are shown as hours."""
        if self._scenario.dt_unit == "min":
            return self._scenario.dt / 60.0, "h"
        return self._scenario.dt, self._scenario.dt_unit

    def _finish(self, axis: Axes, unit: str) -> None:
        axis.set_xlim(0.0, self._horizon * self._hours[0])
        axis.set_ylabel(unit, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.legend(loc="upper right", fontsize=7, frameon=False, ncols=4)

    def _mark_events(self, axes: Iterable[Axes], observed: Floats, time: Floats) -> None:
        marks = [
            (time[step], variable.name.replace("_", " "))
            for column, variable in enumerate(self._scenario.variables)
            if variable.kind == "event"
            for step in np.flatnonzero(observed[:, column] > 0)
        ]
        for number, axis in enumerate(axes):
            for when, name in marks:
                axis.axvline(when, color=_EVENT, linewidth=1.5)
                if number == 0:
                    axis.annotate(
                        name,
                        (when, 0.98),
                        xycoords=("data", "axes fraction"),
                        color=_EVENT,
                        fontsize=8,
                        ha="right",
                        va="top",
                    )
