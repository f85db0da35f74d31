"""A made-up snapshot at any scale, in memory and in seconds. SPEC 4, vectorised; bodies are empty: no stage reads them.

Heavy-tailed popularity, Zipf skills in clusters, ages over 400 days with a third of the videos new, and some viewers
who have a whole history. Everything follows from the seed.
"""

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
    NEW_DAYS,
    NO_CREATOR,
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
TODAY_VIDEOS, TODAY_USERS, TODAY_FLOWS = 1_962, 198_000, 94
MOST_USERS, MOST_FLOWS = 2_000_000, 20_000

_N_CITIES = 60
_MAX_AGE_DAYS = 400.0
_WIDTHS = (N_SKILLS, N_KNOWLEDGES, N_TOOLS, N_LANGUAGES)
_VOCABULARY = (400, 60, 80, 12)  # skills, knowledges, tools, languages
_N_CLUSTERS = 8
_AUTHORS_A_VIDEO = 0.61
_EVENTS_A_VIDEO = 10
_CONNECTIONS_A_USER = 0.13
_VIEWER_HISTORY = (30, 80)
_VIEWER_CONNECTIONS = 6.0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A snapshot, and who of its users have a history of 30 to 80 interactions, connections and a profile."""

    snapshot: Snapshot
    viewers: Ints  # user ids


def n_users_at(n_videos: int) -> int:
    """Users to match: in today's proportion, at most two million."""
    return min(MOST_USERS, round(TODAY_USERS * n_videos / TODAY_VIDEOS))


def make(n_videos: int, n_viewers: int, seed: int) -> Catalogue:
    """The catalogue of that many videos. User ids are 1..n; video and flow ids do not overlap."""
    rng = np.random.default_rng(seed)
    n_users = max(n_users_at(n_videos), n_viewers + 1)
    n_flows = max(1, min(MOST_FLOWS, round(TODAY_FLOWS * n_videos / TODAY_VIDEOS)))
    n_authors = max(1, min(n_users, round(n_videos * _AUTHORS_A_VIDEO)))
    authors = rng.permutation(n_users)[:n_authors]
    city = (rng.zipf(1.6, n_users) % _N_CITIES).astype(np.int32)
    by_author = _pick(rng, rng.pareto(1.5, n_authors) + 0.2, n_videos)
    flow_author = rng.integers(n_authors, size=n_flows)
    pull = rng.pareto(1.2, n_videos) + 0.05
    tokens, n_tokens, n_skills = _tokens(rng, n_videos)
    new = rng.random(n_videos) < 1 / 3
    age = np.where(new, rng.uniform(0, NEW_DAYS, n_videos), rng.uniform(NEW_DAYS, _MAX_AGE_DAYS, n_videos))
    embeddings, norm = _embeddings(tokens[:, :N_SKILLS], n_skills)
    videos = Videos(
        id=1_000_000 + np.arange(n_videos, dtype=np.int64),
        creator=by_author.astype(np.int32),
        created_at=NOW - age * SECONDS_PER_DAY,
        city=city[authors[by_author]],
        tokens=tokens,
        features=_features(rng, tokens, pull, n_skills),
        skill_norm=norm,
        json=_nothing(),
        json_start=np.zeros(n_videos + 1, np.int64),
        url=_nothing(),
        url_start=np.zeros(n_videos + 1, np.int64),
    )
    flows = Flows(
        id=1_000_000_000 + np.arange(n_flows, dtype=np.int64),
        creator=flow_author.astype(np.int32),
        created_at=NOW - rng.uniform(0, _MAX_AGE_DAYS, n_flows) * SECONDS_PER_DAY,
        city=city[authors[flow_author]],
        json=_nothing(),
        json_start=np.zeros(n_flows + 1, np.int64),
        url=_nothing(),
        url_start=np.zeros(n_flows + 1, np.int64),
    )
    viewers = np.sort(rng.permutation(n_users)[:n_viewers])
    users = _users(rng, city=city, authors=authors, viewers=viewers, pull=pull, n_tokens=n_tokens)
    counts = {"videos": n_videos, "flows": n_flows, "users": n_users, "interactions": len(users.history_video)}
    snapshot = Snapshot(
        manifest=_manifest(f"made-up-{n_videos}-{seed}", counts, n_tokens),
        videos=videos,
        flows=flows,
        users=users,
        skills=Skills(n=n_skills, similarity=embeddings),
        n_creators=n_authors,
    )
    return Catalogue(snapshot, viewers + 1)


