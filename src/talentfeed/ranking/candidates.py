"""Stage 2: who may enter: kept, removed and why. SPEC 7, rules 1 and 2."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import Bools, Indices, Ints


@dataclass(frozen=True, slots=True)
class Candidates:
    """What one kind of item brings to a feed."""

    kept: Bools  # (n,)
    seen: Indices  # rows left out only because the viewer interacted with them, oldest interaction first
    removed: Mapping[str, int]  # reason -> how many


def select(
    ids: Ints,  # (n,) ascending
    seen: Indices,  # rows, newest interaction first
    excluded_ids: Ints,  # (e,) in any order, repeated or unknown ones allowed
) -> Candidates:
    """Take out the excluded, then the already seen."""
    kept = np.ones(len(ids), np.bool_)
    n_excluded = 0
    if len(excluded_ids) and len(ids):
        near = np.minimum(np.searchsorted(ids, excluded_ids), len(ids) - 1)
        kept[near[ids[near] == excluded_ids]] = False
        n_excluded = len(ids) - int(np.count_nonzero(kept))
    also_seen = seen[::-1][kept[seen[::-1]]]
    kept[also_seen] = False
    return Candidates(kept, also_seen, {"excluded": n_excluded, "already_seen": len(also_seen)})
