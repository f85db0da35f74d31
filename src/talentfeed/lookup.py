"""Where ids are in a listing."""

import numpy as np

from talentfeed.contracts import Bools, Ints


def rows_of(
    listing: Ints,  # (n,) ascending, each once
    ids: Ints,  # (k,) in any order
) -> tuple[Ints, Bools]:
    """→ for each id its row, and whether it is there at all: where it is not the row means nothing."""
    rows: Ints = listing.searchsorted(ids).astype(np.int64, copy=False)
    if not len(listing):
        return rows, np.zeros(len(ids), np.bool_)
    rows[rows == len(listing)] = 0
    known: Bools = listing[rows] == ids
    return rows, known
