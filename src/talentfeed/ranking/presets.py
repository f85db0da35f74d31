"""Every weight of the ranking, in one place. SPEC 6: the preset `classic`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from talentfeed.contracts import Pool
from talentfeed.errors import PatternError

DECAY = 0.98  # of the sums of prediction errors, a reward
PRIOR_VARIANCE = 0.7  # adaptive variance until KNOWN_REWARDS are known
KNOWN_REWARDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolWeights:
    """One row of the table: the score is UCB(alpha, beta) plus each weight times the quantity of its name."""

    size: int | None  # places on the shortlist; None: the pool draws from all candidates
    overdraw: int = 1  # the shortlist is this many times `size`
    among: int | None = None  # a draw is among so many of the best that may stand; None: among all of the shortlist
    alpha: float = 0.0
    beta: float = 0.0
    engagement: float = 0.0
    popularity: float = 0.0
    quality: float = 0.0
    similarity: float = 0.0
    match: float = 0.0
    recency: float = 0.0  # without the freshness boost
    diversity: float = 0.0
    rarity: float = 0.0  # of rarity/100
    new: float = 0.0  # added to a new video
    noise: float = 0.0  # width of a uniform noise, a request and item

    @property
    def shortlist(self) -> int:
        """How many of the best may be drawn."""
        if self.size is None:
            raise ValueError("this pool has no shortlist: it draws from all candidates")
        return self.size * self.overdraw


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedWeights:
    """Where one bandit, shared by the pools, ranks what the blend retrieved."""

    start: Mapping[str, float]  # theta before any reward, by name of the feature; the others 0
    trust: float  # rewards that the start weighs
    retrieved: Mapping[Pool, int]  # best by the blend that are scored, of each pool's candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named set of weights."""

    name: str
    popular: PoolWeights
    affinity: PoolWeights
    fresh: PoolWeights
    flow: PoolWeights
    explore: PoolWeights
    feature_noise: float  # width of feature 17
    epsilon: float  # share of uniform exploration in each slot
    learned: LearnedWeights | None = None  # None: each pool scores all its candidates by a bandit of its own

    @property
    def bandits(self) -> tuple[Pool, ...]:
        """The pools that have a bandit of their own."""
        return tuple(dict.fromkeys(map(self.bandit_of, (Pool.POPULAR, Pool.AFFINITY, Pool.FRESH))))

    def bandit_of(self, pool: Pool) -> Pool:
        """Whose bandit scores a pool's videos and learns from them."""
        return pool if self.learned is None else Pool.AFFINITY

    def of(self, pool: Pool) -> PoolWeights:
        """The weights of a pool."""
        by_pool = {
            Pool.POPULAR: self.popular,
            Pool.AFFINITY: self.affinity,
            Pool.FRESH: self.fresh,
            Pool.FLOW: self.flow,
            Pool.EXPLORE: self.explore,
        }
        return by_pool[pool]


_CLASSIC = Preset(
    name="classic",
    popular=PoolWeights(
        size=110, overdraw=2, alpha=1.5, beta=0.8, engagement=2.2, popularity=1.6, quality=1.8, new=1.4
    ),
    affinity=PoolWeights(size=170, alpha=1.8, beta=1.0, similarity=2.8, match=2.5, new=0.9),
    fresh=PoolWeights(size=95, overdraw=2, alpha=2.5, beta=1.3, recency=2.5, diversity=1.8, rarity=1.4, noise=0.6),
    flow=PoolWeights(size=40, recency=60.0, noise=40.0),
    # The table's 75 bounds what the old service materialised: a uniform draw over all needs no shortlist.
    explore=PoolWeights(size=None),
    feature_noise=0.3,
    epsilon=0.02,
)

_LEARNED = Preset(
    name="learned",
    popular=PoolWeights(size=128, among=12, alpha=0.03),
    affinity=PoolWeights(size=170, alpha=0.03),
    fresh=PoolWeights(size=128, among=12, alpha=0.03),
    flow=_CLASSIC.flow,
    explore=PoolWeights(size=None),
    feature_noise=0.3,
    epsilon=0.02,
    learned=LearnedWeights(
        start={"blend": 1.0},  # what was fitted, as it is: its weights are those of `talentfeed fit`
        trust=20.0,
        retrieved={Pool.POPULAR: 128, Pool.AFFINITY: 256, Pool.FRESH: 128},
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({one.name: one for one in (_CLASSIC, _LEARNED)})


def preset(name: str) -> Preset:
    """The preset of that name. Raises PatternError with the known names."""
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join(sorted(PRESETS))
        raise PatternError(f"preset {name!r}: there is no such preset; use one of: {known}") from None
