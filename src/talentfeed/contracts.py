"""The shared nouns: shapes and dtypes, no behaviour.

Times are float64 seconds since 1970-01-01 UTC. Ids are the platform's, int64. Inside the code an item is
(kind, index): its row in the snapshot's videos or flows. Arrays are read-only; most are memory-mapped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from talentfeed import evidence

Floats = evidence.Floats
Ints = evidence.Ints
Indices = evidence.Indices
Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

SCHEMA_VERSION = 2  # of a snapshot's files; a reader refuses a newer one

N_FEATURES = 18
FEATURE_NAMES = (
    "engagement",
    "recency",  # recency x freshness boost
    "quality",
    "popularity",
    "skill_diversity",
    "skill_similarity",
    "extended_match",
    "city_match",
    "is_connection",
    "views",  # log1p(views)/10
    "rating",  # avg_rating/5
    "skill_rarity",  # rarity/100
    "passes_quality_gate",
    "social_influence",
    "rating_count",  # share of the catalogue's maximum + 1, as the next two
    "like_count",
    "exhibited_count",
    "exploration_noise",
)

# Columns of `Videos.tokens`: at most so many of each kind are kept.
N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES = 5, 3, 3, 3
N_TOKENS = N_SKILLS + N_KNOWLEDGES + N_TOOLS + N_LANGUAGES

NO_TOKEN = 0  # padding in `Videos.tokens`: matches nothing
UNKNOWN_CITY = 0  # code of `Unknown`: matches nothing
NO_CREATOR = -1  # in `Users.creator`: this user has published nothing
NO_DATE = 0.0  # an item without a date is old

NEW_DAYS = 45.0  # a video younger than this is new
SECONDS_PER_DAY = 86_400.0
FEED_ID = "[0-9a-f]{32}"  # a regular expression
FEED_ID_FORM = "a feed's id: 32 hex digits, as `feed_id` of its answer"
CREATOR_WINDOW = 12  # no creator twice within so many consecutive items
HISTORY_KINDS = ("rating", "save", "match", "view", "share", "skip")  # codes of `Users.history_kind`
HISTORY = 80  # a viewer's taste is read from so many newest interactions


class Kind(IntEnum):
    """What an item is. The platform calls a video a resume and a flow a challenge."""

    VIDEO = 0
    FLOW = 1


class Pool(StrEnum):
    """The five pools by the codes that stay at the API edge and in stored activities."""

    POPULAR = "VMP"
    AFFINITY = "AU"
    FRESH = "NU"
    FLOW = "FW"
    EXPLORE = "EXPLORE"


class Rule(StrEnum):
    """The slate's rules that may give way, in the order in which they do. Rule 1 never does."""

    NEW_CONTENT = "new_content"  # 5
    SKILL_DIVERSITY = "skill_diversity"  # 4
    ALREADY_SEEN = "already_seen"  # 2
    CREATOR_WINDOW = "creator_window"  # 3


# ---------------------------------------------------------------- what exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a snapshot says of itself; `manifest.json` in its folder."""

    schema_version: int
    version: str  # names the folder; made of the watermark and the content's checksum
    watermark: float  # newest time in the input: the build's own clock
    counts: Mapping[str, int]  # videos, flows, users, interactions, connections, skills, ...
    skipped: Mapping[str, int]  # cleaned away, by kind
    checksums: Mapping[str, str]  # file name -> sha256
    media_base_url: str
    cities: Sequence[str]  # by city code; [UNKNOWN_CITY] is "Unknown"
    tokens: Sequence[str]  # by token id; [NO_TOKEN] is ""
    as_of: float | None = None  # the catalogue's day, where it was built as of one
    weights: str = ""  # names the blend of the signals; empty: built without signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Videos:
    """The servable videos, by ascending id. n = number of videos."""

    id: Ints  # (n,)
    creator: Indices  # (n,) code of the creator, shared with flows; one of its own where there is none
    created_at: Floats  # (n,) NO_DATE where unknown
    city: Indices  # (n,) code of the creator's city
    tokens: Indices  # (n, N_TOKENS) skills | knowledges | tools | languages, padded with NO_TOKEN
    features: Floats  # (n, N_FEATURES) the 11 columns that depend on the item alone and not on time; the others 0
    skill_norm: Floats  # (n,) length of the sum of its skills' embeddings; 0 without skills
    json: Bytes  # all items' encoded bodies (JSON objects, UTF-8), one after the other
    json_start: Ints  # (n + 1,) where each begins in `json`
    url: Bytes  # all items' video URLs (UTF-8), one after the other
    url_start: Ints  # (n + 1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """The servable flows, by ascending id. n = number of flows."""

    id: Ints  # (n,)
    creator: Indices  # (n,)
    created_at: Floats  # (n,)
    city: Indices  # (n,)
    json: Bytes
    json_start: Ints  # (n + 1,)
    url: Bytes
    url_start: Ints  # (n + 1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who is known, by ascending id. n = number of users. `*_start` are row pointers (n + 1,) into the array beside."""

    id: Ints  # (n,)
    city: Indices  # (n,)
    creator: Indices  # (n,) this user's creator code, or NO_CREATOR
    profile_start: Ints
    profile: Indices  # token ids, distinct per user; -1 is a skill that no video has: it counts as a weight only
    history_start: Ints
    history_video: Indices  # row in `Videos`; newest first; all of a user's interactions, a video may recur
    history_liked: Bools  # rating >= 3, save, match, like, or a view of at least half
    history_kind: NDArray[np.int8]  # what it was: a place in HISTORY_KINDS
    history_at: Floats  # NO_DATE where unknown
    flow_history_start: Ints
    flow_history: Indices  # row in `Flows`; newest first, distinct: flows the user has interacted with
    connection_start: Ints
    connection: Indices  # row in `Users`, ascending: accepted connections, both ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Skills:
    """Skill embeddings. Token ids 1..k are the skills that videos have; the other kinds of token follow.

    E = row-normalised (L2) co-occurrence matrix of skills over videos, diagonal included; similarity = E E^T.
    """

    n: int  # k
    similarity: Floats  # (k, k) dot products of the embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a feed needs of the platform, immutable. One folder of `.npy` files; see `snapshot.store`."""

    manifest: Manifest
    videos: Videos
    flows: Flows
    users: Users
    skills: Skills
    n_creators: int
    signals: evidence.Signals | None = None  # None: built without


