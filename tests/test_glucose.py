"""Does the Glucose reference give the published equations' numbers, and the population its paper's?"""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from twingym.scenarios import get, hovorka
from twingym.scenarios.glucose_reference import (
    PRUNING_LEVEL,
    PRUNING_RATE,
    SENSITIVITY_EDGES,
    SENSOR_MEMORY,
    SENSOR_SPREAD,
    WEIGHT_EDGES,
    sensor_error,
)
from twingym.scenarios.hovorka import Body, Flow
from twingym.twins.noise import Stream, uniforms

STANDARD = np.array([51.2e-4, 8.2e-4, 520e-4]) * 0.4
# Grams and hour of each meal.
MEALS = ((45.0, 7), (70.0, 12), (15.0, 16), (80.0, 18), (10.0, 23))


@pytest.fixture
def body():
    return Body(np.array([70.0]), STANDARD[:, None])


@pytest.fixture(scope="module")
def scenario():
    return get("Glucose-v0")


def day(body, carb_ratio):
    """Per-minute glucose of the standard day: eaten at 5 g/min, boluses in the first minute of a meal."""
    state, flow, basal = hovorka.at_rest(115.0, body), Flow(body), hovorka.basal_rate(115.0, body)
    series = []
    for minute in range(24 * 60):
        eaten = sum(5.0 for grams, hour in MEALS if 60 * hour <= minute < 60 * hour + grams / 5.0)
        bolus = sum(grams / carb_ratio for grams, hour in MEALS if minute == 60 * hour) if carb_ratio else 0.0
        hovorka.advance(flow, state, np.array([eaten]), basal + 60.0 * bolus)
        series.append(float(hovorka.glucose(state, body)[0]))
    return np.array(series)


def test_basal_rates_to_the_printed_digits(body):
    assert hovorka.basal_rate(100.0, body)[0] == pytest.approx(0.9804, abs=5e-5)
    assert hovorka.basal_rate(115.0, body)[0] == pytest.approx(0.9510, abs=5e-5)


@pytest.mark.parametrize(
    ("carb_ratio", "mean", "least", "most", "in_range", "low"),
    [(10.0, 121.6, 69.5, 188.6, 92.8, 1.8), (None, 301.1, 115.0, 567.2, 32.2, 0.0)],
)
def test_the_standard_day_to_the_printed_digits(body, carb_ratio, mean, least, most, in_range, low):
    series = day(body, carb_ratio)
    assert series.mean() == pytest.approx(mean, abs=0.0501)
    assert series.min() == pytest.approx(least, abs=0.0501)
    assert series.max() == pytest.approx(most, abs=0.0501)
    assert 100 * ((series >= 70) & (series <= 180)).mean() == pytest.approx(in_range, abs=0.0501)
    assert 100 * (series < 70).mean() == pytest.approx(low, abs=0.0501)


def test_one_minute_steps_agree_with_an_adaptive_solver(body):
    state, flow = hovorka.at_rest(115.0, body), Flow(body)
    eaten, insulin = np.array([2.0]), np.array([6.0])

    def slope(_, y):
        return flow(y[:, None], eaten * hovorka.MMOL_PER_GRAM, insulin * 1000.0 / 60.0)[:, 0].copy()

    exact = solve_ivp(slope, (0.0, 60.0), state[:, 0], method="LSODA", rtol=1e-9, atol=1e-9).y[:, -1]
    hovorka.advance(flow, state, eaten, insulin, 60)
    np.testing.assert_allclose(state[:, 0], exact, rtol=1e-3, atol=1e-6)


def test_rest_is_rest(body):
    state, flow = hovorka.at_rest(140.0, body), Flow(body)
    hovorka.advance(flow, state, np.zeros(1), hovorka.basal_rate(140.0, body), 600)
    assert hovorka.glucose(state, body)[0] == pytest.approx(140.0, rel=1e-6)
    assert hovorka.steady_glucose(hovorka.basal_rate(140.0, body), body)[0] == pytest.approx(140.0, rel=1e-6)


