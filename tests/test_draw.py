"""Does a model that was taught doubt, which asks only the head a person is bound to, say what it said before?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twingym.envs.behaviour import collect
from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel, people
from twingym.twins.company import LEAST_ROWS
from twingym.twins.decode import TransformerDynamics
from twingym.twins.doubt_head import DoubtHead
from twingym.twins.expected import Known, Moment
from twingym.twins.network import TwinNetwork
from twingym.twins.own_head import seated
from twingym.twins.scales import Floats
from twingym.twins.transformer_config import TransformerConfig


def teach(network: TwinNetwork) -> None:
    """Give a network a head for doubt, whatever it says."""
    network.doubt = DoubtHead.untaught(network.config.width + network.layout.width, 4)


def stepped(network: TwinNetwork, scenario_id: str) -> tuple[Floats, Floats]:
    """Observations (T, N, V) and means of all heads (T, M, N, D); some people start anew, others change heads."""
    scenario, dynamics, ids = get(scenario_id), TransformerDynamics(network), people("test", 70)
    given, luck = collect(scenario, ids, 0, horizon=6), np.random.default_rng(0).random((7, 70, dynamics.noise_width))
    cohort, inputs = scenario.people.sample(ids), given.inputs
    state, observed = dynamics.initial(cohort, inputs[:, 0], luck[0])
    seen, means = [observed], [dynamics.means(state)]
    for t in range(1, 7):
        state, observed = dynamics.step(state, given.delivered[:, t - 1], inputs[:, t], luck[t])
        if t == 3:
            rows = np.array([1, 40, 69])
            state, fresh = dynamics.restart(state, rows, cohort.take(rows), inputs[rows, 0], luck[t][rows])
            observed = observed.copy()
            observed[rows] = fresh
        if t == 5:
            state = dynamics.take(dynamics.bind(state, np.arange(70) % 3), np.arange(69, -1, -1))
        seen.append(observed)
        means.append(dynamics.means(state))
    return np.stack(seen), np.stack(means)


def assert_that_doubt_changes_nobody(network: TwinNetwork, scenario_id: str) -> None:
    """Step without and with it."""
    network.doubt = None
    untaught, compared = stepped(network, scenario_id)
    teach(network)
    taught, worked_out = stepped(network, scenario_id)
    np.testing.assert_array_equal(taught, untaught)
    np.testing.assert_allclose(worked_out, compared, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", list(filter(ships, names())))
def test_taught_doubt_changes_nobody(name: str) -> None:
    assert_that_doubt_changes_nobody(TwinModel.load(weights_folder(get(name))).network, name)


@pytest.mark.parametrize("own_linear", [False, True])
def test_heads_with_paths_of_their_own_speak_for_their_people_alone(own_linear: bool) -> None:
    spec = get("Glucose-v0").twin_spec()
    network = TwinNetwork.untrained(spec, TransformerConfig(own_linear=own_linear)).eval()
    assert network.wide is not None
    torch.nn.init.normal_(network.wide.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    assert_that_doubt_changes_nobody(network, "Glucose-v0")


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
def test_all_heads_speak_in_a_step_only_where_they_are_compared(name: str) -> None:
    network = TwinModel.load(weights_folder(get(name))).network
    cohort, inputs = get(name).people.sample(people("test", 3)), np.zeros((3, len(network.spec.inputs)))
    luck = np.full((3, TransformerDynamics(network).noise_width), 0.5)
    network.doubt = None
    assert type(TransformerDynamics(network).initial(cohort, inputs, luck)[0].expected) is Known
    teach(network)
    assert type(TransformerDynamics(network).initial(cohort, inputs, luck)[0].expected) is Moment


@pytest.mark.parametrize("bound", [[2] * 12, [0, 3, 1, 1, 2, 0, 3, 3, 3, 1, 0, 2, 2], [k % 4 for k in range(300)]])
def test_everybody_sits_at_the_head_they_are_bound_to(bound: list[int]) -> None:
    seats, place = seated(torch.tensor(bound), 4)
    assert seats.shape[1] == max(LEAST_ROWS, max(bound.count(m) for m in range(4)))
    assert seats.flatten()[place].tolist() == list(range(len(bound)))
    assert (place // seats.shape[1]).tolist() == bound