def _tokens(rng: np.random.Generator, n: int) -> tuple[Indices, int, int]:
    """(n, N_TOKENS), number of tokens, number of skills. Four in five of a video's words are of its cluster."""
    tokens = np.zeros((n, N_TOKENS), np.int32)
    cluster = rng.integers(_N_CLUSTERS, size=n)
    column, first, n_skills = 0, 1, 0
    for width, size in zip(_WIDTHS, _VOCABULARY, strict=True):
        inside = rng.zipf(1.3, (n, width)) % max(1, size // _N_CLUSTERS) * _N_CLUSTERS + cluster[:, None]
        words = np.where(rng.random((n, width)) < 0.8, inside, rng.integers(size, size=(n, width)))
        words = np.sort(np.minimum(words, size - 1), axis=1) + 1
        words[:, 1:][words[:, 1:] == words[:, :-1]] = 0
        words[np.arange(width) >= rng.integers(0, width + 1, n)[:, None]] = 0
        present = np.zeros(size + 1, np.bool_)
        present[words] = True
        present[0] = False
        code = np.zeros(size + 1, np.int32)
        code[present] = np.arange(first, first + int(present.sum()))
        words = code[words]
        order = np.argsort(words == 0, axis=1, kind="stable")
        tokens[:, column : column + width] = np.take_along_axis(words, order, axis=1)
        column, first = column + width, first + int(present.sum())
        n_skills = n_skills or first - 1
    return tokens, first, n_skills


def _embeddings(skills: Indices, k: int) -> tuple[Floats, Floats]:
    """Dot products of the skills' embeddings (k, k), and the length of each video's sum of them (n,)."""
    together = np.zeros((k + 1) ** 2)
    columns = [skills[:, column].astype(np.int64) for column in range(N_SKILLS)]
    for a in columns:
        for b in columns:
            together += np.bincount(a * (k + 1) + b, minlength=len(together))
    rows = together.reshape(k + 1, k + 1)[1:, 1:]
    embedding = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    padded = np.zeros((k + 1, k + 1))
    padded[1:, 1:] = embedding @ embedding.T
    flat = padded.ravel()
    squared = sum(flat.take(a * (k + 1) + b) for a in columns for b in columns)
    return padded[1:, 1:].copy(), np.sqrt(squared)


def _features(rng: np.random.Generator, tokens: Indices, pull: Floats, k: int) -> Floats:
    """The 11 columns that stand in a snapshot, (n, N_FEATURES)."""
    n = len(tokens)
    views = rng.poisson(60 * pull / pull.mean())
    rated = rng.poisson(np.minimum(2.0 * pull, 50))
    matched = rng.poisson(np.minimum(0.4 * pull, 20))
    liked = rng.poisson(np.minimum(0.8 * pull, 40))
    exhibited = rng.poisson(0.1, n)
    rating = np.where(rated > 0, np.clip(rng.normal(3.8, 0.7, n), 1, 5), 0.0)
    skills = tokens[:, :N_SKILLS]
    frequency = np.bincount(skills.ravel(), minlength=k + 1)
    rare = 1 / (frequency + 1.0)
    rare[0] = 0.0
    x = np.zeros((n, N_FEATURES))
    x[:, 0] = 0.35 * _norm01(np.log1p(views)) + 0.40 * rating / 5 + 0.25 * _norm01(np.log1p(matched))
    x[:, 2] = 0.7 * rating * rated / (rated + 10) + 0.3 * np.log1p(matched)
    x[:, 3] = 0.40 * np.log1p(views) + 0.35 * rating + 0.25 * np.log1p(matched)
    x[:, 4] = (tokens[:, : N_SKILLS + N_KNOWLEDGES + N_TOOLS] > 0).sum(axis=1) / 15
    x[:, 9] = np.log1p(views) / 10
    x[:, 10] = rating / 5
    x[:, 11] = rare[skills].sum(axis=1) / np.maximum((skills > 0).sum(axis=1), 1)
    x[:, 12] = (rating >= 3) | (views >= 20) | (matched >= 2) | (rated >= 2)
    for column, count in ((14, rated), (15, liked), (16, exhibited)):
        x[:, column] = count / (count.max() + 1)
    return x


def _users(
    rng: np.random.Generator, *, city: Indices, authors: Ints, viewers: Ints, pull: Floats, n_tokens: int
) -> Users:
    n, n_videos = len(city), len(pull)
    spans = rng.integers(_VIEWER_HISTORY[0], _VIEWER_HISTORY[1] + 1, len(viewers))
    others = (n * rng.beta(0.6, 3.0, max(0, _EVENTS_A_VIDEO * n_videos - int(spans.sum())))).astype(np.int64)
    actor = np.concatenate([np.repeat(viewers, spans), others[~np.isin(others, viewers)]])
    days = rng.uniform(0, 300, len(actor))
    order = np.argsort(actor + days / 301)  # by actor, newest first
    actor, days = actor[order], days[order]

    linked = np.repeat(viewers, 1 + rng.poisson(_VIEWER_CONNECTIONS, len(viewers)))
    friends = np.where(
        rng.random(len(linked)) < 0.5, rng.choice(authors, len(linked)), rng.integers(n, size=len(linked))
    )
    pairs = rng.integers(n, size=(2, round(n * _CONNECTIONS_A_USER)))
    one = np.concatenate([linked, pairs[0]])
    two = np.concatenate([friends, pairs[1]])
    one, two = one[one != two], two[one != two]
    links = np.unique(np.concatenate([one * n + two, two * n + one]))

    n_profile = np.minimum(rng.poisson(2.0, n), 8)
    n_profile[viewers] += 4
    owner = np.repeat(np.arange(n), n_profile)
    profile = np.unique(owner * n_tokens + 1 + rng.zipf(1.2, len(owner)) % (n_tokens - 1))

    creator = np.full(n, NO_CREATOR, np.int32)
    creator[authors] = np.arange(len(authors))
    return Users(
        id=np.arange(1, n + 1, dtype=np.int64),
        city=city,
        creator=creator,
        profile_start=_starts(profile // n_tokens, n),
        profile=(profile % n_tokens).astype(np.int32),
        history_start=_starts(actor, n),
        history_video=_pick(rng, pull, len(actor)).astype(np.int32),
        history_liked=(liked := rng.random(len(actor)) < 0.7),
        history_kind=np.where(liked, 1, 3).astype(np.int8),  # a save, a view
        history_at=NOW - days * SECONDS_PER_DAY,
        flow_history_start=np.zeros(n + 1, np.int64),
        flow_history=np.zeros(0, np.int32),
        connection_start=_starts(links // n, n),
        connection=(links % n).astype(np.int32),
    )


def _pick(rng: np.random.Generator, weights: Floats, n: int) -> NDArray[np.intp]:
    """n rows, in proportion to the weights."""
    reach = np.cumsum(weights)
    rows: NDArray[np.intp] = np.searchsorted(reach, rng.random(n) * reach[-1], side="right")
    return np.minimum(rows, len(weights) - 1, out=rows)


def _starts(owner: Ints, n: int) -> Ints:
    """Row pointers of owners in ascending order, (n + 1,)."""
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=n), out=start[1:])
    return start


def _norm01(values: Floats) -> Floats:
    spread = float(np.ptp(values))
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _nothing() -> Bytes:
    return np.zeros(0, np.uint8)


def _manifest(version: str, counts: dict[str, int], n_tokens: int) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        version=version,
        watermark=NOW,
        counts=counts,
        skipped={},
        checksums={},
        media_base_url="",
        cities=["Unknown", *(f"City {code}" for code in range(1, _N_CITIES))],
        tokens=["", *(f"word {code}" for code in range(1, n_tokens))],
    )
