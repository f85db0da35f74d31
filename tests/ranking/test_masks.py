"""Bits of either form are sets of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talentfeed.ranking.masks import Ground

SIZES = st.sampled_from([1, 7, 63, 64, 65, 200])


@pytest.mark.parametrize("small_up_to", [0, 1_000])
@given(data=st.data(), n=SIZES)
def test_a_mask_is_a_set_of_rows(small_up_to: int, data: st.DataObject, n: int) -> None:
    ground = Ground(n, small_up_to=small_up_to)
    rows = st.lists(st.integers(0, n - 1), max_size=60)
    first, second, third = data.draw(rows), data.draw(rows), data.draw(rows)
    flags = np.zeros(n, np.bool_)
    flags[first] = True
    mask = ground.put(ground.drop(ground.of(flags), np.array(second, np.int64)), np.array(third, np.int32))
    want = sorted((set(first) - set(second)) | set(third))
    if want:
        row = data.draw(st.sampled_from(want))
        mask = ground.drop_one(mask, row)
        want.remove(row)
    assert [row for row in range(n) if ground.has(mask, row)] == want
    assert ground.count(mask) == len(want)
    assert ground.some(mask) == bool(want)
    assert [ground.nth(mask, k) for k in range(len(want))] == want
    assert ground.flags(mask, np.array(first, np.int64)).tolist() == [row in want for row in first]
    assert ground.count(ground.all() & ~mask) == n - len(want)
    assert ground.count(ground.of_rows(np.array(first, np.int64))) == len(set(first))
    assert ground.count(ground.none) == 0
