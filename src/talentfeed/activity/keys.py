"""Names of what activities keep in Redis, and of what the ledger keeps in the database."""

import re
from hashlib import sha256

WAITING = "waiting"  # zset: user id -> since when (seconds) something of theirs waits to be flushed
FULL = "full"  # set: users with so much waiting that they are flushed before the interval is over
FLUSHING = "flushing"  # zset: batch id -> until when (seconds) somebody is at it
QUARANTINED = "quarantined"  # list: what the database refuses, with the reason

_PLAIN = re.compile(r"[A-Za-z0-9._:\-]{1,128}", re.ASCII)


def user_activity(user_id: int) -> str:
    """List: a user's waiting activities, newest at the head."""
    return f"user_activity:{user_id}"


def session(user_id: int, session_id: str) -> str:
    """String: items shown in a session, oldest first, 9 bytes each; see `packed.py`."""
    return f"session:{user_id}:{session_id}"


def feed(feed_id: str) -> str:
    """Text: the record of a feed that went out, see `feeds_kept.py`."""
    return f"feed:{feed_id}"


def recent(user_id: int) -> str:
    """List: a user's newest client events, newest at the head."""
    return f"recent:{user_id}"


def touched(user_id: int) -> str:
    """String: items of a user's client events, oldest first, 14 bytes each; see `packed.py`."""
    return f"touched:{user_id}"


def shown_flows(user_id: int) -> str:
    """Zset: flow id -> when (seconds) it was last shown to the user."""
    return f"shown_flows:{user_id}"


def event(user_id: int, event_id: str) -> str:
    """A client event that was taken in; also its batch id in the ledger.

    Ids outside of [A-Za-z0-9._:-]{1,128} are hashed, so that no collation, length or trailing space of a database can
    take two events for one.
    """
    if not _PLAIN.fullmatch(event_id):
        event_id = "~" + sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"event:{user_id}:{event_id}"


def batch(batch_id: str) -> str:
    """List: a piece of a batch, oldest first. A batch as it was claimed is in `part` instead. No expiry."""
    return f"flushing:{batch_id}"


def parts(batch_id: str) -> str:
    """List: the users of whom something is in a batch as it was claimed, in order. No expiry."""
    return f"flushing:{batch_id}:users"


def part(batch_id: str, user_id: int) -> str:
    """List: what was claimed of a user and is being written, newest at the head. No expiry."""
    return f"flushing:{batch_id}:{user_id}"


def drained(recorder: str) -> str:
    """The number of a recorder's last drain that is in, so that a repeat after a lost answer changes nothing."""
    return f"drained:{recorder}"
