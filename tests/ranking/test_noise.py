"""The hash that stands for chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talentfeed.ranking import noise
from talentfeed.ranking.noise import Stream


@given(
    seed=st.integers(0, 2**128 - 1),
    stream=st.sampled_from(Stream),
    ids=st.lists(st.integers(0, 2**63 - 1), max_size=20),
)
def test_one_and_many_agree(seed: int, stream: Stream, ids: list[int]) -> None:
    many = noise.uniforms(seed, stream, noise.counters(np.array(ids, np.int64))).tolist()
    assert many == [noise.uniform(seed, stream, i) for i in ids]
    assert all(0.0 <= value < 1.0 for value in many)


def test_it_is_a_function_that_never_changes() -> None:
    # a feed of last year replays only if these stand
    assert noise.uniform(0, Stream.FEATURE, 0) == 0.9260267719517167
    assert noise.uniform(2**127 + 12345, Stream.DRAW, 987654321) == 0.8699475718932822


@pytest.mark.parametrize("stride", [1, 2, 1024, 10**6])
def test_it_is_uniform_over_ids_of_any_stride(stride: int) -> None:
    values = noise.uniforms(42, Stream.FRESH, noise.counters(np.arange(100_000, dtype=np.int64) * stride))
    counts = np.histogram(values, bins=100, range=(0, 1))[0]
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 170  # chi-square, 99 degrees: 1 in 10^5
    assert abs(float(np.corrcoef(values[1:], values[:-1])[0, 1])) < 0.015


def test_seeds_and_streams_are_independent() -> None:
    counter = noise.counters(np.arange(20_000, dtype=np.int64))
    seeds = (0, 1, 2, 2**64, 2**64 + 1, 2**127)
    drawn = np.stack([noise.uniforms(seed, stream, counter) for seed in seeds for stream in Stream])
    off_diagonal = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(off_diagonal).max() < 0.04
