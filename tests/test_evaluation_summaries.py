"""Are the values of an episode summed up as their definitions say, on courses made by hand?"""

from __future__ import annotations

import numpy as np
import pytest

from twingym.envs.rule_policy import RulePolicy
from twingym.evaluation import evaluate
from twingym.evaluation.summaries import Mean, Spells, Summary, Total, Variation
from twingym.scenarios import get
from twingym.twins import people
from twingym.twins.scales import Floats


def summed(summary: Summary, values: Floats) -> Floats:
    """What is made of courses (N, T) whose ends are NaN."""
    for step in values.T:
        summary.add(np.nan_to_num(step, nan=1e6), ~np.isnan(step))
    return summary.result()


def ones(*pieces: tuple[int, int]) -> Floats:
    """One person's values: 0 or 1, each for so many steps."""
    return np.concatenate([np.full(count, float(value)) for value, count in pieces])[None, :]


COURSES = np.array([[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, np.nan, np.nan], [-1.0, 1.0, -1.0, 1.0]])


def test_what_follows_an_end_does_not_count() -> None:
    np.testing.assert_allclose(summed(Total(3), COURSES), [12.0, 10.0, 0.0])
    np.testing.assert_allclose(summed(Mean(3), COURSES), [3.0, 5.0, 0.0])


def test_variation_is_the_standard_deviation_over_the_mean() -> None:
    expected = [np.std(COURSES[0]) / 3.0, 0.0, np.nan]  # nothing is a share of a mean of 0
    np.testing.assert_allclose(summed(Variation(3), COURSES), expected)
    far = 1e8 + np.array([[0.0, 1.0] * 50])
    np.testing.assert_allclose(summed(Variation(1), far), 0.5 / (1e8 + 0.5))


@pytest.mark.parametrize(
    ("pieces", "count"),
    [
        ([(0, 50)], 0),
        ([(0, 5), (1, 2), (0, 5)], 0),
        ([(0, 5), (1, 3), (0, 5)], 1),
        ([(1, 3), (0, 2), (1, 3), (0, 5)], 1),  # a break of two steps belongs to the spell
        ([(1, 3), (0, 3), (1, 3), (0, 5)], 2),  # one of three ends it
        ([(1, 3), (0, 3), (1, 2), (0, 5)], 1),
        ([(1, 2), (0, 1), (1, 2), (0, 5)], 0),
        ([(1, 40)], 1),  # still going on
    ],
)
def test_spells_begin_and_end_with_three_steps(pieces: list[tuple[int, int]], count: int) -> None:
    assert summed(Spells(1, lasting=3), ones(*pieces)) == count


def test_spells_are_counted_per_person_and_per_steps_lived() -> None:
    whole, half = ones((1, 3), (0, 97)), ones((1, 3), (0, 47))
    half = np.concatenate([half, np.full((1, 50), np.nan)], axis=1)
    courses = np.concatenate([whole, half])
    np.testing.assert_array_equal(summed(Spells(2, lasting=3), courses), [1.0, 1.0])
    np.testing.assert_allclose(summed(Spells(2, lasting=3, per=100), courses), [1.0, 2.0])


def test_glucose_reports_lows_of_fifteen_minutes_and_variation_as_its_courses_show_them() -> None:
    scenario = get("Glucose-v0")
    found = evaluate(RulePolicy(scenario, "basal_bolus"), scenario, people("test", 12), horizon=2 * 288, courses=True)
    assert found.courses is not None
    cgm = np.asarray(found.courses.values["cgm"])[:, 1:]  # without the reading at birth
    low = (cgm < 70.0) & np.isfinite(cgm)
    lasting = low[:, 2:] & low[:, 1:-1] & low[:, :-2]  # the last three readings
    np.testing.assert_allclose(found.episodes["variation"], np.nanstd(cgm, axis=1) / np.nanmean(cgm, axis=1))
    assert ((found.episodes["lows"] > 0) == lasting.any(axis=1)).all()
    assert 0 < (found.episodes["lows"] > 0).sum() < 12
    weeks = found.episodes["steps"] / (7 * 288)
    np.testing.assert_allclose((found.episodes["lows"] * weeks) % 1.0, 0.0, atol=1e-9)
