"""How is a twin model of this scenario compared with its reference: fixed before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twingym.twins.scales import Floats

# From traits (each (N,)), inputs (N, T + 1, K) and one uniform per person (N,) to amounts (N, T, A): what is given,
# whatever is observed. Forecasts are only comparable when the future actions do not react to the outcome.
Schedule = Callable[[Mapping[str, Floats], Floats, Floats], Floats]


def as_intended(observed: Floats, amounts: Floats) -> Floats:
    """Permit whatever was intended."""
    return amounts


@dataclass(frozen=True)
class FidelityPlan:
    """What is measured about a twin model.

    Attributes:
        variable: The observed variable that is forecast.
        total: Whether its sum since the forecast began is forecast, instead of its value (sparse counts).
        history: Steps of a person's past that are known when a forecast begins.
        horizons: Steps ahead at which the error is compared with simple forecasts, by label.
        coverage: Steps ahead at which the 90 % interval must hold 87 to 93 %, by label.
        schedule: Open-loop interventions under which courses are recorded.
        permit: From what is observed (N, V) and intended amounts (N, A) to the amounts that may be delivered (N, A).
        branch: From inputs (N, T + 1, K) and intended amounts (N, T, A) to the step (N,) from which doses are changed.
        doses: How what was intended from that step on is changed, by label: from amounts (N, A) and steps since to
            amounts (N, A). The first is what the others are compared with.
        effect_steps: Steps after the change over which its mean effect is taken.
        people: Held-out people on whom forecasts, effects and disagreement are measured.
        effect_people: Held-out people whose branches are followed under each dose; ``people`` if 0. Where few respond,
            more people tell more than more futures of the same.
        effect_samples: Futures per person and dose; their chance is taken off where it would blur a person's effect.
        policies: Rules with settings whose values are compared, by name.
        metric: The metric (or ``return``) by which policies are compared.
        tolerance: Largest difference of a policy's metric between twin model and reference.
        policy_steps: Steps over which policies are compared.
        policy_people: Held-out people on whom policies are compared.
        anchor_people: More of them, on whom the first policy is evaluated too; see
            :func:`~twingym.evaluation.fidelity.policy_values.policy_values`. 0 for none.
        shift: From scheduled amounts (N, T, A) and a factor per person (N,) to amounts that leave the training data.
        shifts: The factors; used to rank disagreement against error and for dose-response curves. An adversary tries
            all between the least and the greatest.
        drift: Name of the rule under which courses are compared over the judged horizon.
        drift_tolerance: Largest difference of the variable's mean between twin model and reference at the end.
    """

    variable: str
    history: int
    horizons: Mapping[str, int]
    coverage: Mapping[str, int]
    schedule: Schedule
    branch: Callable[[Floats, Floats], NDArray[np.int64]]
    doses: Mapping[str, Callable[[Floats, int], Floats]]
    effect_steps: int
    policies: Mapping[str, tuple[str, Mapping[str, float]]]
    metric: str
    tolerance: float
    policy_steps: int
    drift: str
    drift_tolerance: float
    shift: Callable[[Floats, Floats], Floats]
    total: bool = False
    people: int = 300
    effect_people: int = 0
    effect_samples: int = 20
    policy_people: int = 300
    anchor_people: int = 0
    permit: Callable[[Floats, Floats], Floats] = as_intended
    shifts: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
