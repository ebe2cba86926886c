"""Is a value that is not always measured simulated as it was recorded: when, in whom, and what then?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.test_backbones import SMALL

from twingym.envs import TwinVectorEnv
from twingym.envs.behaviour import collect
from twingym.scenarios import get
from twingym.twins import FitConfig, TwinModel, Variable, dataset, fit_twin, people
from twingym.twins.errors import DynamicsError, SpecError
from twingym.twins.gate import crop, log_prob
from twingym.twins.network import TwinNetwork

WARD = Path(__file__).with_name("ward_scenario.py")


@pytest.fixture(scope="module")
def scenario():
    return get(str(WARD))


@pytest.fixture(scope="module")
def untrained(scenario):
    return TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})


def test_policies_see_whether_a_value_was_measured(scenario):
    env = TwinVectorEnv(scenario, 64, dynamics="reference", autoreset="disabled")
    observations, _ = env.reset(seed=1)
    names = env.layout.names
    assert names[-3:] == ("lactate", "lactate_measured", "pressure")
    for _ in range(5):
        observations, reward, *_ = env.step(np.zeros(64, dtype=np.int64))
        assert np.isfinite(observations).all()
        assert np.isfinite(reward).all()
        flag, value = observations[:, -2], observations[:, -3]
        missing = np.isnan(env.observed[:, 0])
        assert 0 < missing.sum() < 64
        np.testing.assert_array_equal(flag < 0.0, missing)
        np.testing.assert_array_equal(value[missing], 0.0)
        back = env.layout.decode(observations)["lactate"]
        np.testing.assert_allclose(back, env.observed[:, 0], atol=1e-5)


def test_a_variable_that_is_always_measured_may_not_be_missing(scenario):
    always = replace(scenario, variables=tuple(replace(v, intermittent=False) for v in scenario.variables))
    env = TwinVectorEnv(always, 64, dynamics="reference", autoreset="disabled")
    env.reset(seed=1)
    with pytest.raises(DynamicsError, match="'lactate' is nan for twin"):
        env.step(np.zeros(64, dtype=np.int64))


def test_what_is_not_measured_is_neither_shown_nor_remembered(untrained, scenario):
    torch.nn.init.zeros_(untrained.network.measurement.write.weight)
    dynamics, cohort, none = untrained.dynamics(), scenario.people.sample(np.arange(50)), np.zeros((50, 0))
    random = np.random.default_rng(0)
    state, seen = dynamics.initial(cohort, none, random.random((50, dynamics.noise_width)))
    last, age = np.where(np.isnan(seen[:, 0]), np.nan, seen[:, 0]), np.isnan(seen[:, 0]).astype(float)
    for _ in range(6):
        state, seen = dynamics.step(state, np.zeros((50, 1)), none, random.random((50, dynamics.noise_width)))
        here = np.isfinite(seen[:, 0])
        assert 5 < here.sum() < 45
        assert np.isfinite(seen[:, 1]).all()
        last, age = np.where(here, seen[:, 0], last), np.where(here, 0.0, age + 1.0)
        np.testing.assert_array_equal(state.seen.age[:50, 0], age)
        held = untrained.spec.modelled[0].from_unit(state.seen.last[:50, 0].double().numpy())
        np.testing.assert_allclose(held, last, atol=1e-6)


def test_what_was_recorded_is_as_likely_as_what_is_simulated_says(untrained, scenario):
    """The likelihood of being measured is the chance that simulation uses, and nothing is learned after the end."""
    courses = collect(scenario, people("train", 20), seed=2)
    data = dataset(courses, scenario.twin_spec())
    rows = torch.arange(20)
    batch = crop(data, rows, torch.zeros_like(rows), data.target.shape[1])
    tokens = untrained.network.tokens(batch.seen, batch.actions, batch.inputs, batch.traits)
    hidden = untrained.network.trunk(tokens)
    values = untrained.network.log_prob(hidden, tokens, batch.target, batch.present, batch.seen.last)
    with torch.no_grad():
        extra = log_prob(untrained.network, batch) - values
        chance = torch.sigmoid(untrained.network.measurement(hidden, tokens))[..., 0]
        cut = log_prob(untrained.network, replace(batch, length=torch.full((20,), 10))) - values
    expected = torch.where(batch.present[..., 0] > 0, chance, 1.0 - chance).log()
    torch.testing.assert_close(extra[..., 0], expected.expand(extra.shape[:-1]), atol=1e-5, rtol=1e-4)
    assert (extra[..., 1] == 0.0).all()
    torch.testing.assert_close(cut[:, :, :10], extra[:, :, :10])
    assert (cut[:, :, 10:].abs() < 1e-6).all()


def test_nothing_changes_where_everything_is_measured():
    for name in ("Glucose-v0", "Retention-v0"):
        network = TwinNetwork.untrained(get(name).twin_spec(), SMALL)
        assert network.measurement is None
        assert not any("measurement" in key for key in network.state_dict())


def test_what_must_always_be_known_cannot_be_intermittent():
    for kind in (
        {"kind": "event"},
        {"kind": "binary", "absorbing": True},
        {"kind": "count", "high": 9.0, "recurrent": True},
    ):
        with pytest.raises(SpecError, match="intermittent is True"):
            Variable("x", intermittent=True, **kind)
    spec = get("Retention-v0").twin_spec()
    seldom = replace(spec, variables=(*spec.variables, Variable("mood", intermittent=True)))
    with pytest.raises(SpecError, match="'mood': intermittent is True beside recurrent counts"):
        TwinNetwork.untrained(seldom, SMALL)


@pytest.mark.slow
def test_measured_as_often_in_everybody_and_as_much_as_was_recorded(scenario):
    """Informative missingness: rates differ by ward, treatment and severity, and measured values are no fair sample."""
    source = collect(scenario, np.concatenate([people("train", 1200), people("validation", 100)]), seed=1)
    config = FitConfig(epochs=16, batches=60, batch_tokens=3000)
    model = fit_twin(source, scenario.twin_spec(), None, config, SMALL)
    ids = people("test", 800)
    truth, mine = (collect(scenario, ids, seed=5, dynamics=d) for d in ("reference", model.dynamics()))

    def told(courses):
        lactate = courses.observed[:, 1:, 0]
        here, ward = np.isfinite(lactate), courses.traits["ward"]
        treated = courses.delivered[..., 0] > 0
        known = courses.observed[:, :-1, 0]
        rates = [here[ward == w].mean() for w in (0, 1)]
        rates += [here[known < 3.0].mean(), here[known > 4.0].mean()]
        rates += [here[treated == given].mean() for given in (False, True)]
        return np.array(rates), np.array([np.nanmean(lactate[ward == w]) for w in (0, 1)]), np.nanstd(lactate)

    (rates, means, spread), (of_mine, my_means, my_spread) = told(truth), told(mine)
    assert rates[1] > rates[0] + 0.15  # the wards differ, or the test would tell nothing
    assert rates[3] > rates[2] + 0.1
    np.testing.assert_allclose(of_mine, rates, atol=0.035)
    np.testing.assert_allclose(my_means, means, atol=0.15)
    assert my_spread == pytest.approx(spread, rel=0.07)
