"""Which groups come off worse, and what does return cost: bars and trade-offs as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from twingym.evaluation.disparity import EVERYBODY, Fairness
from twingym.evaluation.episodes import INTERSECTION
from twingym.evaluation.style import CAVEAT, COLOURS, LIMIT, QUIET, clean, mark, sign
from twingym.scenarios.scenario import Scenario
from twingym.twins.errors import unknown

if TYPE_CHECKING:
    from twingym.evaluation.comparison import Comparison


def plot_groups(
    fairness: Fairness | Mapping[str, Fairness],
    measure: str,
    *,
    traits: Sequence[str] | None = None,
    unit: str = "",
    limit: float | None = None,
) -> Figure:
    """Draw a measure of each group with its interval, a panel per trait and a colour per policy.

    Args:
        fairness: Of one policy, or of several by name.
        measure: ``return``, a constraint's or a metric's name, ``gain``, ``harmed``, ``benefit_rate``, ``exposure``.
        traits: Which partitions; all but the full intersection if None.
        unit: Unit of the measure, for the axis.
        limit: A limit to draw.

    Raises:
        UnknownNameError: If nothing was measured under that name.
    """
    several = {"": fairness} if isinstance(fairness, Fairness) else dict(fairness)
    first = next(iter(several.values())).groups
    if measure not in set(first["measure"]):
        raise unknown("measure", measure, first["measure"].unique())
    chosen = list(traits or [t for t in first["trait"].unique() if INTERSECTION not in t and t != EVERYBODY])
    counts = [first[first["trait"] == t]["group"].nunique() for t in chosen]
    width = sum(counts) * (0.55 + 0.3 * len(several))
    figure = Figure(figsize=(max(7.0, 1.5 + width), 3.6), layout="constrained")
    axes = figure.subplots(1, len(chosen), sharey=True, squeeze=False, width_ratios=counts)[0]
    for ax, trait in zip(axes, chosen, strict=True):
        for k, (name, found) in enumerate(several.items()):
            rows = found.groups[(found.groups["trait"] == trait) & (found.groups["measure"] == measure)]
            place = np.arange(len(rows)) + (k - 0.5 * (len(several) - 1)) * 0.8 / len(several)
            off = np.abs(rows[["low", "high"]].to_numpy().T - rows["estimate"].to_numpy())
            bars = {"width": 0.72 / len(several), "color": COLOURS[k % len(COLOURS)], "alpha": 0.85}
            ax.bar(place, rows["estimate"], label=name, **bars)
            ax.errorbar(place, rows["estimate"], yerr=off, fmt="none", ecolor="black", elinewidth=1.0, capsize=3.0)
        few = ["*" if f else "" for f in rows["few"]]
        names = [f"{g}\nn = {n}{star}" for g, n, star in zip(rows["group"], rows["n"], few, strict=True)]
        ax.set_xticks(np.arange(len(rows)), names, fontsize=8)
        gaps = found.gaps
        seen = gaps[(gaps["trait"] == trait) & (gaps["measure"] == measure)] if len(gaps) else gaps
        null = ""
        if len(seen) and len(several) == 1:
            null = f"\ngap {seen['gap'].iloc[0]:.3g}, p = {seen['p_null'].iloc[0]:.2g}"
        if limit is not None:
            ax.axhline(limit, color=LIMIT, ls="--", lw=1.2)
        ax.set_title(trait.replace("_", " ") + null, fontsize=9)
        clean(ax)
    axes[0].set_ylabel(f"{measure.replace('_', ' ')}{f' ({unit})' if unit else ''}")
    if len(several) > 1:
        axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    star = "; * fewer than 30 people" if first["few"].any() else ""
    sign(figure, f"Lines: 95 % intervals over people{star}. {CAVEAT}")
    return figure


def plot_tradeoff(comparison: Comparison, scenario: Scenario, measure: str = "return") -> Figure:
    """Draw return (or another measure) against the primary cost, a point per policy, with the limit.

    Args:
        comparison: What is drawn.
        scenario: Names the primary constraint.
        measure: What is wanted. ``gain`` is the return above the baseline of the same people with the same luck, whose
            interval does not hold how much people differ.

    Raises:
        UnknownNameError: If the comparison lacks that measure.
    """
    table, primary = comparison.tidy, scenario.primary
    rows = table[table["what"].isin(["measure", "gain"])]
    if measure not in set(rows["quantity"]):
        raise unknown("measure", measure, rows["quantity"].unique())
    keys = ["policy", "dynamics"]
    gains = rows[rows["quantity"] == measure].set_index(keys)
    costs = table[(table["what"] == "constraint") & (table["quantity"] == primary.name)].set_index(keys)
    figure = Figure(figsize=(8.0, 4.6), layout="constrained")
    ax = figure.subplots()
    policies, places = (list(dict.fromkeys(gains.index.get_level_values(level))) for level in (0, 1))
    shapes = dict(zip(places, "osD^vP", strict=False))
    for policy, place in gains.index:
        gain, cost = gains.loc[(policy, place)], costs.loc[(policy, place)]
        colour = COLOURS[policies.index(policy) % len(COLOURS)]
        face = colour if cost["verdict"] == "pass" else "white"
        ax.errorbar(
            cost["estimate"],
            gain["estimate"],
            xerr=[[cost["estimate"] - cost["low"]], [cost["high"] - cost["estimate"]]],
            yerr=[[gain["estimate"] - gain["low"]], [gain["high"] - gain["estimate"]]],
            fmt=shapes[place],
            color=colour,
            mfc=face,
            ms=8,
            capsize=2.5,
            elinewidth=1.0,
        )
    limit = float(costs["limit"].iloc[0])
    most = 1.08 * max(float(costs["high"].max()), limit)
    mark(ax, limit, f"limit {limit:g}")
    ax.axvspan(limit, most, color=LIMIT, alpha=0.06, lw=0)
    ax.set_xlim(-0.03 * most, most)
    for k, policy in enumerate(policies):
        ax.plot([], [], "o", color=COLOURS[k % len(COLOURS)], label=policy)
    for place, shape in shapes.items():
        ax.plot([], [], shape, color=QUIET, label=f"on the {place}")
    ax.plot([], [], "o", color=QUIET, mfc="white", label="hollow: limit not shown to be kept")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    ax.set_xlabel(f"{primary.name.replace('_', ' ')} ({primary.unit})")
    ax.set_ylabel(f"return above {scenario.baseline}'s" if measure == "gain" else measure.replace("_", " "))
    clean(ax)
    sign(figure, "Lines: 95 % bounds over people. " + CAVEAT)
    return figure
