"""Do the stacked heads say what the heads say one by one, and at what price?"""

from __future__ import annotations

import pytest
import torch
from torch.nn import Linear

from twingym.scenarios import get
from twingym.scenarios.weights import weights_folder
from twingym.twins import TwinModel
from twingym.twins.stacked_heads import StackedHeads


@pytest.mark.parametrize("name", ["Glucose-v0", "Retention-v0"])
@torch.inference_mode()
def test_stacked_heads_differ_from_single_ones_by_rounding_only(name: str) -> None:
    network = TwinModel.load(weights_folder(get(name))).network
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(50, network.config.width, generator=generator)
    stacked = StackedHeads(network.trunk.heads)
    features = stacked.block(hidden)
    for m, head in enumerate(network.trunk.heads):
        torch.testing.assert_close(features[m], head.block(hidden), rtol=1e-4, atol=1e-4)
        for v, layer in enumerate(head.write):
            width = head.earlier[v - 1].in_features if v and isinstance(head.earlier[v - 1], Linear) else 0
            told = torch.randn(50, width, generator=generator)
            params = stacked.params(features, v, told)
            assert params.shape == (4, 50, layer.out_features)
            torch.testing.assert_close(params[m], head.params(head.block(hidden), v, told), rtol=1e-3, atol=1e-3)
