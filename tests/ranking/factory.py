"""Snapshots for tests: small ones from lists, a random one at any scale. SPEC 4 in plain NumPy.

    snapshot = make_snapshot(
        videos=[video(10, creator=1, skills=["dance"], age_days=3, rating=4.5, rating_count=2), video(11)],
        flows=[flow(90, creator=2, age_days=100)],
        users=[user(7, skills=["dance"], history=[seen(10, liked=True)], connections=[1])],
    )

Ages are in days before `now` (NOW unless told). Creators are user ids; None makes the video its own creator. Users who
are named as creators or connections but not listed are added, blank.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talentfeed.contracts import (
    N_FEATURES,
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOKENS,
    N_TOOLS,
    NO_CREATOR,
    NO_DATE,
    SCHEMA_VERSION,
    SECONDS_PER_DAY,
    Bytes,
    Floats,
    Flows,
    Indices,
    Ints,
    Manifest,
    Skills,
    Snapshot,
    Users,
    Videos,
)

NOW = 1_790_000_000.0
MEDIA = "https://media.example.org"
_WIDTHS = (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)
_CITIES = ("Unknown", "Bogotá", "Medellín", "Cali", "CDMX", "Monterrey", "Lima", "Quito", "Other-Chile", "Other-Peru")


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
    """One interaction in a user's history; `days_ago` None: unknown time."""

    video_id: int
    liked: bool = True
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


def seen(video_id: int, *, liked: bool = True, days_ago: float | None = 1.0) -> Seen:
    """An interaction with a video."""
    return Seen(video_id=video_id, liked=liked, days_ago=days_ago)


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
            ((_time(s.days_ago, now), s.video_id, s.liked) for s in u.history if s.video_id in index),
            key=lambda s: (-s[0], -s[1]),
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
    catalogue = _videos(
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
        manifest=_manifest(
            version=version,
            watermark=now,
            as_of=as_of,
            cities=cities,
            words=["", *(word for _, word in words)],
            counts={"videos": len(videos), "flows": len(flows), "users": len(people), "skills": n_skills},
        ),
        videos=catalogue[0],
        skills=catalogue[1],
        flows=_flows(
            ids=[f.id for f in flows],
            creator=np.array(flow_creators, np.int32),
            created_at=np.array([_time(f.age_days, now) for f in flows], np.float64),
            city=np.array([city[f.city] for f in flows], np.int32),
            user_ids=[f.creator for f in flows],
        ),
        users=_users(
            ids=np.array([u.id for u in people], np.int64),
            city=np.array([city[u.city] for u in people], np.int32),
            creator=np.array([codes.get(u.id, NO_CREATOR) for u in people], np.int32),
            profiles=_ragged(profiles, np.int32),
            history=_ragged([[index[s[1]] for s in h] for h in histories], np.int32),
            liked=np.array([s[2] for h in histories for s in h], np.bool_),
            at=np.array([s[0] for h in histories for s in h], np.float64),
            flow_history=_ragged(
                [[flow_index[i] for i in u.flow_history if i in flow_index] for u in people], np.int32
            ),
            connections=_ragged([sorted(s) for s in links], np.int32),
        ),
        n_creators=n_creators,
    )


