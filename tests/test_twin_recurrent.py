"""Is what a twin model believes of people who come back, or have left, Bayes' rule?"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from twingym.evaluation.fidelity.replay import bring, record, step_noise
from twingym.scenarios import get
from twingym.scenarios.retention.reference import Constants
from twingym.twins import FitConfig, TwinModel, dataset, people
from twingym.twins.draw import Draw
from twingym.twins.every_head import EveryHead
from twingym.twins.network import TwinNetwork
from twingym.twins.quick_tally import CountTable, QuickTally
from twingym.twins.recurrent import Belief, Counted, RecurrentEvents, Tally
from twingym.twins.regulars import Occasion, Regulars
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=2, attention_heads=2, head_width=8, ensemble=3, ensemble_width=8)
MOST = (12, 15)
PEOPLE, HEADS, TRAITS = 20, 2, 3


@pytest.fixture(scope="module")
def draw():
    generator = torch.Generator().manual_seed(7)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def events(draw):
    made = RecurrentEvents(MOST, TRAITS, HEADS).double().requires_grad_(False)
    for parameter in made.parameters():
        parameter += 0.3 * draw(*parameter.shape)
    made.log_top -= 1.5
    return made


@pytest.fixture(scope="module")
def middle(draw):
    """Beliefs in the midst of courses, effects of the next step, and traits."""
    counted = torch.poisson(2.0 * draw(PEOPLE, len(MOST)).abs())
    exposure = 20.0 * draw(PEOPLE, HEADS, len(MOST)).abs()
    odds = 2.0 * draw(PEOPLE, HEADS)
    belief = replace(Belief.unborn(PEOPLE, HEADS, len(MOST)), counted=counted, exposure=exposure, odds=odds)
    return belief, 0.5 * draw(PEOPLE, HEADS, len(MOST)), draw(PEOPLE, TRAITS)


def as_double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def counted(counts: torch.Tensor, known: torch.Tensor) -> Counted:
    """Counts without amounts."""
    return Counted(counts, known, counts[..., :0], counts[..., :0])


def column(count: float) -> torch.Tensor:
    return torch.full((PEOPLE,), float(count), dtype=torch.float64)


def test_all_counts_together_are_certain_and_nobody_comes_back_from_the_dead(events, middle):
    belief, effect, traits = middle
    total, still_there = torch.zeros(2, PEOPLE, HEADS)
    for counts in itertools.product(*(range(most + 1) for most in MOST)):
        tally = Tally(events, belief, effect, traits)
        for c, count in enumerate(counts):
            tally.add(c, column(count), column(1))
        chance = tally.masses(belief.odds)[..., -1].exp()
        total = total + chance
        still_there = still_there + chance * torch.sigmoid(tally.after().odds)
    np.testing.assert_allclose(total, 1.0, atol=1e-4)
    assert (still_there < torch.sigmoid(belief.odds) + 1e-6).all()
    assert (still_there > 0.5 * torch.sigmoid(belief.odds)).all()


@pytest.mark.parametrize("who", range(0, PEOPLE, 4))
def test_habits_bring_about_what_the_likelihood_says(events, middle, who):
    """Counts of a step, who stays, and the next step's counts, over people who differ by their luck alone."""
    luck, row = 40_000, torch.tensor([who])
    belief, effect, traits = (x.each(lambda t: t[row]) if isinstance(x, Belief) else x[row] for x in middle)
    crowd = torch.zeros(luck, dtype=torch.int64)
    same = belief.each(lambda tensor: tensor[crowd])
    people = replace(Regulars.unborn(luck, HEADS, len(MOST)).each(as_double), belief=same)
    numbers = torch.rand(2, luck, 7, generator=torch.Generator().manual_seed(who), dtype=torch.float64)
    head, drawn = crowd + who % HEADS, []
    for u in numbers:
        occasion = Occasion(CountTable(events), people, effect[crowd], traits[crowd])
        occasion.settle(head, u[:, 4:])
        drawn += [occasion.count(c, head, u[:, c], u[:, 2 + c]) for c in range(len(MOST))]
        people, _ = occasion.after()
        drawn.append(people.habits.there)
    bought, visited, there, bought_again, *_ = torch.stack(drawn).numpy()

    def tally(counts, before=belief):
        now = Tally(events, before, effect, traits)
        for c, count in enumerate(counts):
            now.add(c, torch.full((1,), float(count), dtype=torch.float64), torch.ones(1))
        return now

    def close(share, chance):
        assert abs(share - chance) < 4.0 * np.sqrt(chance * (1.0 - chance) / luck) + 1e-4

    for counts in ((0, 0), (1, 0), (0, 1), (2, 1)):
        now, these = tally(counts), (bought == counts[0]) & (visited == counts[1])
        chance = now.masses(belief.odds)[0, who % HEADS, -1].exp()
        close(these.mean(), float(chance))
        after = now.after()
        close((these & (there > 0.0)).mean(), float(chance * torch.sigmoid(after.odds[0, who % HEADS])))
        again = tally((1,), after).masses(after.odds)[0, who % HEADS, -1].exp()
        close((these & (bought_again == 1)).mean(), float(chance * again))


