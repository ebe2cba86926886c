"""Does a twin model keep the same counts while it steps people as when it reads their recorded courses?"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from twingym.evaluation.fidelity.replay import bring, record
from twingym.scenarios import get
from twingym.twins import TwinModel, dataset, people
from twingym.twins.draw import Draw
from twingym.twins.network import TwinNetwork
from twingym.twins.seen import TRACES, Done, Seen, advance_seen
from twingym.twins.tokens import RATE_COUNT, RATE_STEPS
from twingym.twins.transformer_config import TransformerConfig

SMALL = TransformerConfig(width=16, layers=2, attention_heads=2, head_width=8, ensemble=3, ensemble_width=8)
STOPS = np.array([40, 3, 17, 40, 25, 8, 39, 1, 30, 12])
COUNTED = [0, 1, 3]  # purchases, spend, visits; consent is neither


@pytest.fixture(scope="module")
def scenario():
    return get("Retention-v0")


@pytest.fixture(scope="module")
def model(scenario):
    return TwinModel(TwinNetwork.untrained(scenario.twin_spec(), SMALL).eval(), {})


def test_counts_after_a_known_past_are_those_of_the_course(scenario, model):
    """Stops differ, so that some people restart while others go on."""
    courses = record(scenario, people("train", len(STOPS)), 3, 41, scenario.fidelity).courses
    state, data = bring(scenario, model.dynamics(), courses, STOPS, 3), dataset(courses, scenario.twin_spec())
    place = np.argsort(np.argsort(courses.ids, kind="stable"))
    for row, stop in enumerate(STOPS):
        for name in ("value", "present", "age", "total", "idle", "birth", "tenure", "chosen", "given", "lately"):
            mine, theirs = getattr(state.seen, name)[row], getattr(data.seen, name)[place[row], stop + 1]
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-5, err_msg=f"{name} of {row}")
    observed = courses.observed[0, : STOPS[0] + 1]
    np.testing.assert_allclose(
        state.seen.total[0, 0, 0] * scenario.variable("purchases").high, observed[:, 0].sum(), rtol=1e-5
    )
    assert state.seen.tenure[0] == STOPS[0]
    assert state.seen.idle[0, 0] == STOPS[0] - np.flatnonzero(observed[:, 0])[-1]
    for kind in (1, 2, 3):
        under = courses.delivered[0, : STOPS[0], 0] == kind
        assert state.seen.given[0, kind - 1] == under.sum()
        faded = 0.9 ** np.arange(STOPS[0])[::-1]
        np.testing.assert_allclose(state.seen.lately[0, kind - 1], (faded * under).sum(), rtol=1e-5)
        np.testing.assert_allclose(
            state.seen.total[0, 0, kind] * scenario.variable("purchases").high, observed[1:, 0][under].sum(), rtol=1e-5
        )
    assert state.seen.given.sum() > 0
    assert (state.seen.total[:, :, 1:] > 0.0).any()


def test_tokens_tell_the_rate_without_treatment_from_that_with_it(scenario, model):
    courses = record(scenario, people("train", 9), 4, 40, scenario.fidelity).courses
    data, order = dataset(courses, scenario.twin_spec()), np.argsort(courses.ids, kind="stable")
    rates = model.network.layout.memory(data.seen)[2].reshape(9, 41, len(COUNTED), 5)  # of all, none, and three levels
    bought, kind = courses.observed[order, :40, 0], courses.delivered[order, :39, 0]
    for column, level in enumerate((0, 1, 2, 3), start=1):
        under = kind == level
        count = (bought[:, 1:] * under).sum(1) + (bought[:, 0] if level == 0 else 0.0)
        wanted = 0.5 * np.log((count + RATE_COUNT) / (under.sum(1) + RATE_STEPS))
        np.testing.assert_allclose(rates[:, 40, 0, column], wanted, atol=1e-4)
    wanted = 0.5 * np.log((bought.sum(1) + RATE_COUNT) / (39 + RATE_STEPS))
    np.testing.assert_allclose(rates[:, 40, 0, 0], wanted, atol=1e-4)
    assert (rates[:, 40, 0, 0] != rates[:, 40, 0, 1]).any()


@torch.inference_mode()
def test_decoding_with_counts_equals_the_network_on_whole_courses(scenario, model):
    courses = record(scenario, people("train", 9), 4, 60, scenario.fidelity).courses
    data = dataset(courses, scenario.twin_spec())
    tokens = model.network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])
    cache = model.network.trunk.empty_cache(9)
    decoded = torch.stack([model.network.trunk.decode(tokens[:, t], cache) for t in range(tokens.shape[1])], dim=1)
    assert (decoded - model.network.trunk(tokens)).abs().max() < 1e-5


def of_counts(scenario):
    """The declarations of Retention if no count were recurrent."""
    spec = scenario.twin_spec()
    return replace(spec, variables=tuple(replace(v, recurrent=False, amount_of="") for v in spec.variables))


@pytest.mark.parametrize("k", [0, 3])  # purchases first, visits given all others
@torch.inference_mode()
def test_likelihood_and_samples_are_of_one_distribution_with_the_linear_part(scenario, k):
    network, without = (TwinNetwork.untrained(of_counts(scenario), SMALL).eval() for _ in range(2))
    for linear in (network.wide, network.wide_told[-1]):  # the last is that of visits
        torch.nn.init.normal_(linear.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    data = dataset(record(scenario, people("train", 9), 4, 30, scenario.fidelity).courses, scenario.twin_spec())
    tokens = network.tokens(data.seen, data.actions, data.inputs, data.traits[:, None])[:, 25]
    hidden, last, head = torch.randn(9, SMALL.width), data.seen.last[:, 25], torch.ones(9, dtype=torch.int64)
    u = torch.full((9, 4), 0.5)
    u[:5, 0] = 0.99  # some buy
    target = Draw(network, hidden, tokens, last, head).sample(u, network.unborn(9))[0]
    target[:, k] = -1.0

    log_prob, other = (n.log_prob(hidden, tokens, target, torch.ones(9, 4), last)[1, :, k] for n in (network, without))
    assert not torch.allclose(log_prob, other)
    for side, counted in ((-1e-4, False), (1e-4, True)):
        u[:, k] = log_prob.exp() + side
        drawn = Draw(network, hidden, tokens, last, head).sample(u, network.unborn(9))[0]
        assert ((drawn[:, k] > -1.0) == counted).all()


def test_a_variable_is_told_whether_and_how_much_was_counted_before_it(scenario):
    network = TwinNetwork.untrained(scenario.twin_spec(), SMALL)
    most = scenario.variables[0].high
    told = network.told(torch.tensor([[-1.0, -1.0], [2.0 / most - 1.0, 0.25]]), 2)
    some = [2.0 / most - 1.0, 0.25, 1.0, float(np.log(2.0)), 1.0]
    assert torch.allclose(told, torch.tensor([[-1.0, -1.0, 0.0, 0.0, 0.0], some]))
    assert network.told(told[:, :0], 0).shape == (2, 0)
    assert network.told(told[:, :3], 3).shape == (2, 0)  # what is counted says nothing about effects


def test_a_missing_value_neither_counts_nor_ends_a_wait():
    seen = Seen.unborn(1, 1)
    units = torch.ones(1)
    for value, present in ((0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)):
        seen = advance_seen(
            seen, torch.tensor([[value]]), torch.tensor([[present]]), units, Done(*torch.zeros(2, 1, 0))
        )
    assert seen.total.item() == 0.5
    assert seen.idle.item() == 2.0
    assert seen.tenure.item() == 2.0


def test_a_scenario_of_amounts_alone_keeps_no_counts():
    network = TwinNetwork.untrained(get("Glucose-v0").twin_spec(), SMALL)
    assert network.spec.encode_choices(np.zeros((3, 1))).shape == (3, 0)
    assert TwinNetwork.untrained(get("Retention-v0").twin_spec(), SMALL).layout.counted == COUNTED
    assert network.layout.counted == []


def test_amounts_leave_traces_that_add_up_and_fade():
    spec = get("Glucose-v0").twin_spec()
    delivered, inputs = np.array([[2.0], [0.0], [4.0]]), np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 0.0]])
    amounts = spec.encode_amounts(delivered, inputs, {"basal": np.full(3, 2.0)})
    np.testing.assert_allclose(amounts, [[1, 0, 0], [0, 1, 0], [2, 0, 0]])  # times basal, and tenths of the most eaten
    seen = Seen.unborn(1, 1, amounts=3)
    wanted = np.zeros((3, len(TRACES)))
    for now in amounts:
        step = torch.from_numpy(now[None].astype(np.float32))
        seen = advance_seen(seen, torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1), Done(torch.zeros(1, 0), step))
        wanted += (now[:, None] - wanted) / np.array(TRACES)
    np.testing.assert_allclose(seen.traces[0].view(3, -1), wanted, rtol=1e-6)
    assert get("Retention-v0").twin_spec().amounts == 0
