"""Stage 5, its search, made ready: each pool's candidates in the order of a bound that no score of theirs can pass.

`native/score.c` scores from the best bound on; whoever has a bound below the last place on the shortlist cannot enter
it, so the rest of the order is not looked at. What is returned is what a full scan returns.

The bound, with m the moving columns' upper ends, X = 2 M s and ( )+ the positive part:
x^T M x <= s^T M s + sum_j (X_j)+ m_j + max z^T M z, and theta^T z <= sum_j (theta_j)+ m_j. Recency only falls with
time, so it is bounded where the snapshot's newest item was made, a day before to be safe from clocks. What the
viewer's connections made is not bounded but scored: it is little, and a column that is hardly ever 1 is so uncertain
that a bound for it would bound nothing. Rounding is covered by a margin far above it.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import NEW_DAYS, SECONDS_PER_DAY, Bools, Floats, Indices, Pool
from talentfeed.ranking import features, native
from talentfeed.ranking.catalogue import Arranged
from talentfeed.ranking.linucb import Prepared
from talentfeed.ranking.presets import PoolWeights

_MARGIN = 1e-9
_MOST_RECENT = features.BOOST
_LEEWAY = SECONDS_PER_DAY
_SIMILARITY, _MATCH = features.MOVING.index(5), features.MOVING.index(6)


def since(arranged: Arranged) -> float:
    """Bounds hold from this time on."""
    return arranged.epoch - _LEEWAY


@dataclass(frozen=True, slots=True)
class Board:
    """One pool's videos, its candidates first, best bound first. n videos."""

    fixed: NDArray[np.void]  # (n,) native.FIXED
    glances: NDArray[np.void]  # (n,) native.GLANCE
    places: Indices  # (n,) by row
    bounds: NDArray[np.float32]  # (n,) by row
    members: int
    linear: Floats  # (7,)
    bandit: Prepared
    weights: PoolWeights
    pool: Pool

    def point(self, to: native.Board) -> None:
        """Fill a board of the compiled kernel. It is valid while this object lives."""
        native.fill(to, {"fixed": self.fixed, "glances": self.glances, "places": self.places, "bounds": self.bounds})
        to.members, to.size, to.only_new = self.members, self.weights.shortlist, self.pool is Pool.FRESH
        to.n = self.members if self.pool is Pool.POPULAR else len(self.places)
        to.linear = type(to.linear)(*self.linear)
        for line, values in enumerate(self.bandit.inverse):
            to.matrix[line] = type(to.matrix[line])(*values)
        to.alpha, to.beta_variance = self.bandit.alpha, self.bandit.beta_variance
        to.recency, to.fresh, to.noise = self.weights.recency, self.weights.new, self.weights.noise


def board(
    arranged: Arranged,
    pool: Pool,
    bandit: Prepared,
    weights: PoolWeights,
    features_: Floats,  # (n, N_FEATURES)
    *,
    feature_noise: float,
    most_influence: float,
) -> Board:
    """Arrange once a snapshot and policy."""
    start = since(arranged)
    bonus = fixed_bonus(features_, weights)
    linear = bandit.theta.copy()
    linear[[_SIMILARITY, _MATCH]] += weights.similarity, weights.match
    bounds, rest = _bounds(
        arranged, bandit, weights, linear, bonus, now=start, feature_noise=feature_noise, most_influence=most_influence
    )
    member = _members(pool, features_, start - arranged.videos["dated"])
    bound = _up(bounds)
    rows = np.argsort(np.where(member, -bound, np.inf), kind="stable").astype(np.int32)
    fixed = np.zeros(len(rows), native.FIXED)
    fixed["base"], fixed["width"] = (bandit.base + bonus)[rows], bandit.base_width[rows]
    fixed["cross"][:, : native.N_MOVING] = bandit.cross[:, rows].T
    glances = np.zeros(len(rows), native.GLANCE)
    glances["bound"], glances["rest"], glances["row"] = bound[rows], _up(rest)[rows], rows
    glances["decayed"] = _up(arranged.videos["decayed"])[rows]
    glances["counter"] = arranged.videos["counter"][rows]
    places = np.empty(len(rows), np.int32)
    places[rows] = np.arange(len(rows))
    return Board(fixed, glances, places, bound, int(np.count_nonzero(member)), linear, bandit, weights, pool)


def fixed_bonus(
    features_: Floats,  # (n, N_FEATURES)
    weights: PoolWeights,
) -> Floats:
    """What a pool adds to UCB whatever the viewer and the clock, (n,)."""
    return (
        weights.engagement * features_[:, 0]
        + weights.popularity * features_[:, 3]
        + weights.quality * features_[:, 2]
        + weights.diversity * features_[:, 4]
        + weights.rarity * features_[:, 11]
    )


def _members(pool: Pool, features_: Floats, age: Floats) -> Bools:
    """Who can be a candidate, (n,)."""
    if pool is Pool.POPULAR:
        return features_[:, 12] > 0
    if pool is Pool.FRESH:
        return age < NEW_DAYS * SECONDS_PER_DAY
    return np.ones(len(age), np.bool_)


def _bounds(
    arranged: Arranged,
    bandit: Prepared,
    weights: PoolWeights,
    linear: Floats,
    bonus: Floats,
    *,
    now: float,
    feature_noise: float,
    most_influence: float,
) -> tuple[Floats, Floats]:
    """Of each video that no connection of the viewer made, (n,) both: what a score cannot pass, but for what the
    viewer's columns add to theta^T x; and the same without recency, what is new, and the pool's noise.
    """
    recency = np.minimum(arranged.videos["decayed"] * features.decay(arranged.epoch, now), 1.0)
    age = now - arranged.videos["dated"]
    boosted = recency * np.where(age <= features.BOOST_DAYS * SECONDS_PER_DAY, features.BOOST, 1.0)
    most = np.array([_MOST_RECENT, 1.0, 1.0, 1.0, 0.0, most_influence, feature_noise])
    rest = np.array(list(product(*((0.0, end) for end in most[1:]))))
    square = bandit.inverse[1:, 1:]
    width = bandit.base_width + max(float(np.einsum("vj,jk,vk->v", rest, square, rest).max()), 0.0)
    for j in range(1, native.N_MOVING):
        width += np.maximum(bandit.cross[j], 0.0) * most[j]
    along = 2.0 * float(np.maximum(bandit.inverse[0, 1:], 0.0) @ most[1:])
    width += boosted * (np.maximum(bandit.cross[0], 0.0) + along + bandit.inverse[0, 0] * boosted)
    np.maximum(width, 0.0, out=width)
    alpha, beta = max(bandit.alpha, 0.0), max(bandit.beta_variance, 0.0)
    around: Floats = bandit.base + bonus + alpha * np.sqrt(width) + beta * width
    around += _MARGIN * (1.0 + np.abs(bandit.base) + np.abs(bonus) + np.abs(bandit.cross).sum(axis=0) + width)
    bound = around + max(float(linear[0]), 0.0) * boosted + max(weights.recency, 0.0) * recency
    bound += max(weights.new, 0.0) * (age < NEW_DAYS * SECONDS_PER_DAY) + max(weights.noise, 0.0)
    return bound + _MARGIN * (1.0 + np.abs(bound)), around


def _up(values: Floats) -> NDArray[np.float32]:
    """As float32, none below what it was."""
    found = values.astype(np.float32)
    return np.where(found < values, np.nextafter(found, np.float32(np.inf)), found)
