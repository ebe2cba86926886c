"""Is the noise Philox4x32-10, and a function of person, step and purpose?"""

import numpy as np
import pytest
import torch

from twingym.twins.noise import Stream, philox, uniforms, uniforms_torch

# Test vectors published with Random123 (Salmon et al. 2011): counter, key, words.
FULL = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_published_vectors(counter, key, words):
    found = philox(tuple(np.array([c], dtype=np.uint64) for c in counter), key)
    assert tuple(int(w[0]) for w in found) == words


def test_numpy_and_torch_give_the_same_bits():
    twins, steps = np.arange(50), np.arange(50)[::-1].copy()
    for seed in (0, 7, 2**64 - 1):
        mine = uniforms(seed, twins, 3, Stream.SENSOR, steps, 7)
        other = uniforms_torch(
            seed, torch.from_numpy(twins), torch.tensor(3), Stream.SENSOR, torch.from_numpy(steps), 7
        )
        np.testing.assert_array_equal(mine, other.numpy())


def test_numbers_are_uniform_and_never_zero_or_one():
    numbers = uniforms(1, np.arange(2000)[:, None], 0, Stream.DYNAMICS, np.arange(20), 5)
    assert numbers.shape == (2000, 20, 5)
    assert 0 < numbers.min() < numbers.max() < 1
    np.testing.assert_allclose(np.histogram(numbers, 10, (0, 1))[0] / numbers.size, 0.1, atol=0.005)
    flat = numbers.reshape(2000, -1)
    correlation = np.corrcoef(flat[:, :50].T) - np.eye(50)
    assert np.abs(correlation).max() < 0.12


def test_every_argument_matters_and_company_does_not():
    base = uniforms(1, np.array([4]), 2, Stream.INPUTS, 3, 4)
    others = [
        uniforms(2, np.array([4]), 2, Stream.INPUTS, 3, 4),
        uniforms(1, np.array([5]), 2, Stream.INPUTS, 3, 4),
        uniforms(1, np.array([4]), 3, Stream.INPUTS, 3, 4),
        uniforms(1, np.array([4]), 2, Stream.PERSON, 3, 4),
        uniforms(1, np.array([4]), 2, Stream.INPUTS, 4, 4),
    ]
    assert all((base != other).all() for other in others)
    np.testing.assert_array_equal(uniforms(1, np.arange(9), 2, Stream.INPUTS, 3, 4)[4], base[0])
    np.testing.assert_array_equal(uniforms(1, np.array([4]), 2, Stream.INPUTS, 3, 2), base[:, :2])
