"""Stage 4: the one routine that scores videos, some or all of them. SPEC 6.

With x = s + z (s the fixed columns, z the moving ones) theta^T x = theta^T s + theta^T z and
x^T M x = s^T M s + z^T (2 M s + M z), M = A^-1: what s gives is kept, in three numbers and one for each moving
column. A row's score has the same bits whatever rows are scored with it: the rest is elementwise, but for M z and
theta^T z, which are products of matrices of one and the same shape (see `_product`).

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
TILE = 256


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the fixed columns of some videos give."""

    base: Floats  # (pools, videos) theta^T s + the pool's fixed bonus
    width: Floats  # (pools, videos) s^T M s
    cross: Floats  # (N_MOVING, pools, videos) 2 M s
    tiled: Floats | None = None  # (pools, tiles, N_MOVING, TILE) the same, kept where it is asked for at every request

    def in_tiles(self) -> Floats:
        """`cross` as tiles, the last filled up with zeros."""
        if self.tiled is not None:
            return self.tiled
        _, pools, videos = self.cross.shape
        tiles = np.zeros((pools, -(-videos // TILE), N_MOVING, TILE))
        whole = videos // TILE
        tiles[:, :whole] = self.cross[:, :, : whole * TILE].reshape(N_MOVING, pools, whole, TILE).transpose(1, 2, 0, 3)
        if whole * TILE < videos:
            tiles[:, whole, :, : videos - whole * TILE] = self.cross[:, :, whole * TILE :].transpose(1, 0, 2)
        return tiles


@dataclass(frozen=True, slots=True)
class Weights:
    """What the pools make of the moving columns."""

    linear: Floats  # (N_MOVING, pools, 1) theta, and what the pool adds to similarity and match
    matrix: Floats  # (pools, 1, N_MOVING + 1, N_MOVING) M, and `linear` below it
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
        matrix = np.stack([np.vstack([bandit.inverse, linear[:, n]]) for n, bandit in enumerate(bandits)])
        return cls(
            linear=linear[..., None],
            matrix=matrix[:, None],
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
            self.matrix[span],
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
    pools, videos = fixed.base.shape
    tiles = z.reshape(N_MOVING, z.shape[1], -1, TILE).transpose(1, 2, 0, 3)  # (pools or 1, tiles, N_MOVING, TILE)
    products = _product(weights.matrix, tiles)
    mean = products[:, :, N_MOVING].reshape(pools, -1)[:, :videos] + fixed.base
    products = products[:, :, :N_MOVING]
    products += fixed.in_tiles()
    products *= tiles
    width = np.add.reduce(products, axis=2).reshape(pools, -1)[:, :videos] + fixed.width
    np.maximum(width, 0.0, out=width)
    mean += weights.beta_variance * width
    np.sqrt(width, out=width)
    width *= weights.alpha
    mean += width
    mean += weights.new * age.new
    mean += weights.recency * age.recency
    for pool, wide in enumerate(weights.noise):
        if wide:
            counter = facts.counter if facts.counter.ndim == 1 else facts.counter[pool]
            mean[pool] += wide * noise.uniforms(moment.seed, Stream.FRESH, counter)
    return mean, age.new


def _moving(facts: Facts, age: Youth, weights: Weights, moment: Moment) -> Floats:
    """The moving columns, (N_MOVING, pools or 1, videos filled up to whole tiles)."""
    taste = moment.taste
    videos = facts.rows.shape[-1]
    pools = facts.rows.shape[0] if facts.rows.ndim > 1 else 1
    z = np.zeros((N_MOVING, pools, -(-videos // TILE) * TILE))
    for column, values in (
        (0, age.boosted),
        (1, taste.similarity(facts)),
        (2, taste.match(facts)),
        (3, taste.city(facts)),
        (4, taste.connection(facts)),
        (5, taste.influence),
        (6, noise.uniforms(moment.seed, Stream.FEATURE, facts.counter)),
    ):
        if values is not None:
            z[column, :, :videos] = values
    z[6] *= weights.feature_noise
    return z


def _product(matrix: Floats, tiles: Floats) -> Floats:
    """(p, 1, m, 7) @ (p or 1, t, 7, TILE).

    A library of linear algebra may round a column by where it stands in a matrix. In one of TILE columns this one does
    not, which is tried out once for every column; else the sums are written out.
    """
    if _even:
        product: Floats = np.matmul(matrix, tiles)
        return product
    total: Floats = matrix[..., 0, None] * tiles[..., 0, None, :]
    for k in range(1, N_MOVING):
        total += matrix[..., k, None] * tiles[..., k, None, :]
    return total


def _is_even() -> bool:
    """Whether a product's columns have the same bits at every place of a tile, among any number of tiles."""
    rng = np.random.default_rng(0)
    for count in (1, 3):
        matrix, columns = rng.normal(size=(2, 1, N_MOVING + 1, N_MOVING)), rng.normal(size=(8, N_MOVING, 1, 1, 1))
        for column in columns:
            z = np.ascontiguousarray(np.broadcast_to(column, (N_MOVING, 1, count, TILE))).transpose(1, 2, 0, 3)
            products = np.matmul(matrix, z)
            alone = np.matmul(matrix[1:], np.ascontiguousarray(z[:, :1]))[0, 0, :, :1]
            if not ((products == products[:, :1, :, :1]).all() and (products[1] == alone).all()):
                return False
    return True


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)[:, None]


_even = _is_even()
