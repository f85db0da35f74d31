"""Rows of ids, by table or by search: the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talentfeed.snapshot.numbering import rows_of


@given(st.data(), st.sampled_from([(0, 40), (-5, 40), (0, 10**12), (10**9, 10**9 + 50)]))
def test_each_id_has_its_row_be_they_dense_sparse_or_negative(data: st.DataObject, among: tuple[int, int]) -> None:
    ids = np.array(sorted(data.draw(st.sets(st.integers(*among), min_size=1, max_size=30))), np.int64)
    rows = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=40))
    found = rows_of(ids, ids[rows])
    assert found.dtype == np.int64
    assert found.tolist() == rows


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64])
def test_none_of_none_are_none(dtype: type) -> None:
    assert rows_of(np.array([], np.int64), np.array([], dtype)).tolist() == []
    assert rows_of(np.array([1, 2]), np.array([], dtype)).tolist() == []
