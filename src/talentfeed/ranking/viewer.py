"""Stage 1: what this user likes, knows, has seen. SPEC 5."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain, compress

import numpy as np

from talentfeed.contracts import (
    CREATOR_WINDOW,
    HISTORY,
    HISTORY_KINDS,
    N_SKILLS,
    NO_TOKEN,
    UNKNOWN_CITY,
    Event,
    EventType,
    Floats,
    Indices,
    Ints,
    Kind,
    Snapshot,
    Viewer,
)

_SAME_FACT_SECONDS = 1.0  # the database keeps whole seconds
_LIKING = frozenset({EventType.LIKE, EventType.SAVE, EventType.MATCH})
_RATING = HISTORY_KINDS.index("rating")
_KINDS = {EventType.LIKE: "save", EventType.VIDEO_VIEW: "view"}  # the others are called the same
_Interaction = tuple[float, int, bool, int]  # at, row, liked, place in HISTORY_KINDS


def read(snapshot: Snapshot, user_id: int, events: Sequence[Event] = ()) -> Viewer:
    """The viewer of a feed. An unknown id is no error: it gets what its events say, else a blank.

    `events` are newest client events in any order; they count as they will once a snapshot knows them. Taste comes from
    the newest 80 interactions, what is seen from all; where nothing is liked the profile stands in.
    """
    users, videos = snapshot.users, snapshot.videos
    row = _row_of(users.id, user_id)
    watched: list[int] = []  # rows of videos, newest interaction first
    likes: list[bool] = []
    seen_flows: list[int] = []
    connections: Indices = np.zeros(0, np.int32)
    at: Floats = np.zeros(0)
    if row is not None:
        span = slice(users.history_start.item(row), users.history_start.item(row + 1))
        watched, likes = users.history_video[span].tolist(), users.history_liked[span].tolist()
        seen_flows = users.flow_history[_span(users.flow_history_start, row)].tolist()
        connections = users.connection[_span(users.connection_start, row)]
        at = users.history_at[span] if events else at
    if events:
        kinds = [] if row is None else users.history_kind[span].tolist()
        history: list[_Interaction] = list(zip(at.tolist(), watched, likes, kinds, strict=True))
        history = sorted(_with_news(videos.id, events, history), key=lambda h: (-h[0], -h[1], not h[2]))
        watched, likes = [h[1] for h in history], [h[2] for h in history]
        seen_flows = _flows_of(snapshot.flows.id, events) + seen_flows

    liked = list(dict.fromkeys(compress(watched[:HISTORY], likes)))
    if liked:
        listed = videos.tokens[liked]  # (liked, N_TOKENS)
        counts = np.bincount(listed[:, :N_SKILLS].ravel())
        counts[NO_TOKEN] = 0
        tokens = np.bincount(listed.ravel())
        tokens[NO_TOKEN] = 0
        total = int(counts.sum())
        skills, known = counts.nonzero()[0], tokens.nonzero()[0]
        weights = counts[skills] / total
        cities = set(videos.city[liked].tolist())
    else:
        profile = users.profile[_span(users.profile_start, row)].tolist() if row is not None else []
        mentions = Counter(token for token in profile if token <= snapshot.skills.n)
        total = mentions.total()
        skills = np.array(sorted(token for token in mentions if token > NO_TOKEN), np.int64)
        weights = np.array([mentions[token] / total for token in skills.tolist()], np.float64)
        known = np.array(sorted({token for token in profile if token > NO_TOKEN}), np.int64)
        cities = {int(users.city[row])} if row is not None else set()
    cities.update(users.city[connections].tolist())
    cities.discard(UNKNOWN_CITY)

    creators = users.creator[connections]
    return Viewer(
        user_id=user_id,
        known=row is not None,
        has_skills=total > 0,
        skills=skills.astype(np.int32),
        skill_weights=weights,
        tokens=known.astype(np.int32),
        cities=np.array(sorted(cities), np.int32),
        connections=creators[creators >= 0],
        influence=influence(len(connections)),
        seen_videos=np.array(list(dict.fromkeys(watched)), np.int32),
        seen_flows=np.array(list(dict.fromkeys(seen_flows)), np.int32),
    )


def influence(connections: int) -> float:
    """Of a user with so many accepted connections."""
    return math.log1p(connections) / 10


def last_creators(snapshot: Snapshot, items: Sequence[tuple[Kind, int] | int]) -> list[tuple[int, ...]]:
    """`FeedRequest.recent_creators` of the items shown last, oldest first.

    Items are (kind, id) from a session, or bare ids from the excluded ones: a bare id stands for the video and the
    flow of that number. An id that is not in the snapshot keeps its place, without a creator.
    """
    return [_creators_of(snapshot, item) for item in items[-(CREATOR_WINDOW - 1) :]]


def _creators_of(snapshot: Snapshot, item: tuple[Kind, int] | int) -> tuple[int, ...]:
    kinds, item_id = ((Kind.VIDEO, Kind.FLOW), item) if isinstance(item, int) else ((item[0],), item[1])
    codes = []
    for kind in kinds:
        listing = snapshot.videos if kind is Kind.VIDEO else snapshot.flows
        row = _row_of(listing.id, item_id)
        if row is not None:
            codes.append(int(listing.creator[row]))
    return tuple(dict.fromkeys(codes))


def _with_news(ids: Ints, events: Sequence[Event], history: list[_Interaction]) -> list[_Interaction]:
    """The history, newest first, with what was reported since: a fact a video and type, as the next build has it.

    A newer report takes the place of the newest row of its fact. Of ratings the newest alone says whether the video is
    liked; of views the longest does.
    """
    facts: dict[tuple[int, int], tuple[float, bool]] = {}
    unrated: list[_Interaction] = []
    for event in events:
        row = _row_of(ids, event.item_id) if event.kind is Kind.VIDEO else None
        if row is None:
            continue
        liked = is_liking(event)
        kind = HISTORY_KINDS.index(_KINDS.get(EventType(event.event_type), event.event_type))
        if kind == _RATING and event.value is None:
            unrated.append((event.at, row, False, kind))
            continue
        at, before = facts.get((row, kind), (event.at, liked))
        if kind == _RATING:
            facts[row, kind] = max((at, before), (event.at, liked))
        else:
            facts[row, kind] = max(at, event.at), before or liked
    places: dict[tuple[int, int], list[int]] = {key: [] for key in facts}
    for place, (_, row, _, kind) in enumerate(history):
        if (row, kind) in places:
            places[row, kind].append(place)
    found = list(history)
    for (row, kind), (at, liked) in facts.items():
        newest, *older = places[row, kind] or [len(found)]
        if newest == len(found):
            found.append((at, row, liked, kind))
            continue
        known_at, _, verdict, _ = found[newest]
        newer = at > known_at + _SAME_FACT_SECONDS
        if kind != _RATING:
            verdict = verdict or liked
        elif newer:
            verdict = liked
            for place in older:
                found[place] = (found[place][0], row, False, kind)
        found[newest] = (at if newer else known_at, row, verdict, kind)
    return found + unrated


def _flows_of(ids: Ints, events: Sequence[Event]) -> list[int]:
    newest_first = sorted((e for e in events if e.kind is Kind.FLOW), key=lambda e: (-e.at, -e.item_id))
    rows = (_row_of(ids, event.item_id) for event in newest_first)
    return list(chain.from_iterable([row] for row in rows if row is not None))


def is_liking(event: Event) -> bool:
    """Whether an event says that its user likes the item."""
    if event.event_type == EventType.RATING:
        return event.value is not None and event.value >= 3
    if event.event_type == EventType.VIDEO_VIEW:
        return event.watch_ratio is not None and event.watch_ratio >= 0.5
    return event.event_type in _LIKING


def _span(start: Ints, row: int) -> slice:
    return slice(start.item(row), start.item(row + 1))


def _row_of(ids: Ints, wanted: int) -> int | None:
    if not -(2**63) <= wanted < 2**63:
        return None
    row = int(np.searchsorted(ids, wanted))
    return row if row < len(ids) and ids[row] == wanted else None
