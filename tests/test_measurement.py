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
from twingym.twins import Cohort, Courses, FitConfig, TwinModel, Variable, dataset, fit_twin, people
from twingym.twins.errors import DynamicsError, SpecError
from twingym.twins.gate import crop, log_prob
from twingym.twins.measurement import TOGETHER_GAIN, Measurement
from twingym.twins.network import TwinNetwork
from twingym.twins.spec import TwinSpec

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
        chance = torch.sigmoid(untrained.network.measurement(hidden, tokens, batch.present))[..., 0]
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


def panel(*intermittent: bool) -> TwinSpec:
    """Values of which some are not always measured."""
    names = "xyz"[: len(intermittent)]
    values = (Variable(n, "u", -5.0, 5.0, change=0.5, intermittent=i) for n, i in zip(names, intermittent, strict=True))
    return TwinSpec(
        (), tuple(values), (), (Variable("give", kind="categorical", levels=("no", "yes")),), {}, 16, "panel"
    )


def visits(count: int, steps: int = 20, share: float = 0.3) -> Courses:
    """People whose x and y are measured together, in a share of the steps; y is x but for a little noise."""
    random, x = np.random.default_rng(count), np.zeros((count, steps + 1))
    x[:, 0] = random.normal(size=count)
    for t in range(steps):
        x[:, t + 1] = 0.8 * x[:, t] + 0.6 * random.normal(size=count)
    seen = random.random(x.shape) < share
    seen[:, 0] = True
    observed = np.where(seen[..., None], np.stack([x, x + 0.1 * random.normal(size=x.shape)], axis=-1), np.nan)
    none, unknown = np.zeros((count, steps, 1)), np.full((count, steps), np.nan)
    ids = np.concatenate([people("train", count - 60), people("validation", 60)])
    return Courses(ids, {}, observed, none, np.zeros((count, steps + 1, 0)), unknown, np.full(count, steps))


def simulated(model: TwinModel, count: int, steps: int, reveal: bool = False) -> np.ndarray:
    dynamics, random, none = model.dynamics(reveal=reveal), np.random.default_rng(1), np.zeros((count, 0))
    state, _ = dynamics.initial(Cohort(people("test", count), {}), none, random.random((count, dynamics.noise_width)))
    shown = []
    for _ in range(steps):
        state, seen = dynamics.step(state, np.zeros((count, 1)), none, random.random((count, dynamics.noise_width)))
        shown.append(seen)
    return np.stack(shown, axis=1)


@pytest.fixture(scope="module")
def visited():
    config = FitConfig(epochs=8, batches=40, batch_tokens=1500, ema=0.97)
    return fit_twin(visits(360), panel(True, True), None, config, SMALL)


def test_what_is_measured_together_is_as_likely_as_it_is_drawn():
    """Every pattern of three flags comes as often as its likelihood says, which is not the product of shares."""
    measurement, count = Measurement(panel(True, True, True), 2, 1), 40000
    torch.nn.init.zeros_(measurement.write.weight)
    measurement.write.bias.data = torch.tensor([-0.5, 0.2, 0.4])
    weights = [[9.0, 9.0, 9.0], [2.5, 9.0, 9.0], [-1.0, 2.0, 9.0]]  # only those below the diagonal count
    measurement.together.data = torch.tensor(weights) / TOGETHER_GAIN
    hidden, tokens = torch.zeros(count, 2), torch.zeros(count, 1)
    with torch.no_grad():
        u = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
        drawn = measurement.sample(hidden, tokens, u)
        patterns = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
        chances = measurement.log_prob(hidden[:8], tokens[:8], patterns).sum(-1).exp()
    assert float(chances.sum()) == pytest.approx(1.0, abs=1e-5)
    shares = (drawn[:, None] == patterns).all(-1).double().mean(0)
    torch.testing.assert_close(shares, chances.double(), atol=0.01, rtol=0.0)
    x, y = drawn[:, 0] > 0, drawn[:, 1]
    assert float(y[x].mean()) == pytest.approx(float(torch.sigmoid(torch.tensor(0.2 + 2.5))), abs=0.01)
    assert float(y[~x].mean()) == pytest.approx(float(torch.sigmoid(torch.tensor(0.2 - 2.5))), abs=0.01)


def test_values_of_a_visit_come_together(visited):
    x, y = np.moveaxis(np.isfinite(simulated(visited, 400, 20)), -1, 0)
    assert y[x].mean() > 0.97
    assert (x | y).mean() == pytest.approx(0.3, abs=0.04)


def test_a_value_that_was_not_measured_tells_that_and_nothing_else():
    network = TwinNetwork.untrained(panel(True, False), SMALL, seed=2).eval()
    batch = crop(dataset(visits(80, share=1.0), panel(True, False)), torch.arange(9), torch.zeros(9).long(), 12)
    tokens = network.tokens(batch.seen, batch.actions, batch.inputs, batch.traits)
    hidden, missing, changed = network.trunk(tokens), batch.present.clone(), batch.target.clone()
    missing[..., 0], changed[..., 0] = 0.0, 0.3
    as_zero = changed.clone()
    as_zero[..., 0] = 0.0

    def of_y(target, present):
        return network.log_prob(hidden, tokens, target, present, batch.seen.last)[..., 1]

    torch.testing.assert_close(of_y(changed, missing), of_y(batch.target, missing), atol=0.0, rtol=0.0)
    assert (of_y(changed, missing) - of_y(as_zero, batch.present)).abs().min() > 1e-6
    # A simulation knows what it drew: it tells of x as a record does that has it.
    told, last = network.told(batch.target[..., :1], 1, batch.seen.last), batch.seen.last
    recorded = network.recorded(batch.target, batch.present)
    torch.testing.assert_close(told, network.told(recorded[..., :1], 1, last))
    assert (told[..., -1] == 1.0).all()


@pytest.mark.slow
def test_what_is_seldom_measured_still_tells_of_what_is_measured_with_it():
    """y is x but for noise of 0.1, and x is measured in 30 % of steps: the two stay together where all is shown."""
    source = visits(560, share=1.0)
    gone = np.random.default_rng(9).random(source.observed.shape[:2]) >= 0.3
    gone[:, 0] = False
    source.observed[gone, 0] = np.nan
    config = FitConfig(epochs=40, batches=40, batch_tokens=2000)
    model = fit_twin(source, panel(True, False), None, config, SMALL)
    x, y = np.moveaxis(simulated(model, 800, 20, reveal=True), -1, 0)
    assert np.std(y - x) < 0.15


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


def test_whether_somebody_dies_is_not_told_by_whether_there_was_a_visit(scenario):
    """In a record nobody has a visit in the step of their death; in a simulation everybody has every value."""
    died = Variable("died", kind="event")
    network = TwinNetwork.untrained(replace(scenario.twin_spec(), variables=(*scenario.variables, died)), SMALL)
    k = len(network.distributions) - 1
    assert network.spec.modelled[k].kind == "event"
    assert network.intermittent
    values, last = torch.zeros(2, k), torch.zeros(2, k + 1)
    values[0, network.intermittent] = torch.nan  # a gap
    values[1, network.intermittent] = 0.7
    told = network.told(values, k, last)
    torch.testing.assert_close(told[0], told[1])
