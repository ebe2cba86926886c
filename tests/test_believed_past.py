"""Do futures go on from what may truly have been, where the readings of a recorded past err?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twingym.envs.behaviour import collect
from twingym.evaluation.believed_past import believed_past
from twingym.evaluation.fidelity.drift_watch import fit_so_far, ranks_of_readings
from twingym.evaluation.fidelity.scores import crps
from twingym.evaluation.history_value import Repeat
from twingym.evaluation.personal import personalise
from twingym.scenarios import get
from twingym.twins import people
from twingym.twins.errors import SpecError, UnknownNameError
from twingym.twins.sensor import Sensor

STEPS, AHEAD, ERROR = 30, 6, {"cgm": 15.0}


@pytest.fixture(scope="module")
def scenario():
    return get("Glucose-v0")


@pytest.fixture(scope="module")
def truth(scenario):
    """Whole courses of people whom nothing happened to."""
    courses = collect(scenario, people("test", 20), seed=0, horizon=STEPS + AHEAD)
    return courses.take(np.flatnonzero(courses.length == STEPS + AHEAD)[:16])


@pytest.fixture(scope="module")
def read(truth):
    """The first half of those, with an error of the readings, some of which are missing."""
    random = np.random.default_rng(0)
    observed = truth.observed.copy()
    observed[..., 0] = np.clip(observed[..., 0] + ERROR["cgm"] * random.standard_normal(observed.shape[:2]), 40, 400)
    observed[:, 1:, 0][random.random(observed[:, 1:, 0].shape) < 0.1] = np.nan
    return replace(truth, observed=observed, length=np.full(len(truth), STEPS))


def ahead(scenario, truth, read, error):
    """Futures (S, N) of glucose some steps ahead, under what was given, and its true values (N,)."""
    twin = personalise(scenario, read, error=error)
    again = {"again": Repeat(scenario, truth.delivered[:, STEPS:])}
    found = twin.branch(again, AHEAD, samples=40).values("again", "cgm")
    return found, truth.observed[:, STEPS + AHEAD, 0]


def test_errors_that_are_declared_do_not_become_forecasts(scenario, truth, read):
    taken, wanted = ahead(scenario, truth, read, None)
    believed, _ = ahead(scenario, truth, read, ERROR)
    assert crps(believed[:, :, -1], wanted).mean() < 0.7 * crps(taken[:, :, -1], wanted).mean()
    # Where people are now is not known, but better than by a reading: its error is 15.
    now = believed[:, :, 0]
    assert (now.std(axis=0) > 3.0).all()
    assert np.sqrt(np.mean((now.mean(axis=0) - truth.observed[:, STEPS, 0]) ** 2)) < 11.0


def test_levels_that_were_misread_are_found_out():
    """A patient's vital signs, each read wrongly one time in seven."""
    sepsis, chance = get("Sepsis-v0"), 1.0 / 7.0
    signs = [v for v in sepsis.variables if v.kind == "categorical" and v.seen_by("policy")]
    columns = [sepsis.variables.index(v) for v in signs]
    courses = collect(sepsis, people("test", 60), seed=0)
    truth = courses.take(np.flatnonzero(courses.length >= 6)[:24])
    sensor, observed = Sensor(signs, dict.fromkeys([v.name for v in signs], chance)), truth.observed.copy()
    shape = observed[:, :6, columns].shape
    observed[:, :6, columns] = sensor.draw(observed[:, :6, columns], np.random.default_rng(0).uniform(size=shape))
    read = replace(truth, observed=observed, length=np.full(len(truth), 5))
    twin = personalise(sepsis, read, error=dict.fromkeys([v.name for v in signs], chance))
    drawn = believed_past(sepsis, twin.dynamics, read, twin.error, 40).observed[:, :6, columns]
    right = truth.observed[:, :6, columns]
    assert (drawn == np.rint(drawn)).all()
    doubt = np.mean(drawn != np.tile(right, (40, 1, 1)))  # of draws, so that it also pays for what is left open
    assert doubt < 0.95 * np.mean(observed[:, :6, columns] != right)
    fits = fit_so_far(sepsis, twin.dynamics, read, error=twin.error)
    assert (fits["fits"] == "no longer").mean() < 0.1


def test_readings_without_error_stay_what_they_were(scenario, truth):
    past = replace(truth, length=np.full(len(truth), STEPS))
    same, _ = ahead(scenario, truth, past, {"cgm": 0.0})
    exact, _ = ahead(scenario, truth, past, None)
    np.testing.assert_array_equal(same, exact)


def test_what_is_believed_does_not_depend_on_company_or_on_what_was_not_recorded_of_it(scenario, read):
    dynamics, column = personalise(scenario, read).dynamics, [i.name for i in scenario.inputs].index("carbs")
    shorter = replace(read, length=np.where(np.arange(len(read)) % 2, 12, STEPS))
    together = believed_past(scenario, dynamics, shorter, ERROR, 5)
    alone = believed_past(scenario, dynamics, shorter.take(np.array([3])), ERROR, 5)
    rows = np.arange(5) * len(read) + 3
    np.testing.assert_allclose(alone.observed[:, :13, 0], together.observed[rows, :13, 0], rtol=1e-6)
    np.testing.assert_array_equal(alone.observed[:, 13:, 0], together.observed[rows, 13:, 0])
    unknown = read.inputs.copy()
    unknown[..., column] = np.nan
    guessed = believed_past(scenario, dynamics, replace(read, inputs=unknown), ERROR, 5)
    assert np.isfinite(guessed.observed[:, : STEPS + 1, 0]).all()


def test_whether_the_model_fits_is_asked_of_readings(scenario, read):
    """Taken for exact they speak against any model; ranked as readings they are uniform, those on a bound too."""
    dynamics = personalise(scenario, read).dynamics
    assert (fit_so_far(scenario, dynamics, read)["fits"] == "no longer").mean() > 0.5
    assert (fit_so_far(scenario, dynamics, read, error=ERROR)["fits"] == "no longer").mean() < 0.1
    ranks = ranks_of_readings(scenario, dynamics, read, ERROR)["cgm"]
    assert np.isfinite(ranks).sum() == np.isfinite(read.observed[:, 1 : STEPS + 1, 0]).sum()
    found = np.sort(ranks[np.isfinite(ranks)])
    assert np.abs(found - (np.arange(len(found)) + 0.5) / len(found)).max() < 1.8 / np.sqrt(len(found))
    low = replace(read, observed=np.where(np.isfinite(read.observed), 40.0, np.nan))
    bottom = ranks_of_readings(scenario, dynamics, low, ERROR)["cgm"]
    assert np.nanmin(bottom) >= 0.0
    assert np.nanmax(bottom) < 1.0


def test_errors_of_nothing_that_is_read_are_refused(scenario, read):
    with pytest.raises(UnknownNameError, match="cgm"):
        personalise(scenario, read, error={"cgn": 15.0})
    with pytest.raises(SpecError, match="-1"):
        personalise(scenario, read, error={"cgm": -1.0})
    bought = collect(get("Retention-v0"), people("test", 2), seed=0, horizon=5)
    with pytest.raises(SpecError, match="continuous"):
        personalise("Retention-v0", bought, error={"spend": 3.0})
