"""Randomness as a function: a counter-based hash of (seed, stream, counter), so that every item has its noise undrawn.

A feed's own is taken in `native/kernel.h`; this is the same for what explains a feed, and for the tests.
The finaliser is that of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import Floats, Ints

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB
_UNIT = 2.0**-53


class Stream(IntEnum):
    """Independent uses of a request's seed."""

    FEATURE = 1  # feature 17, by video id
    FRESH = 2  # by video id
    FLOW = 3  # by flow id
    EXPLORE = 4  # by slot: is it drawn by the share epsilon
    DRAW = 5  # by slot: which of the admissible


def counters(ids: Ints) -> NDArray[np.uint64]:
    """What `uniforms` takes: ids spread over 64 bits. Worth keeping: it does not depend on the request."""
    return ids.astype(np.uint64) * np.uint64(_GAMMA)


def uniforms(seed: int, stream: Stream, counter: NDArray[np.uint64]) -> Floats:
    """U[0, 1) for each counter, float64 with 53 random bits; `seed` is any integer of up to 128 bits, not negative."""
    z = counter + np.uint64(_key(seed, stream))
    z ^= z >> np.uint64(30)
    z *= np.uint64(_M1)
    z ^= z >> np.uint64(27)
    z *= np.uint64(_M2)
    z ^= z >> np.uint64(31)
    z >>= np.uint64(11)
    return z.astype(np.float64) * _UNIT


def uniform(seed: int, stream: Stream, number: int) -> float:
    """The same as `uniforms` for one id or slot."""
    return (_mix((number * _GAMMA + _key(seed, stream)) & _MASK) >> 11) * _UNIT


def _key(seed: int, stream: Stream) -> int:
    folded = _mix(((seed >> 64) & _MASK) + _GAMMA) ^ (seed & _MASK)
    return _mix((_mix(folded) + stream * _GAMMA) & _MASK)


def _mix(z: int) -> int:
    z &= _MASK
    z = ((z ^ (z >> 30)) * _M1) & _MASK
    z = ((z ^ (z >> 27)) * _M2) & _MASK
    return z ^ (z >> 31)
