"""What does an environment tell beside observations and rewards, as arrays by name in Gymnasium's manner?"""

from __future__ import annotations

from typing import Any

import numpy as np

from twingym.envs.enforcement import Flags
from twingym.envs.layout import Observations
from twingym.scenarios.scenario import Scenario
from twingym.scenarios.step import Step
from twingym.twins.scales import Floats

# Each array ``name`` goes with a mask ``_name`` of the slots in which it means something.
Infos = dict[str, Any]


def step_infos(scenario: Scenario, step: Step, costs: Floats, delivered: Floats, shielded: Flags) -> Infos:
    """Return what is known about one step of N people, without masks.

    Args:
        scenario: The problem.
        step: The step as reward and costs saw it.
        costs: In declared order, shape (K, N).
        delivered: Physical amounts, shape (N, A).
        shielded: Whose amounts a hard constraint changed, shape (N,).
    """
    names = [c.name for c in scenario.costs]
    infos: Infos = {
        "cost": costs[names.index(scenario.primary.name)].copy(),
        "costs": np.ascontiguousarray(costs.T),
        **{f"cost_{name}": cost for name, cost in zip(names, costs, strict=True)},
        "delivered": delivered.copy(),
        "shielded": shielded,
    }
    if scenario.need is not None and scenario.benefit is not None:
        infos["need"], infos["benefit"] = np.array(scenario.need(step)), np.array(scenario.benefit(step))
    return infos


def masked(infos: Infos, where: Flags) -> Infos:
    """Return ``infos`` with the mask ``where`` (N,) for each array."""
    return infos | {f"_{name}": where.copy() for name in infos}


def final_infos(last: Infos, ended: Flags, final_obs: Observations | None) -> Infos:
    """Return what Gymnasium adds when episodes end.

    Args:
        last: What is known about them, arrays by name without masks.
        ended: Which slots they are, shape (N,).
        final_obs: Last observations (N, D), given where the slots have been reset already.
    """
    found: Infos = {"final_info": masked(last, ended), "_final_info": ended.copy()}
    if final_obs is not None:
        listed = np.full(len(ended), None, dtype=object)
        for row in np.flatnonzero(ended):
            listed[row] = final_obs[row].copy()
        found |= {"final_obs": listed, "_final_obs": ended.copy()}
    return found
