"""Stage 3: the 18 columns. SPEC 6. Eleven stand in the snapshot; the seven that move with viewer and clock are made in
`native/score.c`. Here is what is known of them without a request."""

from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import (
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOOLS,
    NEW_DAYS,
    NO_DATE,
    NO_TOKEN,
    SECONDS_PER_DAY,
    Bools,
    Bytes,
    Floats,
    Indices,
)

MOVING = (1, 5, 6, 7, 8, 13, 17)  # recency, skill similarity, extended match, city, connection, influence, noise
RECENCY_DAYS = 28.0
BOOST, BOOST_DAYS = 1.5, 30.0
# points of one shared skill, knowledge, tool, language
_POINTS = np.repeat(np.array((15, 12, 10, 8), np.uint8), (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES))
_RECENCY_SECONDS = RECENCY_DAYS * SECONDS_PER_DAY
_MAX_EXPONENT = 700.0


@dataclass(frozen=True, slots=True)
class Ages:
    """What the clock makes of items, each (n,)."""

    recency: Floats  # exp(-d/28)
    boosted: Floats  # times the freshness boost
    new: Bools  # d < 45
    now: float


def ages(created_at: Floats, now: float) -> Ages:
    """SPEC 4. An item from the future is of age 0, one without a date is infinitely old."""
    days = np.maximum(now - created_at, 0.0)
    days /= SECONDS_PER_DAY
    days[created_at == NO_DATE] = np.inf
    recency = np.exp(days / -RECENCY_DAYS)
    return Ages(recency, recency * np.where(days <= BOOST_DAYS, BOOST, 1.0), days < NEW_DAYS, now)


def dated(created_at: Floats) -> Floats:
    """The dates; minus infinity where there is none. (n,)"""
    found: Floats = np.where(created_at == NO_DATE, -np.inf, created_at)
    return found


def decayed(dates: Floats, epoch: float) -> Floats:
    """exp((date - epoch)/28 days), (n,): times `decay` it is recency, without an exponential an item and request."""
    exponent = np.minimum((dates - epoch) / _RECENCY_SECONDS, _MAX_EXPONENT)
    found: Floats = np.exp(exponent)
    return found


def decay(epoch: float, now: float) -> float:
    """exp((epoch - now)/28 days)."""
    return float(np.exp(max(min((epoch - now) / _RECENCY_SECONDS, _MAX_EXPONENT), -_MAX_EXPONENT)))


def points(
    tokens: Indices,  # (n, N_TOKENS)
) -> Bytes:
    """By token id: what sharing it adds to extended match, in hundredths."""
    found = np.zeros(int(tokens.max(initial=0)) + 1, np.uint8)
    for column, value in enumerate(_POINTS):
        found[tokens[:, column]] = value
    found[NO_TOKEN] = 0
    return found