# ---------------------------------------------------------------- who asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One client-reported event of the viewer that the snapshot may not know yet."""

    event_type: str  # video_view, like, save, rating, match, share, skip
    kind: Kind
    item_id: int
    at: float
    value: float | None = None  # rating 1-5
    watch_ratio: float | None = None


class Viewer(Struct, frozen=True, kw_only=True, gc=False):
    """What this user likes, knows and has seen. SPEC 5."""

    user_id: int
    known: bool  # False: an unknown id; gets the cold-start feed
    has_skills: bool  # False: similarity is 0.5 for every video
    skills: Indices  # (s,) token ids of skills that videos have
    skill_weights: Floats  # (s,) share of each among all the viewer's skill mentions
    tokens: Indices  # (t,) distinct token ids of all kinds: what extended match looks for
    cities: Indices  # city codes, without UNKNOWN_CITY
    connections: Indices  # creator codes of the viewer's connections who published something
    influence: float  # log1p(degree)/10
    seen_videos: Indices  # rows of videos, distinct, newest interaction first
    seen_flows: Indices  # rows of flows, distinct, newest first
    evidence: Indices  # rows of videos, distinct, newest first, at most HISTORY: what the blend is read from


class FeedRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One page that somebody asks for."""

    endpoint: str  # total, discover, flow
    pattern: Sequence[Pool]  # repeated to `size`
    size: int
    excluded_ids: Ints  # never served: an id excludes the video and the flow of that number
    recent_creators: Sequence[Sequence[int]]  # creator codes at each of the last 11 places, oldest first
    shown_flows: Indices  # rows of flows shown in earlier sessions: last in `flow`


# ---------------------------------------------------------------- what is decided


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditState:
    """One LinUCB: A and b stay exact; theta and the factorisation are derived."""

    A: Floats  # (d, d) I + sum x x^T
    b: Floats  # (d,) sum r x
    error_n: float  # decayed number of prediction errors
    error_sum: float
    error_sum2: float
    rewards: int  # not decayed: adaptive variance is a constant until ten are known


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Impressions and rewards by video. m = videos counted."""

    id: Ints  # (m,) ascending
    shown: Floats  # (m,)
    rewarded: Floats  # (m,) sums of rewards


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What ranks: the learned state of each learning pool, under a name that a feed's record keeps."""

    version: str
    bandits: Mapping[Pool, BanditState]  # of each pool that has one of its own; see `Preset.bandit_of`
    counts: Counts | None = None  # what came of each video since this policy's line began


class Slot(Struct, frozen=True, gc=False):
    """One chosen item and why."""

    kind: Kind
    index: int  # row in videos or flows
    pool: Pool  # the pool it was drawn from
    planned: Pool  # the pool the pattern names for this place; differs from `pool` where that had nothing admissible
    probability: float  # of this choice, given the noise and the slots before it
    explored: bool  # drawn by the share epsilon
    gave_way: tuple[Rule, ...]  # rules this one choice needed relaxed


class Slate(Struct, frozen=True, kw_only=True, gc=False):
    """A ranked page."""

    slots: Sequence[Slot]
    gave_way: Sequence[Rule]  # over the whole page, in the declared order
    removed: Mapping[str, int]  # candidates each filter took out: excluded, already_seen, ...


# ---------------------------------------------------------------- what people did


class EventType(StrEnum):
    """What an activity records. `feed_request` is the service's own; clients report the others."""

    FEED_REQUEST = "feed_request"
    VIDEO_VIEW = "video_view"
    LIKE = "like"
    SAVE = "save"
    RATING = "rating"
    MATCH = "match"
    SHARE = "share"
    SKIP = "skip"


CLIENT_EVENTS = tuple(e for e in EventType if e is not EventType.FEED_REQUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One thing that happened. SPEC 8; as JSON it has these names, without those that are None."""

    event_type: str
    event_id: str  # unique per user
    user_id: int
    timestamp: str  # ISO 8601, UTC
    source: str  # feed: what the service records itself; client: what a client reports
    video_id: int | None = None  # the item's id, of either kind
    item_type: str = "resume"  # resume or challenge
    video_url: str | None = None
    position: int | None = None
    feed_type: str | None = None  # total, discover, flow
    session_id: str | None = None
    feed_id: str | None = None
    pool: str | None = None
    probability: float | None = None
    value: float | None = None
    watch_ratio: float | None = None
    size: int | None = None  # of a feed_request: items served
    extra: Mapping[str, Any] | None = None  # for what later records keep
