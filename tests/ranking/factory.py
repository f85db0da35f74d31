"""Snapshots for tests: small ones from lists, a random one at any scale. SPEC 4 in plain NumPy.

    snapshot = make_snapshot(
        videos=[video(10, creator=1, skills=["dance"], age_days=3, rating=4.5, rating_count=2), video(11)],
        flows=[flow(90, creator=2, age_days=100)],
        users=[user(7, skills=["dance"], history=[seen(10, liked=True)], connections=[1])],
    )

Ages are in days before `now` (NOW unless told). Creators are user ids; None makes the video its own creator. Users who
are named as creators or connections but not listed are added, blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tests.ranking.at_scale import random_snapshot
from tests.ranking.packing import NOW, make_manifest, pack_flows, pack_users, pack_videos

from talentfeed.contracts import (
    HISTORY_KINDS,
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOKENS,
    N_TOOLS,
    NO_CREATOR,
    NO_DATE,
    SECONDS_PER_DAY,
    Indices,
    Ints,
    Snapshot,
)

_WIDTHS = (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)


__all__ = [
    "NOW",
    "FlowSpec",
    "Seen",
    "UserSpec",
    "VideoSpec",
    "flow",
    "make_snapshot",
    "random_snapshot",
    "seen",
    "user",
    "video",
]


@dataclass(frozen=True, kw_only=True)
class VideoSpec:
    """One video; counts as in SPEC 3."""

    id: int
    creator: int | None = None
    age_days: float | None = 100.0  # None: no date
    skills: Sequence[str] = ()
    knowledges: Sequence[str] = ()
    tools: Sequence[str] = ()
    languages: Sequence[str] = ()
    city: str = "Unknown"
    views: int = 0
    rating: float = 0.0
    rating_count: int = 0
    connections: int = 0
    likes: int = 0
    exhibited: int = 0


@dataclass(frozen=True, kw_only=True)
class FlowSpec:
    """One flow."""

    id: int
    creator: int
    age_days: float | None = 100.0
    city: str = "Unknown"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One interaction in a user's history; `days_ago` None: unknown time. `what` None: a save, a view if not liked."""

    video_id: int
    liked: bool = True
    what: str | None = None
    days_ago: float | None = 1.0


@dataclass(frozen=True, kw_only=True)
class UserSpec:
    """One user: profile, history (newest first or not: it is sorted), flows interacted with (newest first)."""

    id: int
    city: str = "Unknown"
    skills: Sequence[str] = ()
    knowledges: Sequence[str] = ()
    tools: Sequence[str] = ()
    languages: Sequence[str] = ()
    history: Sequence[Seen] = ()
    flow_history: Sequence[int] = ()
    connections: Sequence[int] = ()


def video(video_id: int, **fields: object) -> VideoSpec:
    """A video by id; the rest has defaults."""
    return VideoSpec(id=video_id, **fields)  # type: ignore[arg-type]


def flow(flow_id: int, creator: int = 1, **fields: object) -> FlowSpec:
    """A flow by id and creator."""
    return FlowSpec(id=flow_id, creator=creator, **fields)  # type: ignore[arg-type]


def user(user_id: int, **fields: object) -> UserSpec:
    """A user by id."""
    return UserSpec(id=user_id, **fields)  # type: ignore[arg-type]


def seen(video_id: int, *, liked: bool = True, days_ago: float | None = 1.0, what: str | None = None) -> Seen:
    """An interaction with a video."""
    return Seen(video_id=video_id, liked=liked, days_ago=days_ago, what=what)


