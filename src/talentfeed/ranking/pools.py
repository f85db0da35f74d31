"""Stage 5: five pools, five ways to choose. SPEC 6.

A pool is a shortlist of rows with a distribution over those of them that are admissible at a slot. `explore` has no
shortlist: it is uniform over all admissible items of a kind, which only the slate knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import Bools, Bytes, Floats, Indices, Ints, Viewer
from talentfeed.ranking.masks import Ground, Mask
from talentfeed.ranking.presets import PoolWeights


@dataclass(frozen=True, slots=True)
class Best:
    """Takes the best admissible."""

    order: Sequence[int]  # rows, best first

    @property
    def rows(self) -> Ints:
        """All that it offers."""
        return np.asarray(self.order, np.int64)

    def draw(self, ground: Ground, admissible: Mask, uniform: float) -> tuple[int, float] | None:  # noqa: ARG002
        """Row and its probability; None where nothing is admissible."""
        row = ground.first(admissible, self.order)
        return None if row is None else (row, 1.0)

    def probability(self, ground: Ground, admissible: Mask, row: int) -> float:
        """Of drawing that admissible row."""
        first = self.draw(ground, admissible, 0.0)
        return float(first is not None and first[0] == row)


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

    def draw(self, ground: Ground, admissible: Mask, uniform: float) -> tuple[int, float] | None:
        """Row and its probability; None where nothing is admissible."""
        weights, reach = self._admitted(ground.flags(admissible, self.rows))
        total = reach.item(-1) if len(reach) else 0.0
        if total <= 0.0:
            return None
        place = int(reach.searchsorted(uniform * total, side="right"))
        if place == len(reach):  # uniform * total rounded up to the total
            place = int(np.flatnonzero(weights)[-1])
        return self.rows.item(place), weights.item(place) / total

    def probability(self, ground: Ground, admissible: Mask, row: int) -> float:
        """Of drawing that admissible row."""
        places = np.flatnonzero(self.rows == row)
        if not len(places):
            return 0.0
        weights, reach = self._admitted(ground.flags(admissible, self.rows))
        return weights.item(places.item(0)) / reach.item(-1)

    def _admitted(self, flags: Bytes) -> tuple[Floats, Floats]:
        weights = self.weights * flags
        reach = weights.cumsum()
        if len(reach) and reach.item(-1) <= 0.0:
            weights = flags.astype(np.float64)
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
    return Best(best(scores, candidates, size).tolist())


def flow_page(
    scores: Floats,  # (n,)
    candidates: Bools,  # (n,) kept
    tier: Indices,  # (n,) lower first
) -> Best:
    """The best of the lowest tier, over all flows: what a page of flows alone is ordered by."""
    rows = np.flatnonzero(candidates)
    return Best(rows[np.lexsort((-scores[rows], tier[rows]))].tolist())


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
