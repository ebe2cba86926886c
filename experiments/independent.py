"""Networks that share nothing with a twin model but its declarations.

Other people, other initial weights, one head each, no random prior: a deep ensemble (Lakshminarayanan et al. 2017,
NeurIPS).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from twingym.envs.behaviour import collect
from twingym.scenarios import Scenario
from twingym.twins.cohort import people
from twingym.twins.fit import fit_twin
from twingym.twins.model import WEIGHTS, TwinModel
from twingym.twins.transformer_config import TransformerConfig

APART = 10_000_000  # ids between the people of one network and the next
SIZES = TransformerConfig(ensemble=1, prior_gain=0.0)


def place_of(runs: Path, scenario: Scenario, number: int) -> Path:
    """Return the folder of a network."""
    return runs / scenario.id / f"network_{number}"


def independent_network(scenario: Scenario, number: int, runs: Path, *, epochs: int, learners: int) -> TwinModel:
    """Return an independent network, from disk if it is there; else fit it, or go on with a fit that was stopped.

    Args:
        scenario: The problem; it needs a reference.
        number: Which network: those of other numbers learn from other people.
        runs: Where networks are kept.
        epochs: Of the fit.
        learners: People whom it learns from, over two episodes or one that ends; eight times as many where it ends.
    """
    folder = place_of(runs, scenario, number)
    if (folder / WEIGHTS).is_file():
        return TwinModel.load(folder, scenario.world_fingerprint())
    start, seed, ends = APART * (number + 1), 101 + number, scenario.ending == "end"
    count = learners * (8 if ends else 1)
    ids = np.concatenate([people("train", count, start), people("validation", max(count // 12, 1), start)])
    source = collect(scenario, ids, seed, horizon=scenario.horizon * (1 if ends else 2))
    config = replace(scenario.fit, epochs=epochs, seed=seed, threads=1)
    model = fit_twin(source, scenario.twin_spec(), folder, config, SIZES, progress=True)
    model.save(folder)
    print(f"{folder}: {model.training['cpu_seconds'] / 60:.1f} CPU minutes")
    return model
