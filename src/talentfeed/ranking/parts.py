"""A score in its parts: what each feature, the bonuses and each fixed weight of a pool add. SPEC 6.

The definitions are those that rank; here they are kept apart and named. Their sum is the score to within rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import Floats, Pool
from talentfeed.ranking import features, learned, linucb, noise
from talentfeed.ranking.feed import Ranker
from talentfeed.ranking.noise import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureShare:
    """What one feature adds to a score."""

    feature: str
    x: float
    theta: float
    adds: float  # theta x


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreParts:
    """A score, split: the sum of `features`, the two bonuses and `boosts`."""

    score: float
    features: Sequence[FeatureShare]  # each of the preset's; none for a flow
    uncertainty_bonus: float  # alpha sqrt(x^T A^-1 x)
    adaptive_bonus: float  # beta sigma^2 x^T A^-1 x
    boosts: Mapping[str, float]  # the pool's fixed weights, by name; those of weight 0 are left out

    @property
    def total(self) -> float:
        """All parts added up."""
        return (
            sum(share.adds for share in self.features)
            + self.uncertainty_bonus
            + self.adaptive_bonus
            + sum(self.boosts.values())
        )


def video_parts(
    ranker: Ranker,
    pool: Pool,  # one that learns
    rows: Sequence[int],
    x: Floats,  # (rows, features) as `video_features`
    scores: Floats,  # (videos,) of this pool, as they ranked
    *,
    now: float,
    seed: int,
) -> list[ScoreParts]:
    """The parts of some videos' scores in a pool."""
    videos, weights = ranker.snapshot.videos, ranker.preset.of(pool)
    picked = list(rows)
    ages = features.ages(np.asarray(videos.created_at)[picked], now)
    state = ranker.policy.bandits[ranker.preset.bandit_of(pool)]
    ucb = linucb.score(state, x, alpha=weights.alpha, beta=weights.beta)
    theta = linucb.derive(state).theta
    names = learned.names_of(ranker.preset)
    column = dict(zip(names, x.T, strict=True))
    uniform = noise.uniforms(seed, Stream.FRESH, noise.counters(np.asarray(videos.id)[picked]))
    boosts = {
        "engagement": weights.engagement * column["engagement"],
        "popularity": weights.popularity * column["popularity"],
        "quality": weights.quality * column["quality"],
        "similarity": weights.similarity * column["skill_similarity"],
        "match": weights.match * column["extended_match"],
        "recency": weights.recency * ages.recency,
        "diversity": weights.diversity * column["skill_diversity"],
        "rarity": weights.rarity * column["skill_rarity"],
        "new": weights.new * ages.new,
        "noise": weights.noise * uniform,
    }
    return [
        ScoreParts(
            score=float(scores[row]),
            features=[
                FeatureShare(feature=name, x=value, theta=weight, adds=value * weight)
                for name, value, weight in zip(names, x[n].tolist(), theta.tolist(), strict=True)
            ],
            uncertainty_bonus=float(ucb.uncertainty[n]),
            adaptive_bonus=float(ucb.adaptive[n]),
            boosts={name: float(values[n]) for name, values in boosts.items() if getattr(weights, name)},
        )
        for n, row in enumerate(picked)
    ]


def flow_parts(
    ranker: Ranker,
    rows: Sequence[int],
    scores: Floats,  # (flows,) as they ranked
    *,
    now: float,
    seed: int,
) -> list[ScoreParts]:
    """The parts of some flows' scores: noise and recency, nothing learned."""
    flows, weights = ranker.snapshot.flows, ranker.preset.flow
    picked = list(rows)
    recency = weights.recency * features.ages(np.asarray(flows.created_at)[picked], now).recency
    wobble = weights.noise * noise.uniforms(seed, Stream.FLOW, noise.counters(np.asarray(flows.id)[picked]))
    return [
        ScoreParts(
            score=float(scores[row]),
            features=[],
            uncertainty_bonus=0.0,
            adaptive_bonus=0.0,
            boosts={"recency": float(recency[n]), "noise": float(wobble[n])},
        )
        for n, row in enumerate(picked)
    ]
