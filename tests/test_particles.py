"""Is the particle filter's belief the exact one where that is known, whatever comes late or not at all?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from twingym.scenarios import get
from twingym.twins import Cohort, Variable, people
from twingym.twins.dynamics import ArrayDynamics
from twingym.twins.errors import SpecError, UnknownNameError
from twingym.twins.particles import ParticleFilter

KEEPS, GAIN, MOVES, ERROR, BIRTH = 0.9, 0.5, 0.3, 0.5, 1.0
LEVEL = (Variable("level", "mg/L", -50.0, 50.0),)


class LinearGaussian(ArrayDynamics):
    noise_width = 1

    def initial(self, cohort, inputs, noise):
        state = BIRTH * ndtri(noise.T)
        return state, state.T.copy()

    def step(self, state, action, inputs, noise):
        state = KEEPS * state + GAIN * action.T + MOVES * ndtri(noise.T)
        return state, state.T.copy()


def stream(count: int, steps: int):
    """Return actions (steps, N, 1) and readings (steps + 1, N, 1), a fifth of them missing."""
    random = np.random.default_rng(3)
    state = BIRTH * random.standard_normal((count, 1))
    actions, readings = random.standard_normal((steps, count, 1)), [state + ERROR * random.standard_normal(state.shape)]
    for action in actions:
        state = KEEPS * state + GAIN * action + MOVES * random.standard_normal(state.shape)
        readings.append(state + ERROR * random.standard_normal(state.shape))
    found = np.array(readings)
    found[random.random(found.shape) < 0.2] = np.nan
    return actions, found


def kalman(actions, readings):
    """Return exact means and variances after each reading, and the log evidence of all (Kalman 1960)."""
    mean, variance = np.zeros(readings.shape[1:]), np.full(readings.shape[1:], BIRTH**2)
    evidence, means, variances = np.zeros(len(mean)), [], []
    for t, reading in enumerate(readings):
        if t:
            mean, variance = KEEPS * mean + GAIN * actions[t - 1], KEEPS**2 * variance + MOVES**2
        known, total = np.isfinite(reading), variance + ERROR**2
        away = np.where(known, reading - mean, 0.0)
        evidence += (np.where(known, -0.5 * away**2 / total - 0.5 * np.log(2.0 * np.pi * total), 0.0)).sum(axis=1)
        share = np.where(known, variance / total, 0.0)
        mean, variance = mean + share * away, (1.0 - share) * variance
        means.append(mean)
        variances.append(variance)
    return np.array(means), np.array(variances), evidence


def begin(count: int, particles: int = 200, lag: int = 8) -> ParticleFilter:
    who = Cohort(people("test", count), {})
    none = np.zeros((count, 0))
    return ParticleFilter(LinearGaussian(), LEVEL, who, none, {"level": ERROR}, particles=particles, lag=lag, seed=1)


NONE = np.zeros((6, 0))


def test_belief_is_that_of_an_exact_kalman_filter():
    actions, readings = stream(6, 40)
    means, variances, evidence = kalman(actions, readings)
    belief = begin(6, particles=8000, lag=0)
    belief.assimilate(readings[0])
    for t, action in enumerate(actions):
        belief.step(action, NONE, readings[t + 1])
        np.testing.assert_allclose(belief.mean, means[t + 1], atol=0.04)
        np.testing.assert_allclose(belief.variance, variances[t + 1], rtol=0.25)
    np.testing.assert_allclose(belief.log_evidence, evidence, atol=0.6)
    assert np.std(evidence) > 1.0  # so that 0.6 says something


MOVING = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.05, 0.25, 0.7]])
RHYTHM = (Variable("rhythm", kind="categorical", levels=("a", "b", "c")),)
MISREAD = 0.3


class Chain(ArrayDynamics):
    noise_width = 1

    def initial(self, cohort, inputs, noise):
        state = np.minimum(np.floor(3.0 * noise.T), 2.0)
        return state, state.T.copy()

    def step(self, state, action, inputs, noise):
        edges = MOVING[state[0].astype(int)].cumsum(axis=1)
        state = (edges[:, :-1] < noise).sum(axis=1, keepdims=True).T.astype(float)
        return state, state.T.copy()


def test_belief_about_levels_is_that_of_an_exact_forward_filter():
    """Of a hidden Markov chain (Rabiner 1989, Proc. IEEE 77:257); estimates are the most probable levels."""
    random, count = np.random.default_rng(5), 6
    readings = random.integers(0, 3, (15, count, 1)).astype(float)
    readings[random.random(readings.shape) < 0.2] = np.nan
    belief = ParticleFilter(
        Chain(), RHYTHM, Cohort(people("test", count), {}), NONE, {"rhythm": MISREAD}, particles=20_000, lag=0
    )
    belief.assimilate(readings[0])
    chance, evidence = np.full((count, 3), 1.0 / 3.0), np.zeros(count)
    for t, reading in enumerate(readings):
        if t:
            belief.step(np.zeros((count, 0)), NONE, reading)
            chance = chance @ MOVING
        same = reading == np.arange(3)
        likely = np.where(np.isnan(reading), 1.0, np.where(same, 1.0 - MISREAD, MISREAD / 2.0))
        evidence += np.log((chance * likely).sum(axis=1))
        chance = chance * likely / (chance * likely).sum(axis=1, keepdims=True)
        found = [(belief.weight * (belief.particles[..., 0] == k)).sum(axis=1) for k in range(3)]
        np.testing.assert_allclose(np.transpose(found), chance, atol=0.02)
        clear = np.sort(chance)[:, -1] - np.sort(chance)[:, -2] > 0.05
        np.testing.assert_array_equal(belief.estimate[clear, 0], chance.argmax(axis=1)[clear])
    np.testing.assert_allclose(belief.log_evidence, evidence, atol=0.1)


def test_a_late_reading_leads_to_the_belief_of_a_punctual_one():
    actions, readings = stream(6, 20)
    punctual, late = begin(6), begin(6)
    for t, action in enumerate(actions):
        punctual.step(action, NONE, readings[t + 1])
        late.step(action, NONE, None if t % 3 else readings[t + 1])
        if t % 3 == 2:  # two readings at once, the older one last
            late.assimilate(readings[t + 1])
            late.assimilate(readings[t], late=1)
    late.assimilate(readings[20], late=0)
    np.testing.assert_allclose(late.mean, punctual.mean, rtol=1e-12)
    np.testing.assert_allclose(late.log_evidence, punctual.log_evidence, rtol=1e-12)


def test_company_does_not_matter():
    actions, readings = stream(6, 10)
    all_of_them, alone = begin(6), begin(1)
    for t, action in enumerate(actions):
        all_of_them.step(action, NONE, readings[t + 1])
        alone.step(action[:1], NONE[:1], readings[t + 1][:1])
    np.testing.assert_allclose(alone.mean[0], all_of_them.mean[0], rtol=1e-12)


def test_some_of_the_people_can_be_followed_on_without_the_others():
    """Late readings included, which put what was kept to use."""
    actions, readings = stream(6, 12)
    together, some, rows = begin(6), begin(6), np.array([4, 1])
    for t, action in enumerate(actions):
        if t == 6:
            some = some.take(rows)
        told = {2: readings[t - 1], 0: np.where(t % 3, readings[t + 1], np.nan)} if t > 1 and t % 3 == 2 else {}
        mine = rows if t >= 6 else slice(None)
        for belief, who in ((together, slice(None)), (some, mine)):
            belief.step(action[who], NONE[who])
            belief.take_in({late: reading[who] for late, reading in told.items()})
    np.testing.assert_array_equal(some.mean, together.mean[rows])
    np.testing.assert_array_equal(some.log_evidence, together.log_evidence[rows])


def test_impossible_readings_are_refused():
    belief = begin(6, lag=2)
    for _ in range(4):
        belief.step(np.zeros((6, 1)), NONE, np.zeros((6, 1)))
    with pytest.raises(SpecError, match=r"late is 3 steps; allowed: 0 to 2, by the filter's lag of 2"):
        belief.assimilate(np.zeros((6, 1)), late=3)
    with pytest.raises(SpecError, match="was read already 1 steps ago"):
        belief.assimilate(np.zeros((6, 1)), late=1)
    with pytest.raises(SpecError, match=r"reading has shape \(1, 1\); allowed: \(6, 1\)"):
        belief.assimilate(np.zeros((1, 1)))
    with pytest.raises(SpecError, match=r"error is \{\}, so that no reading would count; allowed: one or more of"):
        ParticleFilter(LinearGaussian(), LEVEL, Cohort(people("test", 1), {}), NONE[:1], {})
    with pytest.raises(SpecError, match=r"particles is 2.5; allowed: a whole number, 2 or more"):
        begin(1, particles=2.5)
    with pytest.raises(UnknownNameError, match="level"):
        ParticleFilter(LinearGaussian(), LEVEL, Cohort(people("test", 1), {}), NONE[:1], {"levle": 1.0})
    with pytest.raises(SpecError, match="error of 'level' is 0 mg/L; allowed: more, or hardly a particle"):
        ParticleFilter(LinearGaussian(), LEVEL, Cohort(people("test", 1), {}), NONE[:1], {"level": 0.0})


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e200, -50.5])
def test_a_reading_that_cannot_be_is_refused_and_changes_nothing(value):
    belief, reading = begin(6), np.full((6, 1), 1.0)
    belief.step(np.zeros((6, 1)), NONE)
    mean, reading[2] = belief.mean, value
    told = rf"reading of 'level' of person {people('test', 6)[2]} is .*; allowed: -50 to 50 mg/L, or NaN where nothing"
    with pytest.raises(SpecError, match=told):
        belief.assimilate(reading)
    with pytest.raises(SpecError, match=told):
        belief.step(np.zeros((6, 1)), NONE, reading)
    assert belief.t == 1
    np.testing.assert_array_equal(belief.mean, mean)
    reading[2] = np.nan
    belief.assimilate(reading)
    assert np.isfinite(belief.mean).all()


@pytest.mark.parametrize(("lag", "steps"), [(0, 0), (0, 2), (8, 0), (8, 2)])
def test_a_reading_counts_once(lag, steps):
    belief, reading = begin(6, lag=lag), np.full((6, 1), 1.0)
    belief.assimilate(reading)
    for _ in range(steps):
        belief.step(np.zeros((6, 1)), NONE, reading)
    with pytest.raises(SpecError, match=r"variable 'level' of person .* was read already 0 steps ago"):
        belief.assimilate(reading)
    with pytest.raises(SpecError, match="read already"):
        belief.take(np.array([3])).assimilate(reading[:1])


def test_a_late_reading_of_birth_is_told_when_it_should_have_come():
    belief = begin(6, lag=8)
    for late, steps in ((3, 0), (1, 1)):
        with pytest.raises(
            SpecError, match=rf"late is {late} steps; allowed: 0 to 0, after {steps} steps; a reading of"
        ):
            belief.assimilate(np.zeros((6, 1)), late=late)
        belief.step(np.zeros((6, 1)), NONE)


def test_a_twin_model_kept_in_step_beats_its_noisy_readings():
    """Glucose: plasma-like truth from the twin itself, readings with an error of 30 mg/dL."""
    from twingym.envs.behaviour import collect
    from twingym.envs.dynamics import resolve

    scenario = get("Glucose-v0")
    model = resolve(scenario, "transformer")
    courses = collect(scenario, people("test", 6), 2, horizon=36, dynamics=model)
    readings = courses.observed[..., :1] + 30.0 * np.random.default_rng(0).standard_normal((6, 37, 1))
    readings = np.clip(readings, scenario.variables[0].low, scenario.variables[0].high)
    who = Cohort(courses.ids, courses.traits)
    belief = ParticleFilter(
        model, scenario.variables, who, courses.inputs[:, 0], {"cgm": 30.0}, particles=64, lag=0, seed=9
    )
    errors = []
    for t in range(36):
        reading = np.full((6, len(scenario.variables)), np.nan)
        reading[:, 0] = readings[:, t + 1, 0]
        belief.step(courses.delivered[:, t], courses.inputs[:, t], reading)
        truth = courses.observed[:, t + 1, 0]
        errors.append([np.square(belief.mean[:, 0] - truth), np.square(reading[:, 0] - truth)])
    believed, read = np.sqrt(np.nanmean(np.array(errors)[12:], axis=(0, 2)))
    assert believed < 0.6 * read


def smoothed(actions, readings):
    """Return exact means and variances of all times, given all readings (Rauch, Tung and Striebel 1965)."""
    means, variances, _ = kalman(actions, readings)
    found, spread = [means[-1]], [variances[-1]]
    for t in range(len(actions) - 1, -1, -1):
        ahead, between = KEEPS * means[t] + GAIN * actions[t], KEEPS**2 * variances[t] + MOVES**2
        gain = KEEPS * variances[t] / between
        found.append(means[t] + gain * (found[-1] - ahead))
        spread.append(variances[t] + gain**2 * (spread[-1] - between))
    return np.array(found[::-1]), np.array(spread[::-1])


@pytest.mark.parametrize("lag", [0, 3])
def test_drawn_pasts_are_those_of_an_exact_smoother_whatever_came_late(lag):
    """Also the correlation of neighbours, which single times do not show."""
    actions, readings = stream(6, 12)
    means, variances = smoothed(actions, readings)
    who, none = Cohort(people("test", 6), {}), np.zeros((6, 0))
    settings = {"particles": 20_000, "lag": lag, "seed": 1, "pasts": True}
    belief = ParticleFilter(LinearGaussian(), LEVEL, who, none, {"level": ERROR}, **settings)
    belief.assimilate(readings[0])
    for t, action in enumerate(actions):
        late = lag and t % 4 in (1, 2)
        belief.step(action, NONE, None if late else readings[t + 1])
        if lag and t % 4 == 3:
            belief.take_in({1: readings[t], 2: readings[t - 1]})
    drawn = belief.drawn_pasts(4000)[..., 0]  # (N, S, t + 1)
    np.testing.assert_allclose(drawn.mean(axis=1).T, means[..., 0], atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=1).T, variances[..., 0], rtol=0.25)
    moves = np.diff(drawn, axis=2).var(axis=1)  # (N, t): of independent times it would be the sum of both variances
    assert (moves < 0.9 * (variances[1:, :, 0] + variances[:-1, :, 0]).T).all()
    some = belief.take(np.array([4, 1])).drawn_pasts(50)
    np.testing.assert_array_equal(some, belief.drawn_pasts(50)[[4, 1]])


def test_a_filter_that_kept_no_pasts_says_how_to_keep_them():
    with pytest.raises(SpecError, match="pasts=True"):
        begin(2).drawn_pasts(3)
