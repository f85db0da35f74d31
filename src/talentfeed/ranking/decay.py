"""Recency without an exponential an item and request."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import NO_DATE, SECONDS_PER_DAY, Floats

RECENCY_DAYS = 28.0
_RECENCY_SECONDS = RECENCY_DAYS * SECONDS_PER_DAY
_MAX_EXPONENT = 700.0


@dataclass(frozen=True, slots=True)
class Decay:
    """exp(-d/28) as exp((created - epoch)/28) exp((epoch - now)/28): one multiplication an item."""

    epoch: float  # the newest date
    dated: Floats  # (n,) created_at; minus infinity without a date
    decayed: Floats  # (n,) exp((created - epoch)/28)

    @classmethod
    def of(cls, created_at: Floats) -> Self:
        """Arrange once a snapshot."""
        epoch = float(created_at.max(initial=NO_DATE))
        dated = np.where(created_at == NO_DATE, -np.inf, created_at)
        return cls(epoch, dated, np.exp((dated - epoch) / _RECENCY_SECONDS))

    def at(self, now: float) -> Floats:
        """Recency of each, (n,)."""
        return decayed_at(self.decayed, self.epoch, now)


def decayed_at(decayed: Floats, epoch: float, now: float) -> Floats:
    """exp(-d/28), at most 1, from exp((created - epoch)/28)."""
    factor = math.exp(max(min((epoch - now) / _RECENCY_SECONDS, _MAX_EXPONENT), -_MAX_EXPONENT))
    recency = decayed * factor
    return np.minimum(recency, 1.0, out=recency)
