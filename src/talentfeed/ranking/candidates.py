"""Stage 2: who may enter: kept, removed and why. SPEC 7, rules 1 and 2."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import Bools, Indices, Ints

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What one kind of item brings to a feed: all rows but these."""

    excluded: Ints  # rows, distinct
    seen: Indices  # rows left out only because the viewer interacted with them, oldest interaction first
    out: Bools  # (n,) the rows of both
    removed: Mapping[str, int]  # reason -> how many


def select(
    ids: Ints,  # (n,) ascending
    seen: Indices,  # rows, distinct, newest interaction first
    excluded_ids: Ints,  # (e,) in any order, repeated or unknown ones allowed
) -> Candidates:
    """Take out the excluded, then the already seen."""
    out = np.zeros(len(ids), np.bool_)
    excluded = _NONE
    seen = seen[::-1]
    if len(excluded_ids) and len(ids):
        wanted = np.sort(excluded_ids)
        near = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        near = near[ids[near] == wanted]
        first = np.ones(len(near), np.bool_)
        np.not_equal(near[1:], near[:-1], out=first[1:])
        excluded = near[first]
        out[excluded] = True
        seen = seen[~out[seen]]
    out[seen] = True
    return Candidates(excluded, seen, out, {"excluded": len(excluded), "already_seen": len(seen)})
