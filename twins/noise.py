"""Which random number belongs to this person, at this step, for this purpose?

Noise is a function, not a generator: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3", SC'11) of (seed, twin, episode, stream, step). Two policies therefore meet the same person with the same
luck, a trait can be flipped with all else equal, and an evaluation can be cut into shards. NumPy and torch give
the same bits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twingym.twins.scales import Floats

if TYPE_CHECKING:
    import torch

Words = NDArray[np.uint64]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
_ROUNDS = 10
_WORDS = 4  # 32-bit words that one Philox call returns


class Stream(IntEnum):
    """What a random number is for; two streams never share a number."""

    PERSON = 1
    INPUTS = 2
    DYNAMICS = 3
    SENSOR = 4
    HEAD = 5
    POLICY = 6


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 on broadcastable arrays of 32-bit words held in uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    low, half, m0, m1 = (np.uint64(n) for n in (_LOW, 32, *_MULTIPLIERS))
    for _ in range(_ROUNDS):
        p0, p1 = c0 * m0, c2 * m1
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> half) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def uniforms(seed: int, twin: ArrayLike, episode: ArrayLike, stream: Stream, step: ArrayLike, width: int) -> Floats:
    """Return uniform numbers in (0, 1), the same on every machine.

    Args:
        seed: Experiment seed, 0 <= seed < 2**64.
        twin: Ids of twins, below 2**32; broadcasts with ``episode`` and ``step``.
        episode: Episode numbers, below 2**32.
        stream: What the numbers are for.
        step: Time steps, below 2**32.
        width: How many numbers each (twin, episode, step) gets, at most 2**18.

    Returns:
        Array of shape ``broadcast(twin, episode, step).shape + (width,)``, float64; the numbers are odd multiples
        of 2**-33, so neither 0 nor 1 occurs.

    Source: Salmon et al. 2011, SC'11, doi:10.1145/2063384.2063405.
    """
    person, run, time = np.broadcast_arrays(*(np.asarray(a, dtype=np.uint64) for a in (twin, episode, step)))
    blocks = -(-width // _WORDS)
    block = np.arange(blocks, dtype=np.uint64) + np.uint64(int(stream) << 16)
    shape, leading = (*person.shape, blocks), person.shape
    time, run, person = (np.broadcast_to(a[..., None], shape) for a in (time, run, person))
    words = philox((np.broadcast_to(block, shape), time, run, person), (seed & _LOW, seed >> 32))
    stacked = np.stack(words, axis=-1).reshape(*leading, blocks * _WORDS)[..., :width]
    return np.asarray((stacked.astype(np.float64) + 0.5) * 2.0**-32)


def uniforms_torch(
    seed: int, twin: torch.Tensor, episode: torch.Tensor, stream: Stream, step: torch.Tensor, width: int
) -> torch.Tensor:
    """Return the numbers of :func:`uniforms`, bit for bit, computed by torch on the device of ``twin``.

    Args:
        seed: Experiment seed, 0 <= seed < 2**64.
        twin: Integer tensor of twin ids; ``episode`` and ``step`` broadcast with it.
        episode: Integer tensor of episode numbers.
        stream: What the numbers are for.
        step: Integer tensor of time steps.
        width: How many numbers each (twin, episode, step) gets.

    Returns:
        Tensor of shape ``broadcast(...).shape + (width,)``, float64.
    """
    import torch

    def halves(word: torch.Tensor, multiplier: int) -> tuple[torch.Tensor, torch.Tensor]:
        # int64 overflows on 32 x 32 bits: multiply the word's 16-bit halves and carry by hand.
        upper, lower = (word >> 16) * multiplier, (word & 0xFFFF) * multiplier
        total = ((upper & 0xFFFF) << 16) + lower
        return (upper >> 16) + (total >> 32), total & _LOW

    person, run, time = torch.broadcast_tensors(*(a.to(torch.int64) for a in (twin, episode, step)))
    blocks = -(-width // _WORDS)
    block = torch.arange(blocks, dtype=torch.int64, device=twin.device) + (int(stream) << 16)
    shape = (*person.shape, blocks)
    c0, c1, c2, c3 = block.expand(shape), *(a[..., None].expand(shape) for a in (time, run, person))
    k0, k1 = seed & _LOW, seed >> 32
    for _ in range(_ROUNDS):
        (h0, l0), (h1, l1) = halves(c0, _MULTIPLIERS[0]), halves(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    words = torch.stack((c0, c1, c2, c3), dim=-1).reshape(*person.shape, blocks * _WORDS)[..., :width]
    return (words.to(torch.float64) + 0.5) * 2.0**-32
