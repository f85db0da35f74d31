"""The ranking as SPEC 5 and 6 say it, one item at a time, recomputing everything: slow and obvious.

It shares no code with the kernel. Noise is handed in. The slate's own reference is `slate.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talentfeed.contracts import HISTORY_KINDS, BanditState, Event, Kind, Pool, Snapshot

DAY = 86_400.0
Past = tuple[float, int, bool, str]  # at, row, liked, type
CLASSIC = {  # alpha, beta
    Pool.POPULAR: (1.5, 0.8),
    Pool.AFFINITY: (1.8, 1.0),
    Pool.FRESH: (2.5, 1.3),
}


# ---------------------------------------------------------------- SPEC 5


@dataclass
class Person:
    """A viewer, by plain sets."""

    skill_counts: dict[int, int]
    tokens: set[int]
    cities: set[int]
    connections: set[int]
    influence: float
    seen_videos: list[int]
    seen_flows: list[int]


def read(snapshot: Snapshot, user_id: int, events: Sequence[Event]) -> Person:
    """The viewer; where nothing is liked the profile stands in, and a fact counts once."""
    users, videos = snapshot.users, snapshot.videos
    rows = [i for i in range(len(users.id)) if int(users.id[i]) == user_id]
    video_row = {int(v): i for i, v in enumerate(videos.id)}
    flow_row = {int(f): i for i, f in enumerate(snapshot.flows.id)}
    history: list[Past] = []
    seen_flows: list[int] = []
    connected: list[int] = []
    profile: list[int] = []
    home: set[int] = set()
    for i in rows:
        history = [
            (
                float(users.history_at[j]),
                int(users.history_video[j]),
                bool(users.history_liked[j]),
                HISTORY_KINDS[int(users.history_kind[j])],
            )
            for j in range(users.history_start[i], users.history_start[i + 1])
        ]
        seen_flows = [int(users.flow_history[j]) for j in range(*users.flow_history_start[i : i + 2])]
        connected = [int(users.connection[j]) for j in range(*users.connection_start[i : i + 2])]
        profile = [int(users.profile[j]) for j in range(*users.profile_start[i : i + 2])]
        home = {int(users.city[i])}
    history = [*history, *unvalued(events, video_row)]
    for row in video_row.values():
        for name in ("rating", "save", "match", "view", "share", "skip"):
            told = [e for e in events if video_row.get(e.item_id) == row and is_about(e, name)]
            if told:
                history = told_again(history, row, name, told)
    history.sort(key=lambda h: (-h[0], -h[1], not h[2]))
    for event in sorted(events, key=lambda e: (e.at, e.item_id)):
        if event.kind is Kind.FLOW and event.item_id in flow_row:
            seen_flows = [flow_row[event.item_id], *seen_flows]

    liked = {row for _, row, likes, _ in history[:80] if likes}
    counts: dict[int, int] = {}
    tokens: set[int] = set()
    if liked:
        for row in liked:
            for column, token in enumerate(videos.tokens[row].tolist()):
                if token != 0:
                    tokens.add(token)
                    if column < 5:
                        counts[token] = counts.get(token, 0) + 1
        cities = {int(videos.city[row]) for row in liked}
    else:
        for token in profile:
            if token <= snapshot.skills.n:
                counts[token] = counts.get(token, 0) + 1
            if token > 0:
                tokens.add(token)
        cities = home
    return Person(
        skill_counts=counts,
        tokens=tokens,
        cities=(cities | {int(users.city[u]) for u in connected}) - {0},
        connections={int(users.creator[u]) for u in connected} - {-1},
        influence=math.log(1 + len(connected)) / 10,
        seen_videos=list(dict.fromkeys(row for _, row, _, _ in history)),
        seen_flows=list(dict.fromkeys(seen_flows)),
    )


def is_about(event: Event, name: str) -> bool:
    """Whether an event on a video is a fact of this type; a rating without a value is none."""
    types = {"like": "save", "video_view": "view"}
    same = types.get(event.event_type, event.event_type) == name
    return same and event.kind is Kind.VIDEO and not (name == "rating" and event.value is None)


def unvalued(events: Sequence[Event], video_row: dict[int, int]) -> list[Past]:
    """Ratings without a value: seen, no more."""
    told = [e for e in events if e.event_type == "rating" and e.value is None and e.kind is Kind.VIDEO]
    return [(e.at, video_row[e.item_id], False, "none") for e in told if e.item_id in video_row]


def told_again(history: list[Past], row: int, name: str, told: Sequence[Event]) -> list[Past]:
    """The history after one more build: the fact's newest row has the newest time; a rating's the newest verdict."""
    same = [h for h in history if (h[1], h[3]) == (row, name)]
    rest = [h for h in history if (h[1], h[3]) != (row, name)]
    at = max(e.at for e in told)
    if not same:
        same = [(0.0, row, False, name)]
        newer = True
    else:
        newer = at > same[0][0] + 1.0
    if name == "rating":
        verdict = any(is_liked(e) for e in told if e.at == at)
        if newer:
            return [*rest, (at, row, verdict, name), *((h[0], row, False, name) for h in same[1:])]
        return history
    liked = same[0][2] or any(is_liked(e) for e in told)
    return [*rest, (at if newer else same[0][0], row, liked, name), *same[1:]]


def is_liked(event: Event) -> bool:
    """Rating >= 3, save, match, like, a view of at least half."""
    if event.event_type == "rating":
        return (event.value or 0) >= 3
    if event.event_type == "video_view":
        return (event.watch_ratio or 0) >= 0.5
    return event.event_type in {"like", "save", "match"}


# ---------------------------------------------------------------- SPEC 6


def days(created_at: float, now: float) -> float:
    """Age; no date is infinitely old."""
    return math.inf if created_at == 0 else max(now - created_at, 0) / DAY


def similarity(snapshot: Snapshot, person: Person, row: int) -> float:
    """Feature 5, through the explicit cosine of sums of embeddings given by their dot products."""
    if not person.skill_counts:
        return 0.5
    of_video = [t for t in snapshot.videos.tokens[row, :5].tolist() if t != 0]
    if not of_video:
        return 0.3
    dot = snapshot.skills.similarity
    total = sum(person.skill_counts.values())
    known = {t: c for t, c in person.skill_counts.items() if t > 0}
    between = sum(c * dot[s - 1, t - 1] for s, c in known.items() for t in of_video)
    length = math.sqrt(sum(a * b * dot[s - 1, t - 1] for s, a in known.items() for t, b in known.items()))
    own = math.sqrt(sum(dot[s - 1, t - 1] for s in of_video for t in of_video))
    cosine = between / (length * own) if length > 0 else 0.0
    weights = sum(known.get(t, 0) / total for t in of_video)
    return min(max(0.6 * cosine + 0.4 * weights, 0.0), 1.0)


def features(snapshot: Snapshot, person: Person, row: int, now: float, noise: float) -> list[float]:
    """The 18 of one video; `noise` is feature 17."""
    videos = snapshot.videos
    x = videos.features[row].tolist()
    age = days(float(videos.created_at[row]), now)
    x[1] = math.exp(-age / 28) * (1.5 if age <= 30 else 1.0)
    x[5] = similarity(snapshot, person, row)
    points = 0
    for column, token in enumerate(videos.tokens[row].tolist()):
        if token in person.tokens:
            points += 15 if column < 5 else 12 if column < 8 else 10 if column < 11 else 8
    x[6] = min(points, 100) / 100
    x[7] = float(int(videos.city[row]) in person.cities)
    x[8] = float(int(videos.creator[row]) in person.connections)
    x[13] = person.influence
    x[17] = noise
    return [float(value) for value in x]


def ucb(state: BanditState, x: Sequence[float], alpha: float, beta: float) -> float:
    """theta^T x + alpha sqrt(x^T A^-1 x) + beta sigma^2 x^T A^-1 x."""
    inverse = np.linalg.inv(state.A)
    theta = inverse @ state.b
    width = float(np.array(x) @ inverse @ np.array(x))
    variance = 0.7
    if state.rewards >= 10:
        variance = max(state.error_sum2 / state.error_n - (state.error_sum / state.error_n) ** 2, 0.0)
    return float(theta @ np.array(x)) + alpha * math.sqrt(width) + beta * variance * width


def pool_score(pool: Pool, state: BanditState, x: Sequence[float], age: float, fresh_noise: float) -> float:
    """One row of the table of `classic`; `fresh_noise` is U(0, 0.6)."""
    alpha, beta = CLASSIC[pool]
    score = ucb(state, x, alpha, beta)
    if pool is Pool.POPULAR:
        return score + 2.2 * x[0] + 1.6 * x[3] + 1.8 * x[2] + (1.4 if age < 45 else 0.0)
    if pool is Pool.AFFINITY:
        return score + 2.8 * x[5] + 2.5 * x[6] + (0.9 if age < 45 else 0.0)
    return score + 2.5 * math.exp(-age / 28) + 1.8 * x[4] + 1.4 * x[11] + fresh_noise
