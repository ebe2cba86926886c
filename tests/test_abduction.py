"""Does abduction find the luck that people had, and is the counterfactual nearer the truth than a forecast?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from twingym.envs.dynamics import resolve
from twingym.evaluation.fidelity.replay import record, step_noise
from twingym.scenarios import get
from twingym.twins import Cohort, TwinModel, Variable, people
from twingym.twins.abduction import ASSUMPTION, counterfactual
from twingym.twins.courses import Courses
from twingym.twins.decode import TransformerDynamics
from twingym.twins.errors import ActionError, DynamicsError
from twingym.twins.network import TwinNetwork
from twingym.twins.spec import TwinSpec
from twingym.twins.transformer_config import TransformerConfig

SINCE, STEPS, SEED = 36, 60, 3


@pytest.fixture(scope="module")
def scenario():
    return get("Glucose-v0")


@pytest.fixture(scope="module")
def model(scenario):
    return resolve(scenario, "transformer")


@pytest.fixture(scope="module")
def courses(scenario) -> Courses:
    return record(scenario, people("test", 16), SEED, STEPS, scenario.fidelity).courses


def test_the_same_treatment_gives_the_recorded_course(model, courses):
    same = counterfactual(model, courses, SINCE, courses.delivered)
    np.testing.assert_array_equal(same[..., 0], courses.observed[..., 0])
    late = courses.delivered.copy()
    late[:, SINCE + 12 :] += 1.0
    np.testing.assert_array_equal(
        counterfactual(model, courses, SINCE, late)[:, : SINCE + 13, 0], courses.observed[:, : SINCE + 13, 0]
    )


def test_luck_leads_to_what_was_recorded(model, courses):
    """A difference in treatment that is none to speak of leaves everybody where they were."""
    hardly = courses.delivered + 1e-9
    nearly = counterfactual(model, courses, SINCE, hardly)
    np.testing.assert_allclose(nearly[..., 0], courses.observed[..., 0], atol=0.5)  # mg/dL; luck is float32


def test_it_is_nearer_to_what_would_have_been_than_a_forecast(scenario, model, courses):
    """The reference can be asked: the same luck, and half a dose more from SINCE on."""
    other = courses.delivered.copy()
    other[:, SINCE:] *= 1.5
    truth = lived(scenario, courses, other)
    abducted = counterfactual(model, courses, SINCE, other)[:, SINCE + 1 :, 0]
    forecast = np.mean([forecast_of(model, courses, other, s) for s in range(1, 5)], axis=0)

    def error(values):
        return np.sqrt(np.nanmean((values - truth) ** 2))

    assert error(abducted) < 0.7 * error(forecast)
    assert counterfactual(model, courses, SINCE, other)[:2].assumption == ASSUMPTION


def lived(scenario, courses, delivered):
    dynamics = scenario.reference()
    cohort = scenario.people.sample(courses.ids)
    state, _ = dynamics.initial(cohort, courses.inputs[:, 0], step_noise(dynamics, courses.ids, SEED, 0))
    shown = []
    for t in range(STEPS):
        noise = step_noise(dynamics, courses.ids, SEED, t + 1)
        state, seen = dynamics.step(state, delivered[:, t], courses.inputs[:, t], noise)
        shown.append(seen[:, 0])
    return np.stack(shown, axis=1)[:, SINCE:]


def forecast_of(model, courses, delivered, luck: int):
    from twingym.evaluation.fidelity.replay import bring

    state = bring(get("Glucose-v0"), model, courses, np.full(len(courses), SINCE), luck)
    shown = []
    for t in range(SINCE, STEPS):
        noise = step_noise(model, courses.ids, luck, t + 1)
        state, seen = model.step(state, delivered[:, t], courses.inputs[:, t], noise)
        shown.append(seen[:, 0])
    return np.stack(shown, axis=1)


def test_luck_of_levels_and_counts_is_found_too():
    """Within the probability of what was observed any luck would do, and it is drawn from there."""
    kinds = (
        Variable("mood", kind="categorical", levels=("bad", "fair", "good")),
        Variable("calls", "", 0.0, 9.0, kind="count"),
        Variable("dose", "mg", 0.0, 50.0, scale="log", knee=1.0),
        Variable("level", "mg/L", 0.0, 10.0),
    )
    spec = TwinSpec((), kinds, (), (Variable("give", "mg", 0.0, 1.0),), {}, 8, "none")
    sizes = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
    model, count = TwinModel(TwinNetwork.untrained(spec, sizes), {}).dynamics(), 400
    noise = np.random.default_rng(0).uniform(size=(3, count, model.noise_width))
    give, none = np.full((count, 1), 0.5), np.zeros((count, 0))
    state, _ = model.initial(Cohort(np.arange(count), {}), none, noise[0])
    before = model.take(state, np.arange(count))
    _, seen = model.step(model.take(state, np.arange(count)), give, none, noise[1])
    found = model.abducted(model.take(before, np.arange(count)), give, none, seen, noise[2])
    _, again = model.step(before, give, none, found)
    # Between the components of a mixture the cdf is flat: there single precision does not tell values apart by luck.
    assert np.isclose(again, seen, rtol=1e-3, atol=1e-3).mean() > 0.998
    for column in found[:, 1:].T:
        assert kstest(column, "uniform").pvalue > 1e-3
    level = np.isclose(found[:, 4], noise[1][:, 4], atol=1e-3)
    assert level[(seen[:, 3] > 0.0) & (seen[:, 3] < 10.0)].all()


def ward(*, gaps: float) -> tuple[TransformerDynamics, Courses]:
    """A network for values that are not always measured, and courses with gaps; both know nothing of each other."""
    values = (
        Variable("x", "u", -5.0, 5.0, change=0.5, intermittent=True),
        Variable("kind", kind="categorical", levels=("a", "b", "c"), intermittent=True),
        Variable("y", "u", -5.0, 5.0, change=0.5),
    )
    spec = TwinSpec((), values, (), (Variable("give", "mg", 0.0, 1.0),), {}, 8, "ward")
    sizes = TransformerConfig(width=16, layers=1, attention_heads=2, head_width=8, ensemble=2, ensemble_width=8)
    network, random, count, steps = TwinNetwork.untrained(spec, sizes, seed=1), np.random.default_rng(0), 60, 12
    torch.nn.init.normal_(network.measurement.together, std=0.1, generator=torch.Generator().manual_seed(0))
    for head in network.trunk.heads:  # what was just drawn matters much, in an untrained network it hardly would
        head.earlier[1].weight.data *= 4.0
    x = 0.5 * random.normal(size=(count, steps + 1)).cumsum(axis=1)
    observed = np.stack([x, random.integers(0, 3, x.shape), x + 0.2 * random.normal(size=x.shape)], axis=-1)
    observed[..., :2][random.random((*x.shape, 2)) < gaps] = np.nan
    give, unknown = (random.random((count, steps, 1)) < 0.3).astype(float), np.full((count, steps), np.nan)
    none = np.zeros((count, steps + 1, 0))
    return TransformerDynamics(network), Courses(
        people("test", count), {}, np.clip(observed, -4.9, 4.9), give, none, unknown, np.full(count, steps)
    )


@pytest.mark.parametrize("reveal", [False, True])
def test_gaps_come_back_as_gaps_and_values_as_they_were(reveal):
    """To the digit under the same treatment; under one that hardly differs, by the luck that was found."""
    dynamics, known = ward(gaps=0.6)
    dynamics.reveal = reveal
    same = counterfactual(dynamics, known, 3, known.delivered)
    nearly = counterfactual(dynamics, known, 3, known.delivered + 1e-9)
    here = np.isfinite(known.observed)
    np.testing.assert_array_equal(same[here], known.observed[here])
    if not reveal:
        np.testing.assert_array_equal(np.isnan(same), ~here)
        assert (np.isnan(nearly) == ~here).mean() > 0.999
    apart = np.abs(nearly - known.observed)[here]
    assert (apart < 0.01).mean() > 0.998  # luck is float32


def test_what_cannot_be_asked_is_refused():
    dynamics, known = ward(gaps=0.2)
    for since in (-1, 12, 99):
        with pytest.raises(DynamicsError, match=f"since is step {since}; allowed: 0 to 11"):
            counterfactual(dynamics, known, since, known.delivered)
    with pytest.raises(ActionError, match=r"delivered has shape \(60, 5, 1\); allowed: \(60, 12, 1\)"):
        counterfactual(dynamics, known, 3, known.delivered[:, :5])
    for amount in (-0.5, np.nan):
        less = known.delivered.copy()
        less[4, 7] = amount
        with pytest.raises(ActionError, match=f"'give' is {amount:g} mg in row 4, step 7; allowed: finite, from 0 mg"):
            counterfactual(dynamics, known, 3, less)
        counterfactual(dynamics, known, 8, less)
    reference = get("Glucose-v0").reference()
    with pytest.raises(DynamicsError, match=f"a twin model.* this is {type(reference).__name__}"):
        counterfactual(reference, known, 3, known.delivered)


def test_hidden_habits_are_refused():
    scenario = get("Retention-v0")
    known = record(scenario, people("test", 2), 0, 4, scenario.fidelity).courses
    with pytest.raises(DynamicsError, match="no counterfactuals of purchases, spend, visits"):
        counterfactual(resolve(scenario, "transformer"), known, 1, known.delivered)
