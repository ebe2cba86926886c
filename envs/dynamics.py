"""Which dynamics moves the people of a scenario?"""

from __future__ import annotations

from pathlib import Path

from twingym.scenarios.scenario import Scenario
from twingym.scenarios.weights import weights_folder
from twingym.twins.dynamics import Dynamics
from twingym.twins.errors import SpecError, unknown

NAMES = ("transformer", "reference", "challenger")
CHALLENGER = "challenger"  # folder, beside the weights, of the second twin model


def resolve(scenario: Scenario, dynamics: str | Dynamics, weights: str | Path | None = None) -> Dynamics:
    """Return the dynamics of this name, or the object itself.

    Interventions that nobody in a table was ever given do nothing but what the scenario assumes of them: a twin model
    never met them, and what it would make of them is chance.

    Args:
        scenario: Whose people.
        dynamics: ``transformer``, ``reference``, ``challenger`` (another backbone, fitted on other people), or an
            object with the methods of :class:`~twingym.twins.dynamics.Dynamics`.
        weights: Folder of a twin model; the scenario's own if None.

    Raises:
        UnknownNameError: If the name is neither; suggests the nearest.
        SpecError: If the scenario has no reference, or the object is no dynamics.
        WeightsError: If the twin model's weights are missing, corrupt or foreign.
    """
    if not isinstance(dynamics, str):
        missing = [
            name for name in ("initial", "step", "restart", "take", "noise_width") if not hasattr(dynamics, name)
        ]
        if missing:
            raise SpecError(
                f"dynamics is {type(dynamics).__name__}, which lacks {', '.join(missing)}; "
                f"allowed: {', '.join(NAMES)} or a Dynamics."
            )
        return dynamics
    if dynamics == "reference":
        if scenario.reference is None:
            raise SpecError(
                f"scenario {scenario.id!r} has no reference; 'transformer' is its twin model, and "
                "'challenger' another judge, fitted on other people (twingym fit --challenger)."
            )
        return scenario.reference()
    if dynamics in ("transformer", CHALLENGER):
        from twingym.twins.model import TwinModel

        folder = Path(weights) if weights is not None else weights_folder(scenario)
        folder = folder / CHALLENGER if dynamics == CHALLENGER else folder
        model = TwinModel.load(folder, scenario.world_fingerprint())
        if scenario.recorded is not None and scenario.recorded.never_varied:
            from twingym.twins.assumed import AssumedDynamics

            effects = {name: scenario.assumed.get(name, {}) for name in scenario.recorded.never_varied}
            return AssumedDynamics(model, effects)
        return model.dynamics()
    raise unknown("dynamics", dynamics, NAMES)
