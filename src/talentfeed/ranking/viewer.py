"""Stage 1: what this user likes, knows, has seen. SPEC 5."""

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from talentfeed.contracts import (
    CREATOR_WINDOW,
    HISTORY,
    HISTORY_KINDS,
    N_TOKENS,
    UNKNOWN_CITY,
    Bools,
    Event,
    EventType,
    Indices,
    Ints,
    Kind,
    Snapshot,
    Viewer,
)
from talentfeed.ranking import native

_NO_ROWS: Indices = np.zeros(0, np.int32)
_NO_LIKES: Bools = np.zeros(0, np.bool_)
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
    users, videos, skills = snapshot.users, snapshot.videos, snapshot.skills
    row = _row_of(users.id, user_id)
    watched: Indices = _NO_ROWS  # rows of videos, newest interaction first
    liked: Bools = _NO_LIKES
    seen_flows = profile = connections = _NO_ROWS
    own_city = UNKNOWN_CITY
    if row is not None:
        span = _span(users.history_start, row)
        watched, liked = users.history_video[span], users.history_liked[span]
        seen_flows = users.flow_history[_span(users.flow_history_start, row)]
        connections = users.connection[_span(users.connection_start, row)]
        profile = users.profile[_span(users.profile_start, row)]
        own_city = users.city.item(row)
    if events:
        known: list[_Interaction] = []
        if row is not None:
            at, kinds = users.history_at[span].tolist(), users.history_kind[span].tolist()
            known = list(zip(at, watched.tolist(), liked.tolist(), kinds, strict=True))
        history = sorted(_with_news(videos.id, events, known), key=lambda h: (-h[0], -h[1], not h[2]))
        watched, liked = np.array([h[1] for h in history], np.int32), np.array([h[2] for h in history], np.bool_)
        flows = _flows_of(snapshot.flows.id, events) + seen_flows.tolist()
        seen_flows = np.array(list(dict.fromkeys(flows)), np.int32)

    n, degree = len(watched), len(connections)
    most = max(min(n, HISTORY) * N_TOKENS, len(profile))
    token_words, city_words = len(snapshot.manifest.tokens) // 64 + 1, len(snapshot.manifest.cities) // 64 + 1
    places = 2 << n.bit_length()
    masks = np.zeros(token_words + city_words, np.uint64)
    room = np.zeros(64 * token_words + places, np.int32)
    found = np.empty(n + 2 * most + 64 * city_words + degree, np.int32)
    weights = np.empty(most)
    out = native.address(found)
    base, bits = native.address(room), native.address(masks)
    r = native.Reading(
        watched=native.address(watched),
        liked=native.address(liked),
        profile=native.address(profile),
        connections=native.address(connections),
        video_tokens=native.address(videos.tokens),
        video_city=native.address(videos.city),
        user_city=native.address(users.city),
        user_creator=native.address(users.creator),
        n_watched=n,
        history=HISTORY,
        n_profile=len(profile),
        n_connections=degree,
        own_city=own_city,
        n_skills=skills.n,
        token_words=token_words,
        city_words=city_words,
        places=places,
        counts=base,
        hashed=base + 256 * token_words,
        tokens=bits,
        cities=bits + 8 * token_words,
        seen=out,
        skills=out + 4 * n,
        known=out + 4 * (n + most),
        creators=out + 4 * (n + 2 * most),
        lived=out + 4 * (n + 2 * most + degree),
        weights=native.address(weights),
    )
    native.library().talentfeed_read(native.pointer(native.place(r)))
    return Viewer(
        user_id=user_id,
        known=row is not None,
        has_skills=r.mentions > 0,
        skills=found[n : n + r.n_skills_found],
        skill_weights=weights[: r.n_skills_found],
        tokens=found[n + most : n + most + r.n_known],
        cities=found[n + 2 * most + degree : n + 2 * most + degree + r.n_lived],
        connections=found[n + 2 * most : n + 2 * most + r.n_creators],
        influence=influence(degree),
        seen_videos=found[: r.n_seen],
        seen_flows=seen_flows,
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
