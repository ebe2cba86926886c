"""What does a person's recorded past look like, and what may follow it under each policy?"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from twingym.evaluation.caveat import caveat
from twingym.evaluation.personal import Futures
from twingym.evaluation.style import COLOURS, SAFE, clean, clock, mark, sign


def plot_futures(futures: Futures, person: int | None = None) -> Figure:
    """Draw the past, and each policy's median and 90 % band, of the tracked variables that the twin knows.

    Where the scenario declares a safe band, its limits are drawn too.

    Args:
        futures: Of one or more people.
        person: Number of the person; the first if None.
    """
    scenario, history = futures.twin.scenario, futures.twin.history
    who = int(history.ids[0]) if person is None else int(person)
    row = int(np.flatnonzero(history.ids == who)[0])
    past = int(history.length[row])
    bands = futures.bands()
    bands = bands[bands["person"] == who]
    names = list(dict.fromkeys(bands["variable"]))
    figure = Figure(figsize=(9.0, 1.2 + 2.6 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    before = np.arange(past + 1) * scenario.dt
    scale, label = clock(scenario, np.append(before, bands["time"].max()))
    per_unit = float(scale[-1] / max(bands["time"].max(), 1e-12))
    observed = [v.name for v in scenario.variables]
    for ax, name in zip(axes, names, strict=True):
        if name in scenario.band:
            low, high = scenario.band[name]
            ax.axhspan(low, high, color=SAFE, alpha=0.1, lw=0, label=f"safe band {low:g} to {high:g}")
        if name in observed:
            course = history.observed[row, : past + 1, observed.index(name)]
            ax.plot(before * per_unit, course, color="black", lw=1.3, label="recorded")
        for k, (policy, part) in enumerate(bands[bands["variable"] == name].groupby("policy", sort=False)):
            colour, time = COLOURS[k % len(COLOURS)], part["time"].to_numpy() * per_unit
            ax.fill_between(time, part["low"], part["high"], color=colour, alpha=0.18, lw=0)
            ax.plot(time, part["median"], color=colour, lw=1.6, label=str(policy))
        mark(ax, past * scenario.dt * per_unit, "now")
        ax.set_ylabel(scenario.variable(name).label())
        clean(ax)
    axes[-1].set_xlabel(label)
    axes[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    title = f"{scenario.title}: person {who}, median and 90 % of {futures.samples} futures"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    sign(figure, caveat(scenario))
    return figure
