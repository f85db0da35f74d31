"""How likely another policy would have made the choices of a feed that was served. Not on any request's way.

Each place is asked by itself, with the same viewer, noise and places before it as when it was served: what is compared
is the choice, not what would have followed from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import FeedRequest, Floats, Kind, Pool, Slot, Viewer
from talentfeed.ranking.explain import Offer, offers_of
from talentfeed.ranking.feed import Ranker
from talentfeed.ranking.standing import Rules, Standing


@dataclass(frozen=True, slots=True)
class Chance:
    """Of one place."""

    of_choice: float  # that this policy would have chosen what was served there
    expected: float  # mean of `worth` over what it would have chosen


def chances(
    ranker: Ranker,
    viewer: Viewer,
    request: FeedRequest,
    served: Sequence[tuple[Kind, int]],  # kind and row of each place, in the ranker's snapshot
    *,
    now: float,
    seed: int,
    worth: Mapping[Kind, Floats] | None = None,  # by row
) -> list[Chance | None]:
    """None: the place was no draw, as nothing that the viewer had not seen could stand there.

    SPEC 7: (1 - epsilon) of the pool's own draw, epsilon of one from all that may stand; the latter alone where no pool
    of the kind has anything.
    """
    rules = Rules(ranker.snapshot, viewer, request, now=now)
    offers = offers_of(ranker, viewer, request, rules, now=now, seed=seed)
    found: list[Chance | None] = []
    for place, (kind, row) in enumerate(served):
        standing = rules.at(place)
        if standing.kind is None or standing.comes_back:
            found.append(None)
        else:
            drawn = _distribution(ranker, standing, standing.kind, rules.plan[place], offers)
            mean = 0.0 if worth is None else float(drawn @ worth[standing.kind])
            found.append(Chance(float(drawn[row]) if kind is standing.kind else 0.0, mean))
        rules.serve(Slot(kind, row, Pool.EXPLORE, Pool.EXPLORE, 1.0, False, ()))
    return found


def _distribution(
    ranker: Ranker, standing: Standing, kind: Kind, planned: Pool, offers: Mapping[Pool, Offer]
) -> Floats:
    """Over the catalogue of the kind, (n,)."""
    admissible = standing.admissible(kind)
    uniform = admissible / max(int(admissible.sum()), 1)
    for pool in _ladder(planned, kind):
        weights = offers[pool].weights(admissible)
        total = float(weights.sum())
        if total > 0:
            drawn: Floats = ranker.epsilon * uniform
            np.add.at(drawn, offers[pool].shortlist, (1.0 - ranker.epsilon) * weights / total)
            return drawn
    return uniform


def _ladder(planned: Pool, kind: Kind) -> Sequence[Pool]:
    """The pools that are tried for a kind before all that may stand; the first that has any is drawn from."""
    if kind is Kind.FLOW:
        return (Pool.FLOW,)
    if planned is Pool.FLOW:
        return (Pool.AFFINITY, Pool.POPULAR, Pool.FRESH)
    return () if planned is Pool.EXPLORE else (planned,)
