"""An activity as JSON, as a row of `activity_log`, and as an event of the viewer. SPEC 8."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from talentfeed.contracts import Activity, Event, EventType, Kind
from talentfeed.errors import TalentFeedError
from talentfeed.times import iso_milliseconds

VIDEO, FLOW = "resume", "challenge"
ITEM_TYPES = {Kind.VIDEO: VIDEO, Kind.FLOW: FLOW}
KINDS = {name: kind for kind, name in ITEM_TYPES.items()}

Row = dict[str, Any]

_ACTION: dict[str, str] = {
    EventType.VIDEO_VIEW: "view"
}  # in the tags of a description; the other types are their own tag
_MAX_ID = 2**63 - 1
_LAST_SECOND = 253_402_300_799.0  # of the year 9999


class UndecodableActivityError(TalentFeedError):
    """What was stored is not an activity."""


class Wire(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """An activity as it is stored: the fields of `contracts.Activity`; those that are None are left out."""

    event_type: str
    event_id: str
    user_id: int
    timestamp: str
    source: str
    video_id: int | None = None
    item_type: str | None = None  # left out where there is no item
    video_url: str | None = None
    position: int | None = None
    feed_type: str | None = None
    session_id: str | None = None
    feed_id: str | None = None
    pool: str | None = None
    probability: float | None = None
    value: float | None = None
    watch_ratio: float | None = None
    size: int | None = None
    extra: dict[str, Any] | None = None


_FIELDS = tuple(field.name for field in fields(Activity))
_encoder = msgspec.json.Encoder()
_wire = msgspec.json.Decoder(Wire)
_event = msgspec.json.Decoder(Event)
_events = msgspec.json.Decoder(list[Event])


def timestamp(at: float) -> str:
    """Seconds since 1970 → ISO 8601, UTC, milliseconds, Z."""
    return iso_milliseconds(at)


@lru_cache(1024)  # all activities of a feed have one
def seconds(text: str) -> float:
    """An activity's timestamp → seconds since 1970 UTC; one without a zone is UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def wire(activity: Activity) -> Wire:
    """The activity as it is stored."""
    values = {name: getattr(activity, name) for name in _FIELDS}
    if activity.video_id is None:
        values["item_type"] = None
    if activity.extra is not None:
        values["extra"] = dict(activity.extra)
    return Wire(**values)


def encode(activity: Activity | Wire) -> bytes:
    """→ JSON, UTF-8. Raises UndecodableActivityError for text that UTF-8 cannot hold."""
    try:
        return _encoder.encode(activity if isinstance(activity, Wire) else wire(activity))
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise UndecodableActivityError(f"An activity cannot be written as JSON: {error}") from error


def read(payload: bytes | str) -> Wire:
    """JSON → what is stored, checked: ids within 64 bits, a timestamp that is one.

    Raises UndecodableActivityError with the reason.
    """
    try:
        found = _wire.decode(payload)
        at = seconds(found.timestamp)
    except (msgspec.MsgspecError, ValueError) as error:  # also UnicodeDecodeError
        raise UndecodableActivityError(f"Not an activity: {error}") from error
    if not 0 <= at <= _LAST_SECOND:
        raise UndecodableActivityError(f"Not an activity: the time {found.timestamp} is outside of 1970 … 9999")
    subject = found.video_id
    if not 0 <= found.user_id <= _MAX_ID or not 0 <= (subject or 0) <= _MAX_ID:
        raise UndecodableActivityError(
            f"Not an activity: an id of user {found.user_id}, item {subject} is outside of 0 … 2^63-1"
        )
    if subject is None and found.event_type != EventType.FEED_REQUEST:
        raise UndecodableActivityError(f"Not an activity: a {found.event_type!r} names no item")
    if found.item_type is not None and found.item_type not in KINDS:
        raise UndecodableActivityError(f"Not an activity: item_type {found.item_type!r}; known: {', '.join(KINDS)}")
    return found


