"""Stage 1: what this user likes, knows, has seen. SPEC 5."""

import math
from collections.abc import Sequence
from itertools import accumulate, chain

import numpy as np

from talentfeed.contracts import (
    CREATOR_WINDOW,
    HISTORY,
    HISTORY_KINDS,
    N_TOKENS,
    UNKNOWN_CITY,
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
    at = _addresses(snapshot)
    row = _row_of(users.id, user_id)
    n = degree = n_profile = 0
    watched = liked = profile = connections = 0
    own_city = UNKNOWN_CITY
    evidence: Indices = _NO_ROWS
    seen_flows: Indices = _NO_ROWS
    if row is not None:
        first, last = _span(users.history_start, row)
        n, watched, liked = last - first, at.history_video + 4 * first, at.history_liked + first
        begin, end = _span(users.flow_history_start, row)
        seen_flows = users.flow_history[begin:end]
        begin, end = _span(users.connection_start, row)
        degree, connections = end - begin, at.connection + 4 * begin
        begin, end = _span(users.profile_start, row)
        n_profile, profile = end - begin, at.profile + 4 * begin
        own_city = users.city.item(row)
        if snapshot.signals is not None:
            begin, end = _span(snapshot.signals.event_start, row)
            evidence = snapshot.signals.event_video[begin:end]
    if events:
        known: list[_Interaction] = []
        if row is not None:
            listed = (users.history_at, users.history_video, users.history_liked, users.history_kind)
            known = list(zip(*(column[first:last].tolist() for column in listed), strict=True))
        history = sorted(_with_news(videos.id, events, known), key=lambda h: (-h[0], -h[1], not h[2]))
        rows, likes = np.array([h[1] for h in history], np.int32), np.array([h[2] for h in history], np.bool_)
        n, watched, liked = len(history), native.address(rows), native.address(likes)
        flows = _flows_of(snapshot.flows.id, events) + seen_flows.tolist()
        seen_flows = np.array(list(dict.fromkeys(flows)), np.int32)
        if snapshot.signals is not None:
            evidence = _with_engaged(videos.id, events, evidence)

    # One array for all there is to work in and to answer with, in words of 8 bytes; see `native/viewer.c`.
    most = max(min(n, HISTORY) * N_TOKENS, n_profile)
    places = 2 << n.bit_length()
    sizes = (
        *(at.token_words, at.city_words, 32 * at.token_words, places // 2),
        *((n + 1) // 2, (most + 1) // 2, (most + 1) // 2, 32 * at.city_words, (degree + 1) // 2, most),
    )
    starts = list(accumulate(sizes, initial=0))
    words = np.zeros(starts[-1], np.uint64)
    base = native.address(words)
    tokens, cities, counts, hashed, seen, skills, shared, lived, creators, weights, _ = starts
    r = native.reading(
        *(watched, liked, profile, connections, at.video_tokens, at.video_city, at.user_city, at.user_creator),
        *(n, HISTORY, n_profile, degree, own_city, snapshot.skills.n, at.token_words, at.city_words, places),
        *(
            base + 8 * start
            for start in (counts, tokens, cities, hashed, seen, skills, shared, lived, creators, weights)
        ),
    )
    native.library().talentfeed_read(native.pointer(native.place(r)))
    ints = words.view(np.int32)
    return Viewer(
        user_id=user_id,
        known=row is not None,
        has_skills=r.mentions > 0,
        skills=ints[2 * skills : 2 * skills + r.n_skills_found],
        skill_weights=words.view(np.float64)[weights : weights + r.n_skills_found],
        tokens=ints[2 * shared : 2 * shared + r.n_known],
        cities=ints[2 * lived : 2 * lived + r.n_lived],
        connections=ints[2 * creators : 2 * creators + r.n_creators],
        influence=influence(degree),
        seen_videos=ints[2 * seen : 2 * seen + r.n_seen],
        seen_flows=seen_flows,
        evidence=evidence,
    )


class _Addresses:
    """Where a snapshot's arrays begin that every viewer is read from."""

    def __init__(self, snapshot: Snapshot) -> None:
        users, videos = snapshot.users, snapshot.videos
        self.history_video, self.history_liked = map(native.address, (users.history_video, users.history_liked))
        self.connection, self.profile = map(native.address, (users.connection, users.profile))
        self.video_tokens, self.video_city = map(native.address, (videos.tokens, videos.city))
        self.user_city, self.user_creator = map(native.address, (users.city, users.creator))
        self.token_words = len(snapshot.manifest.tokens) // 64 + 1
        self.city_words = len(snapshot.manifest.cities) // 64 + 1


_known: list[tuple[Snapshot, _Addresses]] = []  # of the snapshot that was read from last


def _addresses(snapshot: Snapshot) -> _Addresses:
    for known, addresses in _known:
        if known is snapshot:
            return addresses
    found = _Addresses(snapshot)
    _known[:] = [(snapshot, found)]
    return found


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


def _with_engaged(ids: Ints, events: Sequence[Event], known: Indices) -> Indices:
    """The newest distinct videos that the user was engaged with, newest first: those of events before those known."""
    newest_first = sorted((e for e in events if e.kind is Kind.VIDEO and _is_engaged(e)), key=lambda e: -e.at)
    rows = (_row_of(ids, event.item_id) for event in newest_first)
    found = dict.fromkeys([*(row for row in rows if row is not None), *known.tolist()])
    return np.array(list(found)[:HISTORY], np.int32)


def _is_engaged(event: Event) -> bool:
    """Whether an event says that its user took to the item. A view of unknown length counts, as the platform's do."""
    if event.event_type == EventType.VIDEO_VIEW and event.watch_ratio is None:
        return True
    return event.event_type == EventType.SHARE or is_liking(event)


def is_liking(event: Event) -> bool:
    """Whether an event says that its user likes the item."""
    if event.event_type == EventType.RATING:
        return event.value is not None and event.value >= 3
    if event.event_type == EventType.VIDEO_VIEW:
        return event.watch_ratio is not None and event.watch_ratio >= 0.5
    return event.event_type in _LIKING


def _span(start: Ints, row: int) -> tuple[int, int]:
    return start.item(row), start.item(row + 1)


def _row_of(ids: Ints, wanted: int) -> int | None:
    if not -(2**63) <= wanted < 2**63:
        return None
    row = int(ids.searchsorted(wanted))  # the function of this name takes twice as long as the method
    return row if row < len(ids) and ids.item(row) == wanted else None
