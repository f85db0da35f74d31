"""Made logs of what was shown to whom: two circles of viewers, each with videos of its own."""

import numpy as np

from talentfeed.contracts import SECONDS_PER_DAY
from talentfeed.evidence import Interactions

CLOCK = 1_700_000_000.0
USERS, VIDEOS = 120, 60


def two_circles(seed: int = 0, rows: int = 3_000) -> Interactions:
    """Users below 60 are mostly shown videos below 30 and like a share of them, the others the others."""
    rng = np.random.default_rng(seed)
    user = rng.integers(USERS, size=rows)
    own = rng.random(rows) < 0.9
    circle = np.where(own, user * 2 // USERS, 1 - user * 2 // USERS)
    popular = (VIDEOS // 2 * rng.random(rows) ** 2).astype(np.int64)
    video = circle * (VIDEOS // 2) + popular
    liked = rng.random(rows) < np.where(own, 0.6, 0.2)
    return Interactions(
        user=user.astype(np.int32),
        video=video.astype(np.int32),
        at=CLOCK - SECONDS_PER_DAY * np.sort(10 * rng.random(rows))[::-1],
        reward=liked.astype(np.float64),
    )