def test_expected_counts_are_means_where_hardly_anybody_leaves_within_a_step(events, middle):
    belief, effect, traits = middle
    tally, mean = Tally(events, belief, effect - 3.0, traits), 0.0
    for count in range(1, MOST[0] + 1):
        then = Tally(events, belief, effect - 3.0, traits)
        then.add(0, column(count), column(1))
        mean = mean + count * then.masses(belief.odds)[..., 1].exp()
    np.testing.assert_allclose(tally.mean(0), mean, rtol=0.02)


def test_whole_courses_have_the_likelihood_of_their_steps(events, draw):
    steps, shape = 12, (PEOPLE, 12, len(MOST))
    effect, traits = 0.3 * draw(PEOPLE, steps, HEADS, len(MOST)), draw(PEOPLE, TRAITS)
    counts, known = torch.poisson(0.2 * draw(*shape).abs()), (draw(*shape) > -1.5).double()
    counts[:5, 4:], known[:, 0] = 0.0, 0.0
    whole = events.log_prob(effect, counted(counts, known), traits[:, None].expand(-1, steps, -1))
    belief = Belief.unborn(PEOPLE, HEADS, len(MOST)).each(torch.Tensor.double)
    for t in range(steps):
        tally = Tally(events, belief, effect[:, t], traits)
        for c in range(len(MOST)):
            tally.add(c, counts[:, t, c] * known[:, t, c], known[:, t, c])
        np.testing.assert_allclose(whole[:, t], tally.masses(belief.odds).diff(dim=-1), atol=1e-9)
        belief = events.advance(belief, effect[:, t], counted(counts[:, t], known[:, t]), traits)
    assert whole[known[:, :, None].expand_as(whole) == 0.0].abs().max() < 1e-12


@torch.inference_mode()
def test_sums_over_types_say_what_the_whole_of_bayes_rule_does(events, middle, draw):
    """Of the treated and the others, counted or not, step after step; some hardly ever are as quiet as here."""
    belief, effect, traits = middle
    shares = events.types(belief, traits).exp()
    for step in range(6):
        now = effect * (draw(PEOPLE, 1, 1) > 0.0) + 4.0 * (step == 3)
        quick, whole = QuickTally(CountTable(events), belief, shares, now, traits), Tally(events, belief, now, traits)
        expected = []
        for c in range(len(MOST)):
            expected.append(whole.mean(c).T)
            count = torch.poisson(0.3 * draw(PEOPLE).abs()) * (step != 3)
            quick.add(count)
            whole.add(c, count, column(1))
        (after, shares, means), wanted = quick.after(), whole.after()
        np.testing.assert_allclose(means, torch.stack(expected), rtol=1e-6)
        for name in ("counted", "exposure", "odds"):
            np.testing.assert_allclose(getattr(after, name), getattr(wanted, name), rtol=1e-6, atol=1e-9)
        share = shares / shares.sum(-1, keepdim=True)
        np.testing.assert_allclose(share, events.types(wanted, traits).exp(), rtol=1e-5, atol=1e-9)
        belief = after


