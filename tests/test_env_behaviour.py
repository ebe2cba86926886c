"""Are training courses drawn from the declared mixture, and are their propensities true?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twingym.envs.behaviour import collect
from twingym.envs.exploration import CONTACT_RATE, CONTROLS, EXPLORATORY, RANDOMISED, AmountLaw, LevelLaw
from twingym.scenarios import get
from twingym.scenarios.mixture import Mixture
from twingym.twins.cohort import people
from twingym.twins.errors import SpecError, UnknownNameError

GLUCOSE = get("Glucose-v0")
NUDGE = get(Path(__file__).parent / "nudge_scenario.py")
IDS = people("train", 40)


@pytest.mark.parametrize("scenario", [pytest.param(GLUCOSE, id="Glucose"), pytest.param(NUDGE, id="Nudge")])
def test_courses_are_whole(scenario) -> None:
    steps = 60 if scenario is GLUCOSE else 12
    courses = collect(scenario, IDS, 0, horizon=steps)
    v, a, k = len(scenario.variables), len(scenario.interventions), len(scenario.inputs)
    assert courses.observed.shape == (40, steps + 1, v)
    assert courses.delivered.shape == (40, steps, a)
    assert courses.inputs.shape == (40, steps + 1, k)
    np.testing.assert_array_equal(courses.ids, IDS)
    assert set(courses.traits) >= {t.name for t in scenario.traits}
    lived = np.arange(steps) < courses.length[:, None]
    np.testing.assert_array_equal(np.isfinite(courses.observed[:, 1:]).all(axis=2), lived)
    np.testing.assert_array_equal(np.isfinite(courses.propensity), lived)
    assert np.isfinite(courses.inputs).all()
    assert (courses.delivered[~lived] == 0.0).all()
    assert courses.length.min() < steps  # some events
    ends = courses.observed[np.arange(40), courses.length]
    event = [v.kind for v in scenario.variables].index("event")
    np.testing.assert_array_equal(ends[:, event] == 1.0, courses.length < steps)


def test_a_persons_course_depends_on_seed_and_id_alone() -> None:
    whole = collect(GLUCOSE, IDS, 3, horizon=30)
    part = collect(GLUCOSE, IDS[[30, 2, 17]], 3, horizon=30)
    for name in ("observed", "delivered", "inputs", "propensity", "length"):
        np.testing.assert_array_equal(getattr(whole, name)[[30, 2, 17]], getattr(part, name))
    assert not np.array_equal(whole.delivered, collect(GLUCOSE, IDS, 4, horizon=30).delivered)


def test_clinicians_stay_close_to_their_rule_and_others_do_not() -> None:
    spread = {}
    for name in ("clinician", "exploratory", "randomised"):
        shares = {"clinician": 0.0, "exploratory": 0.0, "randomised": 0.0, name: 1.0}
        courses = collect(GLUCOSE, IDS, 0, horizon=48, behaviour={"constant_basal": 1.0}, mixture=Mixture(**shares))
        times = courses.delivered[..., 0] / courses.traits["basal"][:, None]
        lived = np.arange(48) < courses.length[:, None]
        spread[name] = np.nanmean(np.nanstd(np.log(np.where(lived & (times > 0), times, np.nan)), axis=1))
    assert spread["clinician"] < 0.2
    assert spread["exploratory"] > 3 * spread["clinician"]
    assert spread["randomised"] > 3 * spread["clinician"]


def test_randomised_doses_do_not_depend_on_the_state() -> None:
    """The same people on another dynamics (their meals and draws equal) get the same doses."""

    class Higher(type(GLUCOSE.reference())):
        def _observe(self, state):
            observed = super()._observe(state)
            observed[:, 0] = np.minimum(observed[:, 0] + 80.0, 600.0)
            return observed

    mixture = Mixture(0.0, 0.0, 1.0)
    here = collect(GLUCOSE, IDS, 1, horizon=40, mixture=mixture)
    there = collect(GLUCOSE, IDS, 1, horizon=40, mixture=mixture, dynamics=Higher())
    both = np.arange(40) < np.minimum(here.length, there.length)[:, None]
    np.testing.assert_array_equal(here.delivered[both], there.delivered[both])


def test_level_propensities_are_the_frequencies() -> None:
    """Given the modes, probabilities of what was delivered must average to what happens."""
    ids = people("train", 3000)
    courses = collect(NUDGE, ids, 0, horizon=1, behaviour={"always": 1.0}, mixture=Mixture(0.0, 1.0, 0.0))
    chance, contact = np.exp(courses.propensity[:, 0]), courses.delivered[:, 0, 0]
    # Inverse propensity weights count each level once per person.
    for level in range(3):
        assert np.mean((contact == level) / chance) == pytest.approx(1.0, abs=0.12)
    assert chance[contact == 1].mean() > 0.6
    shielded = collect(NUDGE, ids, 0, horizon=2, behaviour={"always": 1.0}, mixture=Mixture(0.0, 1.0, 0.0))
    rested = shielded.delivered[:, 0, 0] > 0
    alive = shielded.length == 2
    assert (shielded.delivered[rested & alive, 1, 0] == 0.0).all()
    np.testing.assert_allclose(shielded.propensity[rested & alive, 1], 0.0, atol=1e-12)


def test_random_habits_change_and_controls_have_none() -> None:
    n, steps = 4000, 60
    rng = np.random.default_rng(0)
    law = LevelLaw(np.full(n, RANDOMISED), rng.random((n, LevelLaw.per_person)), (4,))
    chances = np.stack([law.chances(np.zeros((n, 1)))[0] for _ in range(steps)])  # (steps, N, 4)
    np.testing.assert_allclose(chances.sum(axis=2), 1.0)
    contact = 1.0 - chances[:, :, 0]
    never = (contact == 0.0).all(axis=0)
    assert never.mean() == pytest.approx(CONTROLS, abs=0.03)
    contact, chances = contact[:, ~never], chances[:, ~never]
    low, high = CONTACT_RATE
    assert ((contact > low - 1e-12) & (contact < high + 1e-12)).all()
    favourite = chances[:, :, 1:].argmax(axis=2)
    changed = (favourite[1:] != favourite[:-1]).any(axis=0).mean()
    assert changed == pytest.approx(2 / 3, abs=0.03)  # by chance the next habit is of the same kind
    assert (np.diff(contact, axis=0) != 0.0).sum(axis=0).min() >= 1


def test_stated_propensities_are_the_density_of_what_is_drawn() -> None:
    """Histogram of many draws against exp(propensity), for each mode, with its atoms."""
    n = 200_000
    rng = np.random.default_rng(0)
    for mode in (EXPLORATORY, RANDOMISED):
        law = AmountLaw(np.full(n, mode), np.full((n, 6), 0.7), np.full((n, 1), -0.3))
        proposed, eventful = np.full((n, 1), 0.6), np.ones(n, bool)
        actions, log_chance = law.draw(proposed, eventful, rng.random((n, 1, 4)))
        x, chance = actions[:, 0], np.exp(log_chance)
        inside = np.abs(x) < 1.0
        counts, edges = np.histogram(x[inside], bins=40, range=(-1.0, 1.0))
        width = edges[1] - edges[0]
        cell = np.digitize(x[inside], edges) - 1
        stated = np.bincount(cell, weights=chance[inside], minlength=40) / np.maximum(counts, 1)
        often = counts > 2000
        assert often.sum() >= 8
        np.testing.assert_allclose(stated[often], counts[often] / n / width, rtol=0.1)
        for end in (-1.0, 1.0):
            if (x == end).sum() > 500:
                np.testing.assert_allclose(chance[x == end], (x == end).mean(), rtol=0.1)


def test_a_held_dose_is_an_atom() -> None:
    n = 50_000
    rng = np.random.default_rng(1)
    law = AmountLaw(np.full(n, RANDOMISED), np.full((n, 6), 0.5), np.full((n, 1), -0.3))
    nothing = np.zeros(n, bool)
    first, _ = law.draw(np.zeros((n, 1)), nothing, rng.random((n, 1, 4)))
    second, log_chance = law.draw(np.zeros((n, 1)), nothing, rng.random((n, 1, 4)))
    held = (first == second)[:, 0]
    np.testing.assert_allclose(np.exp(log_chance[held]), held.mean(), rtol=0.02)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(SpecError, match="shares of 0 or more"):
        Mixture(-0.1, 0.6, 0.5)
    with pytest.raises(UnknownNameError, match="unknown rule 'basal'"):
        collect(GLUCOSE, IDS, 0, behaviour={"basal": 1.0})
