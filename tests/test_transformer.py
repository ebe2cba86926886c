"""Does decoding step by step with the ring cache equal the network on whole courses?"""

import numpy as np
import pytest
import torch

from twingym.twins.transformer import CausalTransformer
from twingym.twins.transformer_config import TransformerConfig

WINDOW = 12


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return CausalTransformer(TransformerConfig(width=32, layers=3), 7, (4, 1), (0, 1), WINDOW).eval()


@pytest.fixture
def tokens():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(9, 5 * WINDOW, 7)).astype(np.float32))


@torch.inference_mode()
def test_cached_decode_equals_full_recompute_beyond_the_window(network, tokens):
    cache = network.empty_cache(len(tokens))
    decoded = torch.stack([network.decode(tokens[:, t], cache) for t in range(tokens.shape[1])], dim=1)
    assert (decoded - network(tokens)).abs().max() < 1e-5


@torch.inference_mode()
def test_cached_decode_with_staggered_resets(network, tokens):
    births = np.array([0, 3, 7, 11, 12, 13, 25, 30, 41])
    cache, steps = network.empty_cache(len(tokens)), tokens.shape[1]
    decoded = torch.zeros(len(tokens), steps, 32)
    for t in range(steps):
        cache.birth[torch.from_numpy(births == t)] = t
        decoded[:, t] = network.decode(tokens[:, t], cache)
    for row, birth in enumerate(births):
        alone = network(tokens[row : row + 1, birth:])
        assert (decoded[row, birth:] - alone[0]).abs().max() < 1e-5


@torch.inference_mode()
def test_no_token_sees_beyond_the_band_or_ahead(network, tokens):
    changed = tokens.clone()
    changed[:, 20] += 1.0
    difference = (network(changed) - network(tokens)).abs().amax(dim=(0, 2))
    reach = 3 * (WINDOW - 1)  # three layers
    assert (difference[:20] == 0).all()
    assert (difference[20 : 20 + reach + 1] > 0).any()
    assert difference[20] > 0
    assert (difference[20 + reach + 1 :] == 0).all()


@torch.inference_mode()
def test_a_course_does_not_depend_on_its_company(network, tokens):
    def run(rows):
        cache = network.empty_cache(len(rows))
        return torch.stack([network.decode(tokens[rows, t], cache) for t in range(20)], dim=1)

    everybody = run([k % 9 for k in range(70)])
    few = run([4, 1, 2, 3, 0, 5, 6, 7])
    assert torch.equal(few[0], everybody[4])
    assert torch.equal(few[1], everybody[1])
