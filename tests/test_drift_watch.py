"""Does the twin model of Glucose fit its own people, and is somebody found whose body has changed?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twingym.envs.behaviour import collect
from twingym.envs.dynamics import resolve
from twingym.evaluation.fidelity.drift_watch import watch
from twingym.scenarios import get
from twingym.twins import people
from twingym.twins.errors import DynamicsError, UnknownNameError


@pytest.fixture(scope="module")
def scenario():
    return get("Glucose-v0")


@pytest.fixture(scope="module")
def model(scenario):
    return resolve(scenario, "transformer")


@pytest.fixture(scope="module")
def courses(scenario, model):
    return collect(scenario, people("test", 16), 4, horizon=72, dynamics=model)


def test_a_model_fits_its_own_people(scenario, model, courses):
    test, ranks = watch(scenario, model, courses, "cgm", seed=1)
    known = ranks[np.isfinite(ranks)]
    assert abs(known.mean() - 0.5) < 0.03
    assert abs(np.mean(np.abs(known - 0.5) < 0.25) - 0.5) < 0.05
    assert test.alarmed.mean() <= 0.2


def test_a_changed_person_is_found(scenario, model, courses):
    """What they report as insulin does not all arrive: three times the recorded dose was needed for this course."""
    other = replace(courses, delivered=3.0 * courses.delivered)
    test, _ = watch(scenario, model, other, "cgm", seed=1)
    assert test.alarmed.mean() > 0.6


def test_what_cannot_be_watched_is_refused(scenario, model, courses):
    with pytest.raises(UnknownNameError, match="cgm"):
        watch(scenario, model, courses, "cmg")
    with pytest.raises(DynamicsError, match="has no `observe`"):
        watch(scenario, scenario.reference(), courses, "cgm")