@pytest.mark.parametrize(("bought", "idle"), [((), 30.0), ((3.0,), 0.0), ((3.0,), 20.0), ((1.0, 2.0, 5.0, 8.0), 15.0)])
def test_the_chance_to_be_there_is_that_of_bg_nbd(bought, idle):
    """Short steps that end in a purchase, and long ones without: a factor on the rate is as good as time."""
    constants = Constants()
    events = RecurrentEvents((12,), 0, 1).double().requires_grad_(False)
    log_rate = events.log_rates()[0, 0]
    shares = constants.purchase_shape * log_rate - constants.purchase_weeks * log_rate.exp() - 0.25 * events.activity
    events.log_share[0] = shares
    events.log_leaving[0, 0] = torch.tensor([constants.dropout_a, constants.dropout_b], dtype=torch.float64).log()
    belief, now, traits = Belief.unborn(1, 1, 1).each(torch.Tensor.double), 0.0, torch.zeros(1, 0).double()
    belief.odds[:] = 40.0

    def step(weeks, count):
        effect, known = torch.tensor([[[weeks]]]).double().log(), torch.ones(1, 1)
        return events.advance(belief, effect, counted(torch.full((1, 1), count).double(), known), traits)

    for when in bought:
        belief = step(when - now - 1e-4, 0.0)
        belief, now = step(1e-4, 1.0), when
    belief = step(idle, 0.0) if idle else belief
    x, a, b, alpha = len(bought), constants.dropout_a, constants.dropout_b, constants.purchase_weeks
    silent = ((alpha + now + idle) / (alpha + now)) ** (constants.purchase_shape + x)
    wanted = 1.0 / (1.0 + (a / (b + x - 1.0) * silent if x else 0.0))
    assert float(torch.sigmoid(belief.odds)) == pytest.approx(wanted, abs=2e-4)
    # And the rate if there is that of a Gamma shape and rate after x purchases in all those weeks.
    expected = float((events.types(belief, traits)[0, 0].exp() * log_rate.exp()).sum())
    assert expected == pytest.approx((constants.purchase_shape + x) / (alpha + now + idle), rel=2e-3)


@pytest.fixture(scope="module")
def scenario():
    return get("Retention-v0")


@torch.inference_mode()
def test_stepping_people_believes_what_reading_their_courses_does(scenario):
    """With staggered ends, so that some restart while others go on; missing values included."""
    stops = np.array([40, 3, 17, 40, 25, 8, 39, 1, 30, 12, 40, 5])
    network = TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval()
    torch.nn.init.normal_(network.wide.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    courses = record(scenario, people("train", len(stops)), 3, 41, scenario.fidelity).courses
    courses.observed[::2, 5:9, 0] = np.nan
    data = dataset(courses, scenario.twin_spec())
    tokens = network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])
    place = np.argsort(np.argsort(courses.ids, kind="stable"))
    tokens[place, stops + 1, network.layout._marks[2]] = 1.0  # all are called in the step that is compared
    whole = network.log_prob(network.trunk(tokens), tokens, data.target, data.present, data.seen.last)
    state = bring(scenario, TwinModel(network, {}).dynamics(), courses, stops, 3)
    here = tokens[place, stops + 1]
    hidden = network.trunk.decode(here, state.cache)
    u, last = torch.full((len(stops), network.noise_width), 0.5), state.seen.last
    effect = Draw(network, hidden, here, last, state.head).sample(u, state.people)[1].effect
    assert (effect != 0.0).any()
    target = data.target[place, stops + 1]
    belief = state.people.belief
    paid = (data.seen.total[place, stops + 1, 1, 0] > 0.0) & (belief.purse.events[:, 0] > 0.0)
    assert paid.sum() > 5
    effect, _ = network.events.split(effect)
    tally = Tally(network.events, belief, effect, state.traits)
    for c, k in enumerate(network.recurrent):
        tally.add(c, torch.round(0.5 * (target[:, k] + 1.0) * MOST[c]), torch.ones(len(stops)))
    stepped = tally.masses(belief.odds).diff(dim=-1)  # (B, M, C)
    read = whole[:, place, stops + 1][..., network.recurrent].transpose(0, 1)
    np.testing.assert_allclose(stepped, read, atol=1e-4)


@torch.inference_mode()
def test_only_treatment_moves_a_rate_and_only_in_its_step(scenario):
    network = TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval()
    data = dataset(record(scenario, people("train", 9), 4, 40, scenario.fidelity).courses, scenario.twin_spec())
    tokens = network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])
    each = torch.randn(9, 41, network.layout.acting, generator=torch.Generator().manual_seed(0))
    effect, treated = network.effect(each, network.layout.done(tokens)), data.actions[..., 1:].any(-1)
    assert treated.any()
    assert ((effect != 0.0) == treated).all()


def test_courses_with_recurrent_counts_are_not_cut(scenario):
    rows, steps = FitConfig(batch_tokens=700, segment=0.2).shape(53, scenario.twin_spec())
    assert (rows, steps) == (13, 53)
    assert FitConfig(segment=0.5).shape(289, get("Glucose-v0").twin_spec())[1] == 36


def stepped(dynamics, scenario, ids, contact, steps=30):
    """Courses (N, steps + 1, V) of people who get ``contact`` in the tenth step and nothing else."""
    cohort, none = scenario.people.sample(ids), np.zeros((len(ids), 0))
    state, observed = dynamics.initial(cohort, none, step_noise(dynamics, ids, 5, 0))
    series = [observed]
    for t in range(1, steps + 1):
        action = np.full((len(ids), 1), float(contact if t == 10 else 0))
        state, observed = dynamics.step(state, action, none, step_noise(dynamics, ids, 5, t))
        series.append(observed)
    return np.stack(series, axis=1)


