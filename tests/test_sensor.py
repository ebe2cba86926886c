"""Do readings err as declared, in what is drawn, in what is thought likely, and in ranks?"""

from __future__ import annotations

import numpy as np
import pytest

from twingym.twins import Variable
from twingym.twins.errors import SpecError, UnknownNameError
from twingym.twins.sensor import Sensor

LEVEL = Variable("level", "mg/L", 0.0, 10.0)
RHYTHM = Variable("rhythm", kind="categorical", levels=("sinus", "flutter", "fibrillation", "paced"))
FEVER = Variable("fever", kind="binary")
ALL = (LEVEL, RHYTHM, FEVER)
ERROR = {"level": 2.0, "rhythm": 0.3, "fever": 0.1}
MANY = 200_000


def uniform(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=shape)


def test_readings_err_as_often_and_as_far_as_declared():
    truth = np.tile([5.0, 2.0, 1.0], (MANY, 1))
    read = Sensor(ALL, ERROR).draw(truth, uniform(truth.shape))
    inside = (read[:, 0] > 0.0) & (read[:, 0] < 10.0)
    assert abs(read[inside, 0].mean() - 5.0) < 0.02
    assert abs((np.abs(read[:, 0] - 5.0) < 2.0).mean() - 0.6827) < 0.005
    assert read[:, 0].min() == 0.0
    assert read[:, 0].max() == 10.0
    shares = np.bincount(read[:, 1].astype(int), minlength=4) / MANY
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.7, 0.1], atol=0.004)
    np.testing.assert_allclose(np.bincount(read[:, 2].astype(int)) / MANY, [0.1, 0.9], atol=0.004)


def test_what_is_read_exactly_is_read_and_what_is_missing_is_missing():
    truth = np.array([[5.0, 3.0, 0.0], [np.nan, np.nan, np.nan]])
    exact = Sensor(ALL, dict.fromkeys(ERROR, 0.0))
    np.testing.assert_array_equal(exact.draw(truth, uniform(truth.shape)), truth)
    assert np.isnan(Sensor(ALL, ERROR).draw(truth[1:], np.full((1, 3), 1e-6))).all()


def test_likelihoods_are_those_of_what_is_drawn():
    """Of levels they add up to 1, one level or all; the one that is true is as likely as it is drawn."""
    sensor, truth = Sensor(ALL, ERROR), np.array([[[5.0, 2.0, 1.0], [6.0, 0.0, 0.0]]])  # (1, P = 2, V)
    nothing = np.full((1, 3), np.nan)
    np.testing.assert_array_equal(sensor.log_likelihood(nothing, truth), [[0.0, 0.0]])
    both = 0.0
    for rhythm in range(4):
        for fever in range(2):
            both = both + np.exp(sensor.log_likelihood(np.array([[np.nan, rhythm, fever]]), truth))
    np.testing.assert_allclose(both, 1.0)
    said = np.exp(sensor.log_likelihood(np.array([[np.nan, 2.0, np.nan]]), truth))
    np.testing.assert_allclose(said, [[0.7, 0.1]])
    densities = [np.exp(sensor.log_likelihood(np.array([[x, np.nan, np.nan]]), truth)) for x in np.arange(-20, 30, 0.1)]
    np.testing.assert_allclose(0.1 * np.sum(densities, axis=0), 1.0)


@pytest.mark.parametrize("column", range(3))
def test_ranks_of_readings_are_uniform(column):
    truth = np.stack([np.full(MANY, 9.0), np.arange(MANY) % 4, np.arange(MANY) % 2], axis=-1)
    sensor = Sensor(ALL, ERROR)
    read = sensor.draw(truth, uniform(truth.shape))
    below, upto = sensor.below(column, read[:, column], truth[:, column])
    assert (below <= upto).all()
    place = below + np.random.default_rng(1).uniform(size=MANY) * (upto - below)
    np.testing.assert_allclose(np.histogram(place, 10, (0.0, 1.0))[0] / MANY, 0.1, atol=0.004)


def test_what_cannot_be_is_refused():
    with pytest.raises(UnknownNameError, match="rhythm"):
        Sensor(ALL, {"rythm": 0.1})
    with pytest.raises(SpecError, match=r"'level' is -1.0; allowed: 0 or a positive number of mg/L"):
        Sensor(ALL, {"level": -1.0})
    with pytest.raises(SpecError, match=r"'fever' is 1.0; allowed: a chance to read another level, from 0 to less"):
        Sensor(ALL, {"fever": 1.0})
    with pytest.raises(SpecError, match=r"'rhythm' of person 7 is 1.5; allowed: a whole number from 0 to 3, or NaN"):
        Sensor(ALL, ERROR).check(np.array([[5.0, 1.5, 0.0]]), np.array([7]))
    Sensor(ALL, {"level": 1.0}).check(np.array([[5.0, 1.5, 9.0]]), np.array([7]))  # others are not looked at
