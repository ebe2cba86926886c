"""What do all figures share: colours that everybody can tell apart, quiet axes, and the caveat."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twingym.scenarios.scenario import Scenario
from twingym.twins.scales import Floats

# Okabe and Ito's colours, told apart by people with any colour vision; order of use.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SAFE, LIMIT, QUIET = "#009E73", "#B22222", "#8A8A8A"
CAVEAT = "A model's people, the reference included; not for treatment decisions."
# Units of time, from fine to coarse: each with how many of the one before it.
_TIME = (("min", 1.0), ("h", 60.0), ("day", 24.0), ("week", 7.0))
_MANY = 72  # of a unit of time before the next coarser one reads better


def clean(ax: Axes) -> None:
    """Leave out what is not data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#DDDDDD", lw=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8)


def sign(figure: Figure, text: str = CAVEAT) -> None:
    """Write the caveat below a figure."""
    figure.supxlabel(text, fontsize=7, color=QUIET, x=0.99, ha="right")


def mark(ax: Axes, x: float, text: str) -> None:
    """Draw a vertical line with a word beside it."""
    ax.axvline(x, color=LIMIT, ls="--", lw=1.2)
    above = ("data", "axes fraction")
    ax.annotate(text, (x, 1.0), (3, -10), xycoords=above, textcoords="offset points", fontsize=8, color=LIMIT)


def clock(scenario: Scenario, time: Floats) -> tuple[Floats, str]:
    """Return times in a unit that reads well, and the axis label."""
    units = [unit for unit, _ in _TIME]
    if scenario.dt_unit not in units:
        return time, f"time ({scenario.dt_unit})"
    factor, place = 1.0, units.index(scenario.dt_unit)
    while place + 1 < len(_TIME) - 1 and time[-1] / factor > _MANY:
        place += 1
        factor *= _TIME[place][1]
    return time / factor, f"time ({units[place]})"
