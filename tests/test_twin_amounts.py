"""Does a twin model know how large a person's amounts are as Gamma-Gamma says, and draw them so?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from twingym.evaluation.fidelity.replay import bring, record
from twingym.scenarios import get
from twingym.twins import TwinModel, Variable, dataset, people
from twingym.twins.amounts import EventAmounts, Purse
from twingym.twins.errors import SpecError
from twingym.twins.network import TwinNetwork
from twingym.twins.scales import Scale
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=2, attention_heads=2, head_width=8, ensemble=3, ensemble_width=8)
DOLLARS = Scale("log", 0.0, 1000.0, 10.0)
PEOPLE, HEADS, TRAITS = 12, 2, 3


@pytest.fixture(scope="module")
def draw():
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def amounts(draw):
    made = EventAmounts((DOLLARS,), TRAITS, HEADS).double().requires_grad_(False)
    for parameter in made.parameters():
        parameter += 0.2 * draw(*parameter.shape)
    made.log_shape += 1.5
    made.log_prior[..., 0] += 0.7
    return made


def courses(draw, steps=15):
    """Effects, events and values of a few steps with an event, and others without."""
    events = torch.poisson(draw(PEOPLE, steps, 1).clamp_min(0.0))
    value = torch.where(events > 0.0, (0.3 * draw(PEOPLE, steps, 1)).clamp(-0.9, 0.9), -1.0)
    return 0.3 * draw(PEOPLE, steps, HEADS, 1), events, value


def test_what_is_expected_of_a_person_is_what_fader_and_hardie_give(amounts):
    """Expected mean amount p (gamma + x m) / (p x + q - 1) after x events of mean amount m, here in dollars."""
    p, (q, gamma) = float(amounts.log_shape[0, 0].exp()), (float(x) for x in amounts.log_prior[0, 0].exp())
    x, mean, nothing = 4.0, 23.0, torch.zeros(1, TRAITS).double()
    value = torch.from_numpy(np.atleast_2d(DOLLARS.to_unit(np.array([x * mean]))))
    empty = Purse.empty(1, HEADS, 1).each(torch.Tensor.double)
    events = torch.full((1, 1), x).double()
    purse = amounts.take_in(empty, torch.zeros(1, HEADS, 1), events, value)
    shape, rate = (float(t[0, 0, 0]) for t in amounts.posterior(purse, nothing))
    expected = 10.0 * p * rate / (shape - 1.0)
    assert expected == pytest.approx(p * (10.0 * gamma + x * mean) / (p * x + q - 1.0), rel=1e-6)


@pytest.mark.parametrize("before", [0, 3])
def test_density_and_draws_are_of_one_distribution(amounts, draw, before):
    """On the scale, after some events, for two events in a treated step, against one million quantiles."""
    traits, effect, value = draw(1, TRAITS), torch.tensor([0.4, -0.2]).double(), torch.linspace(-0.999, 0.999, 4001)
    first = torch.full((4001, 1, 1), before).double()
    grid = torch.cat([torch.full((4001, 1, 1), 0.1), value[:, None, None]], dim=1).double()
    events = torch.cat([first, torch.full_like(first, 2.0)], dim=1)
    effects = torch.stack([torch.zeros(HEADS), effect]).double()[None, ..., None].expand(4001, -1, -1, -1)
    density = amounts.log_prob(effects, events, grid, traits.expand(4001, 2, TRAITS))[:, 1, :, 0].exp()  # (G, M)
    below = torch.cumulative_trapezoid(density, value.double(), dim=0)
    np.testing.assert_allclose(below[-1], 1.0, atol=5e-3)

    luck = 40_000
    purse = amounts.take_in(
        Purse.empty(1, HEADS, 1).each(torch.Tensor.double), effects[:1, 0], events[:1, 0], grid[:1, 0]
    ).each(lambda tensor: tensor.expand(luck, *tensor.shape[1:]))
    u = torch.rand(2, luck, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for head in range(HEADS):
        bound = torch.full((luck,), head)
        size = amounts.draw_sizes(purse, traits.expand(luck, TRAITS), bound, u[:1].T)[:, 0]
        drawn = amounts.draw(0, bound, torch.full((luck,), 2.0).double(), size * effect[head].exp(), u[1])
        share = (drawn[:, None] <= value[500::500]).double().mean(0)
        np.testing.assert_allclose(share, below[499::500, head][: len(share)], atol=0.012)


def test_whole_courses_have_the_likelihood_of_their_steps(amounts, draw):
    effect, events, value = courses(draw)
    traits = draw(PEOPLE, TRAITS)
    whole = amounts.log_prob(effect, events, value, traits[:, None].expand(-1, 15, -1))
    purse = Purse.empty(PEOPLE, HEADS, 1).each(torch.Tensor.double)
    for t in range(15):
        # A course of two steps, of which the first stands for all before.
        shape, rate = amounts.posterior(purse, traits)
        own, amount = amounts.log_shape.exp() * events[:, t, None].clamp_min(1.0), amounts.amount(value[:, t])[:, None]
        fair = torch.distributions.FisherSnedecor(2.0 * own, 2.0 * shape)
        unit = rate * own / shape * effect[:, t].exp()  # of F, since its halves have mean 1
        stretch = 0.5 * (value[:, t, None] + 1.0) * amounts.spans[0] + np.log(0.5 * amounts.spans[0])
        wanted = fair.log_prob((amount / unit).clamp_min(1e-9)) - unit.log() + stretch
        some = (events[:, t] > 0.0)[:, None].expand_as(wanted)
        np.testing.assert_allclose(whole[:, t][some], wanted[some], atol=1e-8)
        assert (whole[:, t][~some] == 0.0).all()
        purse = amounts.take_in(purse, effect[:, t], events[:, t], value[:, t])


def test_events_that_came_to_nothing_and_steps_without_tell_nothing(amounts, draw):
    effect, events, value = courses(draw)
    traits = draw(PEOPLE, 1, TRAITS).expand(-1, 15, -1)
    free = value.clone()
    free[:, 4] = -1.0  # given away
    gone = events.clone()
    gone[:, 4] = 0.0
    torch.testing.assert_close(
        amounts.log_prob(effect, events, free, traits), amounts.log_prob(effect, gone, value, traits)
    )


@pytest.fixture(scope="module")
def scenario():
    return get("Retention-v0")


@pytest.fixture(scope="module")
def network(scenario):
    made = TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval()
    torch.nn.init.normal_(made.wide.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    return made


@torch.inference_mode()
def test_a_known_past_fills_the_purse_and_simulation_goes_on_filling_it(scenario, network):
    stops, none = np.full(200, 30), np.zeros((200, 0))
    courses = record(scenario, people("train", 200), 3, 31, scenario.fidelity).courses
    courses.observed[::2, 5:9, 1] = np.nan  # dollars unknown
    dynamics = TwinModel(network, {}).dynamics()
    state = bring(scenario, dynamics, courses, stops, 3)
    bought, spent = courses.observed[:, :31, 0], courses.observed[:, :31, 1]
    events, purse = np.where(np.isnan(spent), 0.0, bought).sum(1), state.people.belief.purse
    np.testing.assert_array_equal(purse.events[:, 0], events)
    untreated = (courses.delivered[:, :30, 0] == 0.0) | (bought[:, 1:] == 0.0)
    rows = untreated.all(1)
    assert rows.sum() > 20
    np.testing.assert_allclose(purse.total[rows, 0, 0], np.nansum(spent, axis=1)[rows] / 10.0, rtol=1e-3)

    noise = np.random.default_rng(0).random((200, dynamics.noise_width))
    state, observed = dynamics.step(state, np.zeros((200, 1)), none, noise)
    assert ((observed[:, 1] > 0.0) == (observed[:, 0] > 0.0)).all()
    assert (observed[:, 0] > 0.0).any()
    np.testing.assert_array_equal(state.people.belief.purse.events[:, 0], events + observed[:, 0])


@torch.inference_mode()
def test_what_was_spent_is_likely_as_the_purse_says_and_nothing_else(scenario, network):
    """The likelihood of dollars does not change with earlier treatment; that of counts does not with dollars."""
    data = dataset(record(scenario, people("train", 60), 4, 30, scenario.fidelity).courses, scenario.twin_spec())
    tokens = network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])
    spent = data.target[..., 1] > -1.0
    scores = network.log_prob(network.trunk(tokens), tokens, data.target, data.present, data.seen.last)
    assert (scores[..., 1] != 0.0).equal(spent.expand(SMALL.ensemble, -1, -1))
    other = tokens + 0.5 * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(1))
    other[..., network.layout._marks] = 0.0
    other[..., -network.layout._traits :] = tokens[..., -network.layout._traits :]
    untreated = tokens.clone()
    untreated[..., network.layout._marks] = 0.0
    first, second = (
        network.log_prob(network.trunk(t), t, data.target, data.present, data.seen.last)[..., 1]
        for t in (untreated, other)
    )
    torch.testing.assert_close(first, second)


def test_amounts_belong_to_a_recurrent_count_declared_before(scenario):
    with pytest.raises(SpecError, match=r"amount_of is 'visits'; allowed: a recurrent count declared before"):
        replace(
            scenario,
            variables=tuple(replace(v, amount_of="visits") if v.name == "spend" else v for v in scenario.variables),
        )
    with pytest.raises(SpecError, match="only on continuous variables on a log scale from 0"):
        Variable("spend", "dollars", 0.0, 10.0, amount_of="purchases")