def random_snapshot(
    n_videos: int = 1_962,
    n_flows: int = 94,
    n_users: int = 198_000,
    seed: int = 0,
    *,
    n_skills: int = 400,
    now: float = NOW,
) -> Snapshot:
    """A made-up catalogue at today's scale or any other: Zipf skills in clusters, heavy-tailed popularity, a third new.

    User ids are 1..n_users, video ids begin at 10^6 and flow ids at 10^9. Interactions and connections grow with
    the catalogue: about ten interactions a video, 13 connections for every 100 users.
    """
    rng = np.random.default_rng(seed)
    n_authors = max(1, min(n_users, round(n_videos * 0.61)))
    authors = rng.choice(n_users, n_authors, replace=False) if n_users else np.zeros(0, np.int64)
    weight = rng.pareto(1.5, n_authors) + 0.2
    video_author = rng.choice(n_authors, n_videos, p=weight / weight.sum())
    flow_author = rng.integers(n_authors, size=n_flows)

    tokens = np.zeros((n_videos, N_TOKENS), np.int32)
    cluster = rng.integers(8, size=n_videos)
    start, first = 0, 1
    for width, size in zip(_WIDTHS, (n_skills, 60, 80, 12), strict=True):
        draws = rng.zipf(1.3, (n_videos, width)) % max(1, size // 8) * 8
        anywhere = rng.integers(size, size=draws.shape)
        block = np.where(rng.random(draws.shape) < 0.8, draws + cluster[:, None], anywhere)
        block = np.sort(np.minimum(block, size - 1), axis=1) + 1
        block[:, 1:][block[:, 1:] == block[:, :-1]] = 0
        block[np.arange(width)[None, :] >= rng.integers(0, width + 1, n_videos)[:, None]] = 0
        present = np.unique(block[block > 0])
        block = np.where(block > 0, np.searchsorted(present, block) + first, 0)
        order = np.argsort(block == 0, axis=1, kind="stable")
        tokens[:, start : start + width] = np.take_along_axis(block, order, axis=1)
        if start == 0:
            n_skills = len(present)
        start, first = start + width, first + len(present)

    pull = rng.pareto(1.2, n_videos) + 0.05
    views = rng.poisson(60 * n_videos * pull / max(pull.sum(), 1e-9))
    rating_count = rng.poisson(np.minimum(2.0 * pull, 50))
    matched = rng.poisson(np.minimum(0.4 * pull, 20))
    likes = rng.poisson(np.minimum(0.8 * pull, 40))
    exhibited = rng.poisson(0.1, n_videos)
    rating = np.where(rating_count > 0, np.clip(rng.normal(3.8, 0.7, n_videos), 1, 5), 0.0)
    age = np.where(rng.random(n_videos) < 1 / 3, rng.uniform(0, 45, n_videos), rng.uniform(45, 400, n_videos))

    n_events = 10 * n_videos if n_users else 0
    actor = (n_users * rng.beta(0.6, 3.0, n_events)).astype(np.int64)
    target = rng.choice(n_videos, n_events, p=pull / pull.sum()) if n_events else np.zeros(0, np.int64)
    at = now - rng.uniform(0, 300, n_events) * SECONDS_PER_DAY
    order = np.lexsort((-target, -at, actor))
    actor, target, at = actor[order], target[order], at[order]

    pairs = rng.integers(n_users, size=(n_users * 13 // 100, 2)) if n_users else np.zeros((0, 2), np.int64)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)

    n_profile = np.minimum(rng.poisson(2.0, n_users), 8)
    owner = np.repeat(np.arange(n_users), n_profile)
    known = np.unique(tokens[tokens > 0])
    flat = known[rng.zipf(1.2, len(owner)) % len(known)] if len(known) else np.zeros(len(owner), np.int64)
    flat = np.where(rng.random(len(owner)) < 0.05, -1, flat) if len(known) else np.full(len(owner), -1)
    order = np.lexsort((flat, owner))
    owner, flat = owner[order], flat[order]
    repeat = np.zeros(len(owner), np.bool_)
    repeat[1:] = (owner[1:] == owner[:-1]) & (flat[1:] == flat[:-1]) & (flat[1:] >= 0)
    owner, flat = owner[~repeat], flat[~repeat]

    city = rng.integers(len(_CITIES), size=n_users).astype(np.int32)
    creator = np.full(n_users, NO_CREATOR, np.int32)
    creator[authors] = np.arange(n_authors)
    videos, skills = _videos(
        ids=1_000_000 + np.arange(n_videos),
        creator=video_author.astype(np.int32),
        created_at=now - age * SECONDS_PER_DAY,
        city=city[authors[video_author]] if n_videos else np.zeros(0, np.int32),
        tokens=tokens,
        counts=np.stack([views, rating, rating_count, matched, likes, exhibited], axis=1).astype(np.float64),
        user_ids=(authors[video_author] + 1).tolist(),
        n_skills=n_skills,
    )
    return Snapshot(
        manifest=_manifest(
            version=f"random-{seed}",
            watermark=now,
            as_of=None,
            cities=_CITIES,
            words=["", *(f"word{i}" for i in range(1, first))],
            counts={"videos": n_videos, "flows": n_flows, "users": n_users, "interactions": n_events},
        ),
        videos=videos,
        skills=skills,
        flows=_flows(
            ids=1_000_000_000 + np.arange(n_flows),
            creator=flow_author.astype(np.int32),
            created_at=now - rng.uniform(0, 400, n_flows) * SECONDS_PER_DAY,
            city=city[authors[flow_author]] if n_flows else np.zeros(0, np.int32),
            user_ids=(authors[flow_author] + 1).tolist() if n_flows else [],
        ),
        users=_users(
            ids=np.arange(1, n_users + 1, dtype=np.int64),
            city=city,
            creator=creator,
            profiles=(_starts(owner, n_users), flat.astype(np.int32)),
            history=(_starts(actor, n_users), target.astype(np.int32)),
            liked=rng.random(n_events) < 0.7,
            at=at,
            flow_history=(np.zeros(n_users + 1, np.int64), np.zeros(0, np.int32)),
            connections=(_starts(pairs[:, 0], n_users), pairs[:, 1].astype(np.int32)),
        ),
        n_creators=n_authors,
    )


# ---------------------------------------------------------------- packing


def _videos(
    *,
    ids: Iterable[int],
    creator: Indices,
    created_at: Floats,
    city: Indices,
    tokens: Indices,  # (n, N_TOKENS)
    counts: Floats,  # (n, 6) views, rating, rating_count, connections, likes, exhibited
    user_ids: Sequence[int | None],
    n_skills: int,
) -> tuple[Videos, Skills]:
    skills = tokens[:, :N_SKILLS]
    together = np.zeros((n_skills + 1) ** 2)
    for a in range(N_SKILLS):
        for b in range(N_SKILLS):
            pair = skills[:, a].astype(np.int64) * (n_skills + 1) + skills[:, b]
            together += np.bincount(pair, minlength=len(together))
    cooccurrence = together.reshape(n_skills + 1, -1)[1:, 1:]
    length = np.linalg.norm(cooccurrence, axis=1, keepdims=True)
    embedding = np.zeros((n_skills + 1, n_skills))
    embedding[1:] = cooccurrence / np.where(length > 0, length, 1)
    total = np.zeros((len(tokens), n_skills))
    for a in range(N_SKILLS):
        total += embedding[skills[:, a]]
    norm = np.linalg.norm(total, axis=1)

    views, rating, rating_count, matched, likes, exhibited = counts.T
    has = skills > 0
    n_has = has.sum(axis=1)
    frequency = np.zeros(n_skills + 1)
    frequency[1:] = cooccurrence.diagonal()
    rarity = np.where(has, 1 / (frequency[skills] + 1), 0).sum(axis=1) / np.where(n_has > 0, n_has, 1)
    features = np.zeros((len(tokens), N_FEATURES))
    features[:, 0] = 0.35 * _norm01(np.log1p(views)) + 0.40 * rating / 5 + 0.25 * _norm01(np.log1p(matched))
    features[:, 2] = 0.7 * rating * rating_count / (rating_count + 10) + 0.3 * np.log1p(matched)
    features[:, 3] = 0.40 * np.log1p(views) + 0.35 * rating + 0.25 * np.log1p(matched)
    features[:, 4] = (tokens[:, : N_SKILLS + N_KNOWLEDGES + N_TOOLS] > 0).sum(axis=1) / 15
    features[:, 9] = np.log1p(views) / 10
    features[:, 10] = rating / 5
    features[:, 11] = rarity
    features[:, 12] = (rating >= 3) | (views >= 20) | (matched >= 2) | (rating_count >= 2)
    for column, count in ((14, rating_count), (15, likes), (16, exhibited)):
        features[:, column] = count / (count.max(initial=0) + 1)

    ids = np.asarray(list(ids), np.int64)
    urls = [f"{MEDIA}/resumes/{i}.mp4" for i in ids.tolist()]
    bodies = [
        json.dumps(
            {
                "type": "resume",
                "id": i,
                "user_id": owner,
                "name": f"Person {owner}" if owner is not None else "",
                "video": url,
                "image": url,
            }
        ).encode()
        for i, owner, url in zip(ids.tolist(), user_ids, urls, strict=True)
    ]
    body, body_start = _joined(bodies)
    url, url_start = _joined([u.encode() for u in urls])
    return (
        Videos(
            id=ids,
            creator=creator,
            created_at=created_at,
            city=city,
            tokens=tokens,
            features=features,
            skill_norm=norm,
            json=body,
            json_start=body_start,
            url=url,
            url_start=url_start,
        ),
        Skills(n=n_skills, similarity=embedding[1:] @ embedding[1:].T),
    )


def _flows(
    *, ids: Iterable[int], creator: Indices, created_at: Floats, city: Indices, user_ids: Sequence[int]
) -> Flows:
    ids = np.asarray(list(ids), np.int64)
    urls = [f"{MEDIA}/challenges/{i}.mp4" for i in ids.tolist()]
    bodies = [
        json.dumps({"type": "challenge", "id": i, "user_id": owner, "name": f"Flow {i}", "video_url": url}).encode()
        for i, owner, url in zip(ids.tolist(), user_ids, urls, strict=True)
    ]
    body, body_start = _joined(bodies)
    url, url_start = _joined([u.encode() for u in urls])
    return Flows(
        id=ids,
        creator=creator,
        created_at=created_at,
        city=city,
        json=body,
        json_start=body_start,
        url=url,
        url_start=url_start,
    )


def _users(
    *,
    ids: Ints,
    city: Indices,
    creator: Indices,
    profiles: tuple[Ints, Indices],
    history: tuple[Ints, Indices],
    liked: NDArray[np.bool_],
    at: Floats,
    flow_history: tuple[Ints, Indices],
    connections: tuple[Ints, Indices],
) -> Users:
    return Users(
        id=ids,
        city=city,
        creator=creator,
        profile_start=profiles[0],
        profile=profiles[1],
        history_start=history[0],
        history_video=history[1],
        history_liked=liked,
        history_at=at,
        flow_history_start=flow_history[0],
        flow_history=flow_history[1],
        connection_start=connections[0],
        connection=connections[1],
    )


def _manifest(
    *,
    version: str,
    watermark: float,
    as_of: float | None,
    cities: Sequence[str],
    words: Sequence[str],
    counts: Mapping[str, int],
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        version=version,
        watermark=watermark,
        counts=counts,
        skipped={},
        checksums={},
        media_base_url=MEDIA,
        cities=cities,
        tokens=words,
        as_of=as_of,
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


def _norm01(values: Floats) -> Floats:
    spread = np.ptp(values) if len(values) else 0.0
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _joined(parts: Sequence[bytes]) -> tuple[Bytes, Ints]:
    start = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=start[1:])
    return np.frombuffer(b"".join(parts), np.uint8), start


def _ragged(rows: Sequence[Sequence[int]], dtype: type[np.int32]) -> tuple[Ints, Indices]:
    start = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=start[1:])
    return start, np.array([value for row in rows for value in row], dtype)


def _starts(owner: Ints, n: int) -> Ints:
    return np.searchsorted(owner, np.arange(n + 1)).astype(np.int64)
