"""What happens along the way: how soon, how often and for how long do courses cross thresholds?

A forecast can be right at every single step and wrong about paths: courses that jitter cross a threshold more often
than courses that drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from twingym.evaluation.bounds import mean_of
from twingym.evaluation.fidelity.forecast import unfold
from twingym.evaluation.fidelity.replay import record_beyond
from twingym.scenarios.fidelity_plan import FidelityPlan
from twingym.scenarios.scenario import Scenario
from twingym.twins.cohort import Ids
from twingym.twins.dynamics import Dynamics
from twingym.twins.scales import Floats

Mask = NDArray[np.bool_]
TAILS = (0.1, 0.9)  # of what is recorded: thresholds where the scenario declares no band


@dataclass(frozen=True)
class Region:
    """Where a variable is while a path event lasts: strictly between two values.

    Attributes:
        variable: Its name.
        label: In words.
        above: Lower end, in its unit.
        below: Upper end.
    """

    variable: str
    label: str
    above: float = -np.inf
    below: float = np.inf

    def holds(self, values: Floats) -> Mask:
        """Return where values lie in it; NaN does not."""
        return np.asarray((values > self.above) & (values < self.below))


def regions(scenario: Scenario, plan: FidelityPlan, recorded: Mapping[str, Floats]) -> list[Region]:
    """Return what to watch: beyond declared bands, binary variables at 0, and the plan's variable in any case.

    Args:
        scenario: Declares bands and variables.
        plan: Which variable is forecast.
        recorded: Values of variables that both worlds know, by name.
    """
    found = []
    for variable in scenario.variables:
        name, unit = variable.name, f" {variable.unit}" if variable.unit else ""
        if name not in recorded:
            continue
        low, high = scenario.band.get(name, (None, None))
        if variable.kind == "binary":
            found.append(Region(name, f"no {name}", below=0.5))
            continue
        if low is None and name != plan.variable:
            continue
        if low is None and variable.kind == "count":
            found.append(Region(name, f"any {name}", above=0.0))
            continue
        if low is None or high is None:
            low, high = (float(q) for q in np.nanquantile(recorded[name], TAILS))
        found.append(Region(name, f"{name} below {low:.4g}{unit}", below=low))
        found.append(Region(name, f"{name} above {high:.4g}{unit}", above=high))
    return found


def path_events(
    scenario: Scenario, plan: FidelityPlan, dynamics: Dynamics, ids: Ids, seed: int, samples: int, steps: int
) -> dict[str, Any]:
    """Compare path events of futures of the twin model and of the reference, from the same past.

    Args:
        scenario: A scenario with a reference.
        plan: Schedule and history.
        dynamics: The twin model.
        ids: Held-out people.
        seed: Of courses and luck.
        samples: Futures per person in each world.
        steps: How long they are followed.

    Returns:
        ``people``, ``steps``, ``unit`` of time; ``events``: label -> ``share`` of futures with the event, ``first``,
        the time until it (all of the time where there is none), ``spells``, how many there are, and ``time`` in it:
        each with ``twin``, ``reference`` and ``difference`` [mean, low, high] over people; and ``run``, the mean length
        of a spell, with the Wasserstein ``distance`` between lengths, None where a world has no spell.
    """
    if scenario.reference is None:
        raise ValueError(f"scenario {scenario.id} has no reference whose paths could be compared with.")
    known = record_beyond(scenario, ids, seed, steps, plan)
    names = {v.name: k for k, v in enumerate(scenario.variables) if v.kind != "event" and v.seen_by("twin")}
    recorded = {name: known.courses.observed[:, plan.history + 1 :, k] for name, k in names.items()}
    watched = regions(scenario, plan, recorded)
    found: dict[str, dict[str, dict[str, Floats]]] = {region.label: {} for region in watched}
    for world, mover in (("twin", dynamics), ("reference", scenario.reference())):
        drawn = unfold(scenario, plan, mover, known, seed, samples, steps)
        paths = [[region.holds(seen[..., names[region.variable]]) for region in watched] for seen, _ in drawn]
        for region, inside in zip(watched, np.moveaxis(np.array(paths), (0, 1), (-1, 0)), strict=True):
            found[region.label][world] = measured(inside, scenario.dt)
    return {
        "people": len(known.courses),
        "steps": steps,
        "unit": scenario.dt_unit,
        "events": {label: _compared(**worlds) for label, worlds in found.items()},
    }


def measured(inside: Mask, dt: float = 1.0) -> dict[str, Floats]:
    """Measure spells of paths (S, N, T): means over futures by person, (N,), and the length of each run, (R,).

    Args:
        inside: Where the event goes on.
        dt: Length of a step.
    """
    steps = inside.shape[-1]
    there = inside.any(axis=-1)
    padded = np.pad(inside, ((0, 0), (0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=-1)  # (S, N, T + 1)
    return {
        "share": there.mean(axis=0),
        "first": dt * np.where(there, inside.argmax(axis=-1) + 1, steps).mean(axis=0),
        "spells": (change == 1).sum(axis=-1).mean(axis=0),
        "time": dt * inside.sum(axis=-1).mean(axis=0),
        "run": dt * (np.nonzero(change == -1)[-1] - np.nonzero(change == 1)[-1]),
    }


def _compared(twin: Mapping[str, Floats], reference: Mapping[str, Floats]) -> dict[str, Any]:
    report: dict[str, Any] = {
        name: {
            "twin": float(twin[name].mean()),
            "reference": float(reference[name].mean()),
            "difference": mean_of(twin[name] - reference[name]).bounded(),
        }
        for name in ("share", "first", "spells", "time")
    }
    mine, theirs = twin["run"], reference["run"]
    both = len(mine) > 0 and len(theirs) > 0
    report["run"] = {
        "twin": float(mine.mean()) if len(mine) else None,
        "reference": float(theirs.mean()) if len(theirs) else None,
        "distance": float(wasserstein_distance(mine, theirs)) if both else None,
    }
    return report
