"""`learned` in play until the kernel has this preset: posterior means, ALS with fold-in, and one LinUCB over both."""

from collections.abc import Callable, Sequence

import numpy as np

from talentfeed.contracts import BanditState, Floats, Ints
from talentfeed.ranking import linucb

STRENGTH = 20.0  # impressions that a video's prior weighs
TRUST = 20.0  # rewards that the first weights (posterior mean 1, likeness 0) weigh
ALPHA = 0.03
_HOPE = 0.5  # mean reward of the most popular video before any reward is known


class LearnedPlayer:
    """LinUCB over two features: the posterior mean of a video's reward, and its likeness to what this user liked."""

    def __init__(
        self,
        popularity: Floats,  # (videos,) likes in training
        likeness: Callable[
            [Ints], Floats
        ],  # rows of liked videos in the catalogue → of every video of the block, (videos,)
        liked: Sequence[Ints],  # by user, rows in the catalogue liked in training, oldest first
        catalogue: Ints,  # (videos,) rows of the block's videos in the catalogue
    ) -> None:
        self._popularity = np.maximum(popularity, 0.5)
        self._likeness = likeness
        self._liked = [list(rows.tolist()) for rows in liked]
        self._catalogue = catalogue
        self._shown = np.zeros(len(popularity))
        self._rewarded = np.zeros(len(popularity))
        self._state = BanditState(
            A=TRUST * np.eye(2), b=np.array([TRUST, 0.0]), error_n=0.0, error_sum=0.0, error_sum2=0.0, rewards=0
        )
        self._x = np.zeros((len(popularity), 2))

    def scores(self, user: int, _turn: int, /) -> Floats:
        """UCB of every video."""
        rows = np.array(self._liked[user][::-1], np.int64)
        self._x = np.stack([self._posterior(), self._likeness(rows)], axis=1)
        return linucb.score(self._state, self._x, alpha=ALPHA, beta=0.0).ucb

    def learn(self, user: int, rows: Ints, rewards: Floats) -> None:
        """Count, fold in, and let LinUCB learn from the features as they were served."""
        self._state = linucb.update_many(self._state, self._x[rows], rewards)
        self._shown[rows] += 1
        self._rewarded[rows] += rewards
        self._liked[user] += self._catalogue[rows[rewards > 0]].tolist()

    def _posterior(self) -> Floats:
        """Beta posterior means. Prior means are in proportion to popularity; what rewards say so far sets the scale."""
        most = float(self._popularity.max())
        scale = (_HOPE + float(self._rewarded.sum())) / (most + float(self._shown @ self._popularity))
        prior = np.minimum(scale * self._popularity, 1.0)
        mean: Floats = (STRENGTH * prior + self._rewarded) / (STRENGTH + self._shown)
        return mean
