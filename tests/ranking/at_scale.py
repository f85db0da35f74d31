"""A random catalogue at today's scale or any other, made without Python loops over users."""

import numpy as np
from tests.ranking.packing import NOW, make_manifest, pack_flows, pack_users, pack_videos

from talentfeed.contracts import (
    N_KNOWLEDGES,
    N_LANGUAGES,
    N_SKILLS,
    N_TOKENS,
    N_TOOLS,
    NO_CREATOR,
    SECONDS_PER_DAY,
    Ints,
    Snapshot,
)

_WIDTHS = (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)
_CITIES = ("Unknown", "Bogotá", "Medellín", "Cali", "CDMX", "Monterrey", "Lima", "Quito", "Other-Chile", "Other-Peru")


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
    videos, skills = pack_videos(
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
        manifest=make_manifest(
            version=f"random-{seed}",
            watermark=now,
            as_of=None,
            cities=_CITIES,
            words=["", *(f"word{i}" for i in range(1, first))],
            counts={"videos": n_videos, "flows": n_flows, "users": n_users, "interactions": n_events},
        ),
        videos=videos,
        skills=skills,
        flows=pack_flows(
            ids=1_000_000_000 + np.arange(n_flows),
            creator=flow_author.astype(np.int32),
            created_at=now - rng.uniform(0, 400, n_flows) * SECONDS_PER_DAY,
            city=city[authors[flow_author]] if n_flows else np.zeros(0, np.int32),
            user_ids=(authors[flow_author] + 1).tolist() if n_flows else [],
        ),
        users=pack_users(
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


def _starts(owner: Ints, n: int) -> Ints:
    return np.searchsorted(owner, np.arange(n + 1)).astype(np.int64)