@pytest.fixture(scope="module")
def busy(scenario):
    """An untrained model under which people come often, and a contact adds to it."""
    network = TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval()
    with torch.no_grad():
        network.events.log_leaving[..., 0] -= 2.0
        for head in network.trunk.heads:
            head.write[0].weight[-3:], head.write[0].bias[-3:] = 0.0, 1.0
    return TwinModel(network, {}).dynamics()


def test_who_is_contacted_in_vain_goes_on_as_if_nothing_had_happened(scenario, busy):
    """So two policies meet the same person with the same luck, as on the reference."""
    ids = people("train", 400)
    left, called = (stepped(busy, scenario, ids, contact)[..., [0, 3]] for contact in (0, 3))
    np.testing.assert_array_equal(left[:, :10], called[:, :10])
    moved = (left[:, 10] != called[:, 10]).any(axis=1)
    assert 0.05 < moved.mean() < 0.9
    assert (called[:, 10, 0] >= left[:, 10, 0]).all()
    np.testing.assert_array_equal(left[~moved, 11:], called[~moved, 11:])
    # One event more may have been the last; nothing else can have changed.
    same = (left[moved, 11:] == called[moved, 11:]).all(axis=(1, 2))
    assert 0.5 < same.mean() < 1.0
    assert (called[moved, 11:][~same] == 0.0).all()


@pytest.mark.parametrize("rows", [[5], [5, 2], [5, *range(5), *range(6, 16)], [5] * 100])
def test_a_course_with_recurrent_counts_is_bitwise_the_same_in_any_batch(scenario, busy, rows):
    ids = people("train", 16)
    alone = stepped(busy, scenario, ids[[5]], 3)[0]
    np.testing.assert_array_equal(stepped(busy, scenario, ids[rows], 3)[0], alone)
    assert alone[:, 3].any()


def test_restarting_one_person_leaves_the_habits_of_others(scenario, busy):
    ids, none = people("train", 12), np.zeros((12, 0))
    state, _ = busy.initial(scenario.people.sample(ids), none, step_noise(busy, ids, 5, 0))
    for t in range(1, 6):
        state, _ = busy.step(state, np.zeros((12, 1)), none, step_noise(busy, ids, 5, t))
    before, rows = state.people.habits.each(torch.clone), np.array([3, 7])
    newcomers = people("validation", 2)
    noise = step_noise(busy, newcomers, 5, 0)
    state, _ = busy.restart(state, rows, scenario.people.sample(newcomers), none[:2], noise)
    assert not torch.equal(state.people.habits.log_rate[rows], before.log_rate[rows])
    assert (state.people.belief.counted[rows] == 0.0).all()
    state, _ = busy.step(state, np.zeros((12, 1)), none, step_noise(busy, ids, 5, 6))
    others = np.setdiff1d(np.arange(12), rows)
    assert torch.equal(state.people.habits.log_rate[others], before.log_rate[others])
    assert not state.people.stale.any()


@torch.inference_mode()
def test_all_heads_at_once_say_of_treatment_what_they_say_one_by_one(scenario):
    """Also where activity and amounts are affected, and heads have linear paths of their own."""
    for own_linear in (False, True):
        network = TwinNetwork.untrained(scenario.twin_spec(), replace(SMALL, own_linear=own_linear)).eval()
        torch.nn.init.normal_(network.wide.weight, std=0.2, generator=torch.Generator().manual_seed(0))
        draw = torch.Generator().manual_seed(1)
        hidden, tokens = (
            torch.randn(9, width, generator=draw) for width in (network.config.width, network.layout.width)
        )
        tokens[:, network.layout._marks] = (torch.rand(9, len(network.layout._marks), generator=draw) < 0.5).float()
        last, nothing = torch.zeros(9, len(network.distributions)), torch.zeros(9, 0)
        effects = EveryHead(network, hidden, tokens, last, network.stacked()).effects()  # (B, M, K)
        for m in range(network.config.ensemble):
            params = network.params_of(m, hidden, tokens, last)
            for place, k in enumerate(network.affected):
                alone = network.effect(params(k, nothing)[..., -network.layout.acting :], network.layout.done(tokens))
                torch.testing.assert_close(effects[:, m, place], alone, rtol=1e-4, atol=1e-5)
