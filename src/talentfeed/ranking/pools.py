"""Stage 5: five pools, five ways to choose. SPEC 6.

A pool is a shortlist of rows with a distribution over those of them that are admissible at a slot. `explore` has no
shortlist: it is uniform over all admissible items of a kind, which only the slate knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import Bools, Bytes, Floats, Indices, Ints, Viewer
from talentfeed.ranking.presets import PoolWeights


@dataclass(frozen=True, slots=True)
class Best:
    """Takes the best admissible."""

    rows: Ints  # best first

    def draw(self, admissible: Bytes, uniform: float) -> tuple[int, float] | None:  # noqa: ARG002
        """Place on the shortlist and its probability; None where nothing is admissible."""
        if not len(admissible):
            return None
        place = int(admissible.argmax())
        return (place, 1.0) if admissible[place] else None

    def probability(self, admissible: Bytes, place: int) -> float:
        """Of drawing that admissible place."""
        return float(place == int(admissible.argmax()))


@dataclass(frozen=True, slots=True)
class Weighted:
    """Draws in proportion to weights; uniformly where all that is admissible weighs nothing."""

    rows: Ints  # best first
    weights: Floats  # not negative, finite

    @classmethod
    def by_score(cls, rows: Ints, scores: Floats) -> Self:
        """In proportion to max(score, 0)."""
        return cls(rows, np.maximum(scores, 0.0))

    @classmethod
    def uniform(cls, rows: Ints) -> Self:
        """All alike."""
        return cls(rows, np.ones(len(rows)))

    def draw(self, admissible: Bytes, uniform: float) -> tuple[int, float] | None:
        """Place on the shortlist and its probability; None where nothing is admissible."""
        weights, reach = self._admitted(admissible)
        total = float(reach[-1]) if len(reach) else 0.0
        if total <= 0.0:
            return None
        place = int(reach.searchsorted(uniform * total, side="right"))
        if place == len(reach):  # uniform * total rounded up to the total
            place = int(np.flatnonzero(weights)[-1])
        return place, float(weights[place]) / total

    def probability(self, admissible: Bytes, place: int) -> float:
        """Of drawing that admissible place."""
        weights, reach = self._admitted(admissible)
        return float(weights[place]) / float(reach[-1])

    def _admitted(self, admissible: Bytes) -> tuple[Floats, Floats]:
        weights = self.weights * admissible
        reach = weights.cumsum()
        if len(reach) and reach[-1] <= 0.0:
            weights = admissible.astype(np.float64)
            reach = weights.cumsum()
        return weights, reach


def fixed_bonus(
    features: Floats,  # (n, N_FEATURES)
    weights: PoolWeights,
) -> Floats:
    """What a pool adds to UCB whatever the viewer and the clock, (n,)."""
    return (
        weights.engagement * features[:, 0]
        + weights.popularity * features[:, 3]
        + weights.quality * features[:, 2]
        + weights.diversity * features[:, 4]
        + weights.rarity * features[:, 11]
    )


def flow(
    scores: Floats,  # (n,)
    candidates: Bools,  # (n,) kept
    size: int,
) -> Best:
    """The best."""
    return Best(best(scores, candidates, size))


def flow_page(
    scores: Floats,  # (n,)
    candidates: Bools,  # (n,) kept
    tier: Indices,  # (n,) lower first
) -> Best:
    """The best of the lowest tier, over all flows: what a page of flows alone is ordered by."""
    rows = np.flatnonzero(candidates)
    return Best(rows[np.lexsort((-scores[rows], tier[rows]))])


def tiers(
    creator: Indices,  # (n,) of the flows
    viewer: Viewer,
    shown: Indices,  # rows of flows shown in earlier sessions
) -> Indices:
    """Connections' flows before others', and whatever was shown before after both. (n,)"""
    tier = (~np.isin(creator, viewer.connections)).astype(np.int32)
    tier[shown] += 2
    return tier


def best(scores: Floats, candidates: Bools, size: int) -> Ints:
    """The best `size` candidates, best first; of equal scores the lower row."""
    rows = np.flatnonzero(candidates)
    values = scores[rows]
    if len(rows) > size:
        bar = np.partition(values, len(values) - size)[len(values) - size]
        high = np.flatnonzero(values >= bar)
        rows, values = rows[high], values[high]
    order: Sequence[int] | np.ndarray = np.argsort(-values, kind="stable")[:size]
    return rows[order]
