"""Ids that are known to be there → their rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import Ints

_SPARSE = 8  # a table of rows may be so many times as long as there are ids


def rows_of(ids: Ints, wanted: NDArray[Any]) -> Ints:
    """The row of each of `wanted` (k,) in `ids` (n,), ascending, where all of them are.

    By a table where the ids are dense, as a database's are: it takes a tenth of the time of a search.
    """
    if not len(ids) or ids[0] < 0 or ids[-1] >= _SPARSE * len(ids):
        return np.searchsorted(ids, wanted).astype(np.int64)
    table = np.empty(ids[-1] + 1, np.int64)
    table[ids] = np.arange(len(ids))
    rows: Ints = table[wanted.astype(np.int64, copy=False)]
    return rows