def make_snapshot(
    videos: Sequence[VideoSpec] = (),
    flows: Sequence[FlowSpec] = (),
    users: Sequence[UserSpec] = (),
    *,
    now: float = NOW,
    as_of: float | None = None,
    version: str = "test",
) -> Snapshot:
    """A snapshot that holds exactly what is listed. Ids within each list must differ."""
    videos = sorted(videos, key=lambda v: v.id)
    flows = sorted(flows, key=lambda f: f.id)
    named = {v.creator for v in videos if v.creator is not None} | {f.creator for f in flows}
    named |= {c for u in users for c in u.connections}
    listed = {u.id: u for u in users}
    people = [listed.get(i) or UserSpec(id=i) for i in sorted(named | set(listed))]
    row = {u.id: i for i, u in enumerate(people)}

    words = _vocabulary(videos)
    tokens = np.zeros((len(videos), N_TOKENS), np.int32)
    for i, v in enumerate(videos):
        start = 0
        for kind, width in enumerate(_WIDTHS):
            kept = list(dict.fromkeys(_lists(v)[kind]))[:width]
            tokens[i, start : start + len(kept)] = [words[kind, word] for word in kept]
            start += width
    n_skills = sum(1 for kind, _ in words if kind == 0)

    named_cities = {v.city for v in videos} | {f.city for f in flows} | {u.city for u in people}
    cities = ["Unknown", *sorted(named_cities - {"Unknown"})]
    city = {name: code for code, name in enumerate(cities)}
    codes: dict[int, int] = {}
    creators = [codes.setdefault(c, len(codes)) if c is not None else None for c in (v.creator for v in videos)]
    flow_creators = [codes.setdefault(f.creator, len(codes)) for f in flows]
    own = iter(range(len(codes), len(codes) + len(videos)))
    video_creators = [c if c is not None else next(own) for c in creators]
    n_creators = len(codes) + sum(c is None for c in creators)

    index = {v.id: i for i, v in enumerate(videos)}
    flow_index = {f.id: i for i, f in enumerate(flows)}
    histories = [
        sorted(
            (
                (_time(s.days_ago, now), s.video_id, s.liked, s.what or ("save" if s.liked else "view"))
                for s in u.history
                if s.video_id in index
            ),
            key=lambda s: (-s[0], -s[1], not s[2]),
        )
        for u in people
    ]
    flow_histories = [[flow_index[i] for i in u.flow_history if i in flow_index] for u in people]
    links: list[set[int]] = [set() for _ in people]
    for u in people:
        for other in u.connections:
            links[row[u.id]].add(row[other])
            links[row[other]].add(row[u.id])
    profiles = [
        [
            words.get((kind, word), -1)
            for kind, listing in enumerate(_lists(u))
            for word in dict.fromkeys(listing)
            if kind == 0 or (kind, word) in words
        ]
        for u in people
    ]
    catalogue = pack_videos(
        ids=[v.id for v in videos],
        creator=np.array(video_creators, np.int32),
        created_at=np.array([_time(v.age_days, now) for v in videos], np.float64),
        city=np.array([city[v.city] for v in videos], np.int32),
        tokens=tokens,
        counts=np.array(
            [[v.views, v.rating, v.rating_count, v.connections, v.likes, v.exhibited] for v in videos], np.float64
        ).reshape(-1, 6),
        user_ids=[v.creator for v in videos],
        n_skills=n_skills,
    )
    return Snapshot(
        manifest=make_manifest(
            version=version,
            watermark=now,
            as_of=as_of,
            cities=cities,
            words=["", *(word for _, word in words)],
            counts={"videos": len(videos), "flows": len(flows), "users": len(people), "skills": n_skills},
        ),
        videos=catalogue[0],
        skills=catalogue[1],
        flows=pack_flows(
            ids=[f.id for f in flows],
            creator=np.array(flow_creators, np.int32),
            created_at=np.array([_time(f.age_days, now) for f in flows], np.float64),
            city=np.array([city[f.city] for f in flows], np.int32),
            user_ids=[f.creator for f in flows],
        ),
        users=pack_users(
            ids=np.array([u.id for u in people], np.int64),
            city=np.array([city[u.city] for u in people], np.int32),
            creator=np.array([codes.get(u.id, NO_CREATOR) for u in people], np.int32),
            profiles=_ragged(profiles, np.int32),
            history=_ragged([[index[s[1]] for s in h] for h in histories], np.int32),
            liked=np.array([s[2] for h in histories for s in h], np.bool_),
            kind=np.array([HISTORY_KINDS.index(s[3]) for h in histories for s in h], np.int8),
            at=np.array([s[0] for h in histories for s in h], np.float64),
            flow_history=_ragged(flow_histories, np.int32),
            connections=_ragged([sorted(s) for s in links], np.int32),
        ),
        n_creators=n_creators,
    )


def _lists(spec: VideoSpec | UserSpec) -> tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]:
    return spec.skills, spec.knowledges, spec.tools, spec.languages


def _vocabulary(videos: Sequence[VideoSpec]) -> dict[tuple[int, str], int]:
    words: dict[tuple[int, str], int] = {}
    for kind, width in enumerate(_WIDTHS):
        kept = {word for v in videos for word in list(dict.fromkeys(_lists(v)[kind]))[:width]}
        for word in sorted(kept):
            words[kind, word] = len(words) + 1
    return words


def _time(days: float | None, now: float) -> float:
    return NO_DATE if days is None else now - days * SECONDS_PER_DAY


def _ragged(rows: Sequence[Sequence[int]], dtype: type[np.int32]) -> tuple[Ints, Indices]:
    start = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=start[1:])
    return start, np.array([value for row in rows for value in row], dtype)
