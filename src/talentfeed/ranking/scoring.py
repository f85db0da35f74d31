"""Stage 4: the one routine that scores videos, some or all of them. SPEC 6.

With x = s + z (s the fixed columns, z the moving ones) theta^T x = theta^T s + theta^T z and
x^T M x = s^T M s + z^T (2 M s) + z^T M z, M = A^-1: what s gives is kept, in three numbers and one for each moving
column. The rest is elementwise with the sums written out, so a row's score has the same bits whatever rows are scored
with it; a moving column that is 0 for all is left out, which adds exactly what 0 would.

Several pools are scored at once: arrays are (pools, videos), weights (pools, 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from talentfeed.contracts import Bools, Floats
from talentfeed.ranking import noise
from talentfeed.ranking.features import MATCH, MOVING, SIMILARITY, Facts, Taste, Youth, youth
from talentfeed.ranking.linucb import Prepared
from talentfeed.ranking.noise import Stream
from talentfeed.ranking.presets import PoolWeights

N_MOVING = len(MOVING)
_INFLUENCE = MOVING.index(13)  # one number a request


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the fixed columns of some videos give."""

    base: Floats  # (pools, videos) theta^T s + the pool's fixed bonus
    width: Floats  # (pools, videos) s^T M s
    cross: Floats  # (N_MOVING, pools, videos) 2 M s


@dataclass(frozen=True, slots=True)
class Weights:
    """What the pools make of the moving columns."""

    linear: Floats  # (N_MOVING, pools, 1) theta, and what the pool adds to similarity and match
    square: Floats  # (N_MOVING, N_MOVING, pools, 1) M, off the diagonal twice
    alpha: Floats  # (pools, 1), as the next three
    beta_variance: Floats
    recency: Floats
    new: Floats
    noise: Sequence[float]  # by pool
    feature_noise: float

    @classmethod
    def of(cls, bandits: Sequence[Prepared], pools: Sequence[PoolWeights], feature_noise: float) -> Self:
        """Of some pools, in this order."""
        linear = np.stack([bandit.theta for bandit in bandits], axis=-1)
        linear[SIMILARITY] += [pool.similarity for pool in pools]
        linear[MATCH] += [pool.match for pool in pools]
        square = np.stack([bandit.inverse * (2.0 - np.eye(N_MOVING)) for bandit in bandits], axis=-1)
        return cls(
            linear=linear[..., None],
            square=square[..., None],
            alpha=_column([bandit.alpha for bandit in bandits]),
            beta_variance=_column([bandit.beta_variance for bandit in bandits]),
            recency=_column([pool.recency for pool in pools]),
            new=_column([pool.new for pool in pools]),
            noise=[pool.noise for pool in pools],
            feature_noise=feature_noise,
        )

    def only(self, pool: int) -> "Weights":
        """Of one of them."""
        span = slice(pool, pool + 1)
        return Weights(
            self.linear[:, span],
            self.square[:, :, span],
            self.alpha[span],
            self.beta_variance[span],
            self.recency[span],
            self.new[span],
            self.noise[span],
            self.feature_noise,
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """What a request brings to a score."""

    taste: Taste
    seed: int
    now: float
    epoch: float


def score(facts: Facts, fixed: Fixed, weights: Weights, moment: Moment) -> tuple[Floats, Bools]:
    """Scores, and which are new: (pools, videos) both, or (videos,) of `facts` for the second."""
    age = youth(facts, moment.epoch, moment.now)
    z = _moving(facts, age, weights, moment)
    mean, width = fixed.base.copy(), fixed.width.copy()
    influence = moment.taste.influence
    part, product = np.empty_like(mean), np.empty_like(mean)
    for j, one in z:
        square = weights.square[j]
        np.multiply(square[j], one, out=part)
        part += fixed.cross[j]
        if influence:
            part += square[_INFLUENCE] * influence
        for k, other in z:
            if k > j:
                part += np.multiply(square[k], other, out=product)
        part *= one
        width += part
        mean += np.multiply(weights.linear[j], one, out=product)
    if influence:
        np.multiply(fixed.cross[_INFLUENCE], influence, out=part)
        part += weights.square[_INFLUENCE, _INFLUENCE] * (influence * influence)
        width += part
        mean += weights.linear[_INFLUENCE] * influence
    np.maximum(width, 0.0, out=width)
    mean += np.multiply(weights.beta_variance, width, out=product)
    np.sqrt(width, out=width)
    width *= weights.alpha
    mean += width
    mean += np.multiply(weights.new, age.new, out=product)
    mean += np.multiply(weights.recency, age.recency, out=product)
    for pool, wide in enumerate(weights.noise):
        if wide:
            counter = facts.counter if facts.counter.ndim == 1 else facts.counter[pool]
            mean[pool] += wide * noise.uniforms(moment.seed, Stream.FRESH, counter)
    return mean, age.new


def _moving(facts: Facts, age: Youth, weights: Weights, moment: Moment) -> list[tuple[int, Floats]]:
    """The moving columns that are not 0 for all, by their number in MOVING; influence apart."""
    taste = moment.taste
    wobble = noise.uniforms(moment.seed, Stream.FEATURE, facts.counter)
    wobble *= weights.feature_noise
    z: list[tuple[int, Floats | None]] = [
        (0, age.boosted),
        (1, taste.similarity(facts)),
        (2, taste.match(facts)),
        (3, taste.city(facts)),
        (4, taste.connection(facts)),
        (6, wobble),
    ]
    return [(number, one) for number, one in z if one is not None]


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)[:, None]