def decode(payload: bytes | str) -> Activity:
    """JSON → activity. Raises UndecodableActivityError."""
    found = read(payload)
    values = {name: getattr(found, name) for name in _FIELDS}
    values["item_type"] = found.item_type or VIDEO
    return Activity(**values)


def decode_all(payloads: Iterable[bytes | str]) -> tuple[list[Activity], int]:
    """→ the activities, and how many of the payloads were none and are left out."""
    activities, skipped = [], 0
    for payload in payloads:
        try:
            activities.append(decode(payload))
        except UndecodableActivityError:
            skipped += 1
    return activities, skipped


# ---------------------------------------------------------------- the viewer's events


def event(activity: Activity) -> Event:
    """A client's activity → what it is to its viewer. Raises UndecodableActivityError where it names no item."""
    if activity.video_id is None:
        raise UndecodableActivityError(f"A {activity.event_type} names no item")
    return Event(
        event_type=activity.event_type,
        kind=KINDS[activity.item_type],
        item_id=activity.video_id,
        at=seconds(activity.timestamp),
        value=activity.value,
        watch_ratio=activity.watch_ratio,
    )


def encode_event(event: Event) -> bytes:
    """→ what `recent:{user_id}` keeps of it."""
    return _encoder.encode(event)


def decode_events(payloads: Sequence[bytes]) -> list[Event]:
    """What `recent:{user_id}` holds → events, in the same order; what is none is left out."""
    try:
        return _events.decode(b"[" + b",".join(payloads) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [event for payload in payloads for event in _one_event(payload)]


def _one_event(payload: bytes) -> list[Event]:
    try:
        return [_event.decode(payload)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


# ---------------------------------------------------------------- the row


@lru_cache(1024)
def _whole_second(text: str) -> str:
    """UTC text in whole seconds, cut and not rounded: a rounded one could lie in the future."""
    return datetime.fromtimestamp(seconds(text), UTC).replace(tzinfo=None).isoformat(" ", "seconds")


@lru_cache(256)
def _told(event_type: str, feed_type: str | None) -> tuple[str, str]:
    """→ a row's description, and its URL where that does not name the item; else empty."""
    if event_type == EventType.FEED_REQUEST:
        return f"#feed #request #{feed_type or 'total'}", f"/api/search/{feed_type or 'total'}"
    tags = ["#video", f"#{_ACTION.get(event_type, event_type)}", *([f"#{feed_type}"] if feed_type else [])]
    return " ".join(tags), ""


class Rows:
    """Stored activities → rows of `activity_log`."""

    def __init__(
        self,
        *,
        resume_subject_type: str = r"App\Interacpedia\Resumes\Resume",
        challenge_subject_type: str = r"App\Interacpedia\Challenges\Challenge",
    ) -> None:
        self._subject_types: Mapping[str, str] = {VIDEO: resume_subject_type, FLOW: challenge_subject_type}

    def row(self, payload: bytes | str) -> Row:
        """→ the row's columns but for `id`. `properties` is the JSON as it was stored.

        `created_at` is UTC text in whole seconds.
        Raises UndecodableActivityError.
        """
        try:
            text = payload.decode() if isinstance(payload, bytes) else payload
        except UnicodeDecodeError as error:
            raise UndecodableActivityError(f"Not an activity: {error}") from error
        found = read(text)
        subject = found.video_id
        description, url = _told(found.event_type, found.feed_type)
        at = _whole_second(found.timestamp)
        return {
            "log_name": "app",
            "description": description,
            "subject_id": subject,
            "subject_type": None if subject is None else self._subject_types[found.item_type or VIDEO],
            "causer_id": found.user_id,
            "causer_type": r"App\User",
            "properties": text,
            "url": url or f"/api/search/feed/video/{subject}",
            "created_at": at,
            "updated_at": at,
        }
