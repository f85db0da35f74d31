"""What an explanation consists of. Items go by the platform's types and ids, pools by their codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from talentfeed.ranking.parts import ScoreParts


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What stands, or could have stood, at a place."""

    type: str  # resume or challenge
    id: int
    name: str
    creator: str  # their name, empty where it is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A skill of the viewer."""

    name: str
    weight: float  # share among all the viewer's skill mentions


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerSummary:
    """What was known of the viewer when the feed was made."""

    user_id: int
    known: bool
    skills: Sequence[Weight]  # heaviest first
    cities: Sequence[str]
    connections: int
    seen_videos: int
    seen_flows: int
    recent_events: int  # reported by clients and read with the feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What the filters left of the items of a type."""

    all: int
    removed: Mapping[str, int]  # excluded, already_seen
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCandidates:
    """What a pool made of what was left."""

    meaning: str
    removed: Mapping[str, int]  # by its own filter: quality_gate, not_new, retrieval
    candidates: int
    shortlist: int  # of them, those that a place can be drawn from


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How the probability comes about: (1 - explore_share) * from_pool + explore_share / admissible."""

    from_pool: float  # the pool's own probability of this item, among what may stand
    explore_share: float  # epsilon; 0 where the place is the pool EXPLORE's, and where nothing was left to chance
    admissible: int  # items of the type that may stand here


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A candidate of the pool that did not get the place."""

    item: Item
    score: float
    reason: str  # a rule; or chance, explored, score, shortlist
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotExplanation:
    """One place."""

    place: int  # from 0
    why: str  # one sentence
    item: Item
    pool: str
    pool_meaning: str
    planned: str  # the pattern's pool for this place
    fell_through: bool  # `planned` had nothing that may stand here
    explored: bool
    probability: float
    draw: Draw
    gave_way: Sequence[str]
    score: ScoreParts | None  # None: the pool does not score
    tier: int | None  # in a page of flows, what orders before the score: 0 of connections, 1 others; +2 shown before
    passed_over: Mapping[str, int]  # candidates of the pool ahead of this one, by what kept them from the place
    lost: Sequence[Lost]  # the three best


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """A place that another pool than the planned one filled."""

    slot: int
    planned: str
    pool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a feed is as it is."""

    feed_id: str
    identical: bool  # the feed, ranked again, is the one that was served
    endpoint: str
    snapshot: str
    policy: str
    preset: str
    epsilon: float
    now: str  # ISO 8601, UTC: what ages were taken against
    viewer: ViewerSummary
    candidates: Mapping[str, Candidates]  # by type
    pools: Mapping[str, PoolCandidates]
    gave_way: Sequence[str]
    fallbacks: Sequence[Fallback]
    slots: Sequence[SlotExplanation]