def test_pruning_at_rest_equals_pruning_by_simulation(scenario):
    """The paper simulates 1,000 steps under 15 U/h from 160 mg/dL."""
    cohort = scenario.people.sample(np.arange(500))
    body = Body(cohort.traits["weight"], cohort.hidden["sensitivity"].T)
    # People who hardly answer to insulin, most of whom must go.
    weak = Body(body.weight, body.sensitivity * np.linspace(0.002, 0.2, 500))
    state = hovorka.at_rest(160.0, weak)
    hovorka.advance(Flow(weak), state, np.zeros(500), np.full(500, PRUNING_RATE), 1000)
    simulated = hovorka.glucose(state, weak) <= PRUNING_LEVEL
    at_rest = hovorka.steady_glucose(PRUNING_RATE, weak) <= PRUNING_LEVEL
    assert 50 < simulated.sum() < 450
    assert (simulated == at_rest).mean() > 0.93


def test_an_overdose_stays_finite(scenario):
    cohort = scenario.people.sample(np.arange(300))
    body = Body(cohort.traits["weight"], cohort.hidden["sensitivity"].T)
    state, flow = hovorka.at_rest(115.0, body), Flow(body)
    with np.errstate(over="raise", invalid="raise"):
        hovorka.advance(flow, state, np.zeros(300), np.minimum(128.0 * cohort.traits["basal"], 400.0), 24 * 60)
    assert (hovorka.glucose(state, body) < 40.0).all()


def test_bands_are_tertiles(scenario):
    traits = scenario.people.sample(np.arange(10_000)).traits
    thirds = (1 / 3, 2 / 3)
    np.testing.assert_allclose(np.quantile(traits["weight"], thirds), WEIGHT_EDGES, rtol=0.01)
    np.testing.assert_allclose(np.quantile(traits["basal"] / traits["weight"], thirds), SENSITIVITY_EDGES, rtol=0.01)
    for band in scenario.groups:
        np.testing.assert_allclose(np.bincount(traits[band].astype(int)) / 10_000, 1 / 3, atol=0.02)


def test_sensor_error_remembers_as_published(scenario):
    """Breton and Kovatchev 2008: correlation 0.7 over 15 minutes of what is transformed, spread of about 10 mg/dL."""
    reference, ids = scenario.reference(), np.arange(400)
    cohort, steps = scenario.people.sample(ids), 60
    state, observed = reference.initial(cohort, np.zeros((400, 2)), uniforms(1, ids, 0, Stream.DYNAMICS, 0, 2))
    errors = []
    for t in range(steps):
        noise = uniforms(1, ids, 0, Stream.DYNAMICS, t + 1, 2)
        state, observed = reference.step(state, cohort.traits["basal"][:, None], np.zeros((400, 2)), noise)
        errors.append(observed[:, 0] - observed[:, 1])
    errors = np.array(errors)
    lag = np.corrcoef(errors[3:].ravel(), errors[:-3].ravel())[0, 1]
    assert lag == pytest.approx(0.7, abs=0.03)
    assert pytest.approx(0.7) == SENSOR_MEMORY**3
    stationary = sensor_error(SENSOR_SPREAD * np.random.default_rng(0).normal(size=100_000))
    assert errors.std() == pytest.approx(stationary.std(), rel=0.1)


def test_meals_come_when_and_as_large_as_declared(scenario):
    ids = np.arange(400)
    inputs = scenario.draw_inputs(scenario.people.sample(ids), 0, np.zeros(400, dtype=int), 10 * 288)
    carbs, announced = inputs[..., 0], inputs[..., 1]
    expected = 0.95 * (45 + 70 + 80) + 0.3 * (10 + 10 + 10)
    assert carbs.sum(axis=1).mean() / 10 == pytest.approx(expected, rel=0.03)
    assert announced.sum(axis=1).mean() / 10 == pytest.approx(expected, rel=0.03)
    assert carbs.max() <= 50.0  # two meals at once at most, each at 5 g/min
    hour = (np.arange(10 * 288 + 1) * 5 / 60) % 24
    assert (announced[:, hour < 5] == 0).all()
    assert (announced[:, hour >= 23] == 0).all()


def test_insulin_is_bounded_per_person(scenario):
    insulin = scenario.interventions[0]
    traits = scenario.people.sample(np.arange(50)).traits
    ones = np.ones(50)
    np.testing.assert_array_equal(insulin.deliver(-ones, traits), 0.0)
    most = insulin.deliver(ones, traits)
    np.testing.assert_allclose(most, np.minimum(128.0 * traits["basal"], 400.0))
    amounts = 3.0 * traits["basal"]
    np.testing.assert_allclose(insulin.deliver(insulin.undo(amounts, traits), traits), amounts, rtol=1e-9)
