"""Do the stacked heads say what the heads say one by one, and at what price?"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Linear

from twingym.scenarios import get, names
from twingym.scenarios.registry import ships
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel, people
from twingym.twins.company import LEAST_ROWS
from twingym.twins.draw import Draw
from twingym.twins.network import TwinNetwork
from twingym.twins.stacked_heads import StackedHeads
from twingym.twins.transformer_config import TransformerConfig


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
@torch.inference_mode()
def test_stacked_heads_differ_from_single_ones_by_rounding_only(name: str) -> None:
    network = TwinModel.load(weights_folder(get(name))).network
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(50, network.config.width, generator=generator)
    stacked = StackedHeads(network.trunk.heads)
    features = stacked.block(hidden)
    widths = earlier_widths(network)
    for m, head in enumerate(network.trunk.heads):
        torch.testing.assert_close(features.z[m], head.block(hidden), rtol=1e-4, atol=1e-4)
        for v, (layer, width) in enumerate(zip(head.write, widths, strict=True)):
            told = torch.randn(50, width, generator=generator)
            params = stacked.params(features, v, told)
            assert params.shape == (4, 50, layer.out_features)
            torch.testing.assert_close(params[m], head.params(head.block(hidden), v, told), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", list(filter(ships, names())))
@torch.inference_mode()
def test_what_heads_say_of_somebody_does_not_depend_on_company(name: str) -> None:
    """Bit by bit, in batches of any size that occurs: small ones are filled up."""
    stacked = (network := TwinModel.load(weights_folder(get(name))).network).stacked()
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, network.config.width, generator=draw)
    told = [torch.randn(300, width, generator=draw) for width in earlier_widths(network)]

    def said(rows: Tensor) -> list[Tensor]:
        features = stacked.block(hidden[rows])
        found = [features.z, *(stacked.params(features, v, each[rows]) for v, each in enumerate(told))]
        return [*found, stacked.tails(features).mT] if network.affected else found

    whole = said(torch.arange(300))
    for count in (*range(LEAST_ROWS, 40), 65, 129, 255):
        rows = torch.randperm(300, generator=draw)[:count]
        for part, of_all in zip(said(rows), whole, strict=True):
            assert torch.equal(part, of_all[:, rows]), count


def earlier_widths(network: TwinNetwork) -> list[int]:
    """How many numbers earlier variables tell about each variable."""
    earlier = network.trunk.heads[0].earlier  # type: ignore[union-attr]
    return [0, *(layer.in_features if isinstance(layer, Linear) else 0 for layer in earlier)]


@torch.inference_mode()
def test_a_linear_path_of_its_own_moves_one_head_alone() -> None:
    spec = get("Glucose-v0").twin_spec()
    network = TwinNetwork.untrained(spec, TransformerConfig(own_linear=True)).eval()
    generator, rows = torch.Generator().manual_seed(0), 9
    hidden = torch.randn(rows, network.config.width, generator=generator)
    tokens = torch.randn(rows, network.layout.width, generator=generator)
    last, ones, unborn = torch.zeros(rows, 2), torch.ones(rows, 2), network.unborn(rows)
    target, u = torch.full((rows, 2), 0.3), torch.full((rows, network.noise_width), 0.5)
    bound = torch.arange(rows) % 4

    def said() -> tuple[Tensor, Tensor, Tensor]:
        drawn, _, expected = Draw(network, hidden, tokens, last, bound).sample(u, unborn)
        # Whatever is drawn first is told to all heads.
        return (
            network.log_prob(hidden, tokens, target, ones, last),
            expected.means(network, network.stacked())[..., 0],
            drawn,
        )

    before = said()
    width = sum(network._widths)
    network.wide.weight[2 * width : 3 * width] += 0.1  # type: ignore[union-attr]
    for old, new in zip(before[:2], said()[:2], strict=True):
        moved = (old != new).flatten(1).any(dim=1)
        assert moved.tolist() == [False, False, True, False]
    assert (before[2] != said()[2]).any(dim=1).tolist() == (bound == 2).tolist()


def test_only_who_changes_heads_gets_other_habits() -> None:
    scenario, ids = get("Retention-v0"), people("test", 12)
    dynamics = TwinModel.load(weights_folder(scenario)).dynamics()
    noise = np.random.default_rng(0).random((3, 12, dynamics.noise_width))
    none, nothing = np.zeros((12, 0)), np.zeros((12, 1))
    state, _ = dynamics.initial(scenario.people.sample(ids), none, noise[0])
    state, _ = dynamics.step(state, nothing, none, noise[1])
    before, heads = state.people.habits.log_rate.clone(), state.head.numpy().copy()
    heads[3] = (heads[3] + 1) % 4
    state, _ = dynamics.step(dynamics.bind(state, heads), nothing, none, noise[2])
    assert (state.people.habits.log_rate != before).any(dim=1).tolist() == [k == 3 for k in range(12)]
