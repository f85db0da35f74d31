"""Catalogues, viewers and requests as odd as they come, for hypothesis."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.ranking.factory import NOW, FlowSpec, Seen, UserSpec, VideoSpec, make_snapshot

from talentfeed.contracts import HISTORY_KINDS, BanditState, Event, FeedRequest, Kind, Policy, Pool, Snapshot
from talentfeed.ranking import feed, linucb, viewer
from talentfeed.ranking.feed import LEARNING
from talentfeed.ranking.presets import PoolWeights, Preset, preset

VIEWER = 7
_AGES = st.sampled_from([None, -3.0, 0.0, 1.0, 29.9, 30.0, 44.999, 45.0, 60.0, 400.0])
_CREATORS = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17])
_CITIES = st.sampled_from(["Unknown", "Bogotá", "Cali"])
_WORDS = st.lists(st.sampled_from("abcdefghijkl"), max_size=6)
_DAYS = st.sampled_from([None, 0.0, 1.0, 1.0, 5.0, 90.0])
_EVENT_TYPES = st.sampled_from(["video_view", "like", "save", "rating", "match", "share", "skip"])


def _videos(one_creator: bool, no_skills: bool) -> st.SearchStrategy[VideoSpec]:
    return st.builds(
        VideoSpec,
        id=st.integers(1, 60),
        creator=st.just(1) if one_creator else st.one_of(st.none(), _CREATORS),
        age_days=_AGES,
        skills=st.just([]) if no_skills else _WORDS,
        knowledges=_WORDS,
        tools=_WORDS,
        languages=_WORDS,
        city=_CITIES,
        views=st.sampled_from([0, 1, 25, 100_000]),
        rating=st.sampled_from([0.0, 1.0, 3.0, 5.0]),
        rating_count=st.sampled_from([0, 1, 2, 40]),
        connections=st.sampled_from([0, 1, 2]),
        likes=st.sampled_from([0, 3]),
        exhibited=st.sampled_from([0, 1]),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """From nothing at all to 50 videos and 15 flows; ids of both kinds overlap."""
    size = draw(st.sampled_from([0, 1, 3, 15, 50]))
    one_creator, no_skills = draw(st.booleans()) and draw(st.booleans()), draw(st.booleans()) and draw(st.booleans())
    videos = draw(
        st.lists(_videos(one_creator, no_skills), min_size=size * 2 // 3, max_size=size, unique_by=lambda spec: spec.id)
    )
    flows = draw(
        st.lists(
            st.builds(FlowSpec, id=st.integers(1, 30), creator=_CREATORS, age_days=_AGES, city=_CITIES),
            max_size=draw(st.sampled_from([0, 1, 15])),
            unique_by=lambda spec: spec.id,
        )
    )
    known = [spec.id for spec in videos]
    all_seen = draw(st.booleans()) and draw(st.booleans())
    history = draw(
        st.lists(
            st.builds(
                Seen,
                video_id=st.sampled_from(known),
                liked=st.booleans(),
                days_ago=_DAYS,
                what=st.sampled_from(HISTORY_KINDS),
            ),
            max_size=draw(st.sampled_from([0, 3, 20, 100])),
        )
        if known and not all_seen
        else st.just([Seen(video_id=video_id, days_ago=float(video_id)) for video_id in known] if all_seen else [])
    )
    person = UserSpec(
        id=VIEWER,
        city=draw(_CITIES),
        skills=draw(st.lists(st.sampled_from("abcxyz"), max_size=4)),
        tools=draw(_WORDS),
        history=history,
        flow_history=draw(st.lists(st.sampled_from([spec.id for spec in flows]), max_size=3, unique=True))
        if flows
        else [],
        connections=draw(st.lists(_CREATORS, max_size=3, unique=True)),
    )
    return make_snapshot(videos, flows, [person])


def events() -> st.SearchStrategy[list[Event]]:
    """Client events on known and unknown items, repeats included."""
    return st.lists(
        st.builds(
            Event,
            event_type=_EVENT_TYPES,
            kind=st.sampled_from(Kind),
            item_id=st.integers(1, 65),
            at=st.sampled_from([NOW - 86_400.0 * 5, NOW - 86_400.0 + 0.4, NOW - 50, NOW - 10, NOW]),
            value=st.one_of(st.none(), st.sampled_from([1.0, 3.0, 5.0])),
            watch_ratio=st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.2])),
        ),
        max_size=8,
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Bandits after some rewards, good and bad; negative theta included."""
    return Policy(version="drawn", bandits={pool: draw(bandits()) for pool in LEARNING})


@st.composite
def bandits(draw: st.DrawFn) -> BanditState:
    """One bandit after 0 to 40 rewards."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.sampled_from([0, 1, 9, 10, 40]))
    x = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 5.0])), (n, 18))
    return linucb.update_many(linucb.initial(), x, rng.uniform(-1, 1, n))


@st.composite
def presets(draw: st.DrawFn) -> Preset:
    """Weights as nobody would choose them: negative ones, great ones, none, and shortlists of any length."""
    weight = st.sampled_from([0.0, 0.0, -30.0, -0.7, 0.4, 3.0, 1e4])
    names = ("alpha", "beta", "engagement", "popularity", "quality", "similarity", "match", "recency", "diversity")

    def pool() -> PoolWeights:
        values: dict[str, Any] = {name: draw(weight) for name in (*names, "rarity", "new")}
        noise = draw(st.sampled_from([0.0, 0.6, 40.0, -2.0]))
        return PoolWeights(size=draw(st.sampled_from([1, 2, 5, 30])), noise=noise, **values)

    return replace(
        preset("classic"),
        popular=pool(),
        affinity=pool(),
        fresh=pool(),
        feature_noise=draw(st.sampled_from([0.0, 0.3, 50.0])),
    )


@dataclass(frozen=True)
class Asked:
    """A request with everything that decides its answer."""

    request: FeedRequest
    seed: int
    epsilon: float


@st.composite
def asked(draw: st.DrawFn, snapshot: Snapshot) -> Asked:
    """Any endpoint, size, pattern, exclusions and window."""
    endpoint = draw(st.sampled_from(["total", "total", "discover", "flow"]))
    pattern = draw(
        st.one_of(
            st.just(feed.parse_pattern("VMP AU AU VMP NU FW")),
            st.lists(st.sampled_from(Pool), min_size=1, max_size=8).filter(lambda p: set(p) != {Pool.FLOW}),
        )
    )
    excluded = draw(st.lists(st.integers(-3, 70), max_size=draw(st.sampled_from([0, 0, 5, 60]))))
    n_flows = len(snapshot.flows.id)
    shown = draw(st.lists(st.integers(0, n_flows - 1), max_size=5, unique=True)) if n_flows else []
    return Asked(
        FeedRequest(
            endpoint=endpoint,
            pattern=feed.pattern_for(endpoint, pattern),
            size=draw(st.sampled_from([1, 2, 7, 24, 24, 70])),
            excluded_ids=np.array(excluded, np.int64),
            recent_creators=viewer.last_creators(snapshot, excluded) if draw(st.booleans()) else (),
            shown_flows=np.array(shown, np.int32),
        ),
        draw(st.integers(0, 2**128 - 1)),
        draw(st.sampled_from([0.0, 0.02, 0.5, 1.0])),
    )
