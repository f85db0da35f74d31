"""Which videos are new, from a mask that is kept: between two requests few of them come of age."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import NEW_DAYS, SECONDS_PER_DAY, Floats, Ints
from talentfeed.ranking.masks import Ground, Mask

_SPAN = NEW_DAYS * SECONDS_PER_DAY
_FEW = 64  # from one video in so many on, the dates of all are compared


@dataclass(frozen=True, slots=True)
class Calendar:
    """The videos by date."""

    ground: Ground
    dated: Floats  # (n,) created_at; minus infinity without a date
    order: Ints  # (n,) rows, oldest first
    ascending: Floats  # (n,) their dates
    kept: Mask  # those new at the newest date
    kept_first: int  # where they begin in `order`

    @classmethod
    def of(cls, dated: Floats, ground: Ground) -> Self:
        """Arrange once a snapshot."""
        order = np.argsort(dated, kind="stable").astype(np.int64)
        ascending = dated[order]
        at = ascending.item(-1) if np.isfinite(ascending[-1:]).any() else 0.0
        return cls(ground, dated, order, ascending, ground.of(_is_new(dated, at)), _first_new(ascending, at))

    def new(self, now: float) -> Mask:
        """Younger than 45 days at a time. The mask may be one that is kept: not to be changed in place."""
        first, kept = _first_new(self.ascending, now), self.kept_first
        if first == kept:
            return self.kept
        if abs(first - kept) * _FEW > self.ground.n:
            return self.ground.of(_is_new(self.dated, now))
        mask = self.kept if self.ground.small else self.kept.copy()
        if first > kept:
            return self.ground.drop(mask, self.order[kept:first])
        return self.ground.put(mask, self.order[first:kept])


def _is_new(dated: Floats, now: float) -> np.ndarray:
    new: np.ndarray = now - dated < _SPAN
    return new


def _first_new(ascending: Floats, now: float) -> int:
    """By the comparison that tells of each video whether it is new, so that rounding cannot part the two."""
    return bisect_left(range(len(ascending)), True, key=lambda place: now - ascending.item(place) < _SPAN)
