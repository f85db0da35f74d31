"""Nouns of retrieval: what was shown to whom, and what it says of each video. Shapes and dtypes, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Indices = NDArray[np.int32]

ITEM_SIGNALS = ("popularity_12h", "popularity_3d", "shown", "worth")  # columns of `Signals.items`
VIEWER_SIGNALS = ("als", "co_view")  # what the viewer's own events add to a video
SUITING = ("skill_similarity", "extended_match")  # how a video suits the viewer's taste; without events, the profile

# What a match with the viewer is taken for where the data do not say, in log-odds of a full one against none: of what
# people do themselves it says nothing more; of a profile about what being liked seven times as often says.
TASTE_PRIOR: Mapping[str, float] = MappingProxyType(dict.fromkeys(SUITING, 0.0))
PROFILE_PRIOR: Mapping[str, float] = MappingProxyType(dict.fromkeys(SUITING, 2.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """Who was shown what and what came of it, oldest first; rows without a time come first. m = rows."""

    user: Indices  # (m,) row of the user
    video: Indices  # (m,) row of the video
    at: Floats  # (m,) NO_DATE where unknown
    reward: Floats  # (m,) in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """A logistic model of `a viewer meets this video and likes it`: weights by signal, and the constants.

    sigmoid(level + weights · signals) is the probability that a pair is one that was liked, and not one of the videos
    drawn uniformly beside it in the fit. `taste` and `profile` come on top of `warm` and `cold`, each with its level.
    """

    warm: Mapping[str, float]  # with a history: ITEM_SIGNALS and VIEWER_SIGNALS
    cold: Mapping[str, float]  # without: ITEM_SIGNALS
    warm_level: float
    cold_level: float
    taste: Mapping[str, float] = field(default_factory=lambda: dict(TASTE_PRIOR))  # with a history: SUITING
    profile: Mapping[str, float] = field(default_factory=lambda: dict(PROFILE_PRIOR))  # without: SUITING
    taste_level: float = 0.0
    profile_level: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """n = videos, f = factors, k = neighbours, u = users. Rows are those of the snapshot's videos and users."""

    items: Floats  # (n, len(ITEM_SIGNALS)) logarithms of popularity (two half-lives), of times shown, of mean reward
    prior: tuple[float, float]  # a and b of the beta prior of a video's mean reward
    shown: Floats  # (n,) times shown
    rewarded: Floats  # (n,) sum of rewards: with `prior` the posterior is beta(a + rewarded, b + shown - rewarded)
    factors: Singles  # (n, f) of ALS
    gram: Floats  # (f, f) Y^T Y + lambda I, which fold-in starts from
    confidence: float  # of a pair that was seen, against 1 of one that was not
    neighbour: Indices  # (n, k) videos most often shown to the same viewers, nearest first
    closeness: Singles  # (n, k) 0 where they share no viewer
    apart: Floats  # (n,) mean closeness of a video to those that do not have it among their neighbours
    event_start: Ints  # (u + 1,) where each user's events begin in `event_video`
    event_video: Indices  # each user's newest distinct videos, newest first, at most HISTORY
    blend: Blend
