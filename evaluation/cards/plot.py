"""What does a card show at a glance?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twingym.evaluation.fidelity.report import EVERYBODY_BAR
from twingym.evaluation.style import COLOURS, QUIET, clean, sign


def plot_card(content: Mapping[str, Any]) -> Figure:
    """Draw coverage by horizon, ranks, effects over time and policy values: what of it a card holds."""
    report = content["report"]
    panels: list[Callable[[Axes], None]] = []
    if "calibration" in report:
        block = report["calibration"]
        panels += [lambda ax: _coverage(ax, block, content["variable"]), lambda ax: _ranks(ax, block)]
    panels.append(lambda ax: _effects(ax, report["effects"]["doses"]))
    if "policies" in report:
        panels.append(lambda ax: _policies(ax, report["policies"]["values"]))
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(9.0, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, min(2, len(panels)), squeeze=False).ravel()
    for ax, draw in zip(axes, panels, strict=False):
        draw(ax)
        clean(ax)
    title = f"Twin model of {content['scenario']} against the {content['judge']}"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    sign(figure, content["note"])
    return figure


def picture(content: Mapping[str, Any]) -> bytes:
    """Return the figure as a PNG."""
    stream = BytesIO()
    plot_card(content).savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return stream.getvalue()


def _coverage(ax: Axes, block: Mapping[str, Any], variable: str) -> None:
    by_step = block["variables"][variable]
    steps = [int(step) for step in by_step]
    for k, level in enumerate(next(iter(by_step.values()))["coverage"]):
        shares = np.array([found["coverage"][level] for found in by_step.values()])  # (H, 3)
        reach = np.abs(shares[:, 1:] - shares[:, :1]).T
        ax.axhspan(float(level) - EVERYBODY_BAR, float(level) + EVERYBODY_BAR, color=QUIET, alpha=0.2, lw=0)
        ax.errorbar(steps, shares[:, 0], reach, color=COLOURS[k], marker="o", ms=3, lw=1.2, label=f"{float(level):.0%}")
    ax.set_xscale("log", base=2)
    ax.set_xticks(steps, [str(step) for step in steps])
    ax.set_xlabel("steps ahead", fontsize=8)
    ax.set_title(f"{variable}: share inside each interval; grey is the bar", fontsize=9)


def _ranks(ax: Axes, block: Mapping[str, Any]) -> None:
    steps = list(block["pit"])
    for k, step in enumerate((steps[0], steps[len(steps) // 2], steps[-1])):
        shares = np.array(block["pit"][step])
        edges = np.linspace(0.0, 1.0, len(shares) + 1)
        ax.stairs(shares * len(shares), edges, color=COLOURS[k], lw=1.4, label=f"{step} steps ahead")
    ax.axhline(1.0, color=QUIET, ls="--", lw=1.0)
    ax.set_ylim(0.0, None)
    ax.set_xlabel("rank of what happened among the futures", fontsize=8)
    ax.set_title("ranks: flat if forecasts are right", fontsize=9)
    ax.legend(fontsize=7, frameon=False, loc="lower center")


def _effects(ax: Axes, doses: Mapping[str, Any]) -> None:
    for k, (dose, found) in enumerate(doses.items()):
        time = np.arange(1, len(found["course"]["twin"]) + 1)
        ax.plot(time, found["course"]["reference"], color=COLOURS[k], lw=1.0, ls="--")
        ax.plot(time, found["course"]["twin"], color=COLOURS[k], lw=1.6, label=dose)
    ax.set_xlabel("steps since the dose was changed", fontsize=8)
    ax.set_title("mean effect: twin model, and dashed the judge", fontsize=9)
    ax.legend(fontsize=7, frameon=False)


def _policies(ax: Axes, values: Mapping[str, Any]) -> None:
    twin, judge = (np.array([numbers[k] for numbers in values.values()]) for k in (0, 1))
    ends = [min(twin.min(), judge.min()), max(twin.max(), judge.max())]
    ax.plot(ends, ends, color=QUIET, ls="--", lw=1.0)
    ax.scatter(judge, twin, s=18, color=COLOURS[0])
    ax.set_xlabel("value under the judge", fontsize=8)
    ax.set_ylabel("value on the twin model", fontsize=8)
    ax.set_title(f"{len(values)} policies: on the line if both agree", fontsize=9)
