"""What is fitted: our model, the same with another backbone, and the same with one thing changed at a time."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.tumour.simulator import DAYS
from benchmarks.tumour.twin import SPEC, VOLUME, Recipe
from twingym.twins import Variable

TWIN = Recipe()


def backbone(name: str) -> Recipe:
    """Return our model with another backbone."""
    return replace(TWIN, network=replace(TWIN.network, backbone=name))


# The volume itself instead of its growth: changes on a linear scale.
ABSOLUTE = replace(SPEC, variables=(replace(VOLUME, scale="linear", low=0.0, relative=False, change=5.0),))
# Every day has a place of its own, learned by heart.
PLACES = replace(SPEC, inputs=(Variable("day", kind="categorical", levels=tuple(f"day_{k}" for k in range(DAYS))),))

ABLATIONS = {
    "absolute head": replace(TWIN, spec=ABSOLUTE),
    "learned positions": replace(TWIN, spec=PLACES),
    "no late starts": replace(TWIN, fit=replace(TWIN.fit, late_share=0.0)),
    "with a multi-step score": replace(TWIN, fit=replace(TWIN.fit, energy_weight=0.3, energy_steps=5)),
    "one head": replace(TWIN, network=replace(TWIN.network, ensemble=1)),
}
MODELS = {"twin": TWIN, "gru": backbone("gru"), "mlp": backbone("mlp"), **ABLATIONS}
