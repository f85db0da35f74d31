"""Feeds that were served and are not in Redis yet: a bounded buffer that the next request of the same session sees."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from talentfeed.activity.codec import KINDS
from talentfeed.contracts import Kind, Viewer
from talentfeed.ranking.record import Origin

ORIGIN_BYTES = 64 * 1_048_576  # that waiting feeds may hold for their records' sake: long scrolls bring long exclusions

Item = tuple[Kind, int]  # an item by its id on the platform


class ServedItem(
    msgspec.Struct, frozen=True, gc=False, rename={"id": "video_id", "type": "item_type", "url": "video_url"}
):
    """One place of a feed that went out. As JSON it is what its view has of its own."""

    id: int
    type: str  # resume or challenge
    url: str  # of the video itself
    pool: str  # the code of the pool it was drawn from
    probability: float

    @property
    def kind(self) -> Kind:
        """What the type means."""
        return KINDS[self.type]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFeed:
    """A feed that went out."""

    user_id: int
    endpoint: str  # total, discover, flow
    feed_id: str  # 32 hex digits
    session_id: str
    at: float  # seconds UTC
    items: Sequence[ServedItem]
    origin: Origin | None = None  # what a record is made of; None: the feed goes without one
    viewer: Viewer | None = None  # as it was ranked for, for who learns from the feed

    @property
    def weight(self) -> int:
        """Bytes that waiting for its record takes, about."""
        return 0 if self.origin is None else 4_096 + self.origin.request.excluded_ids.nbytes

    @property
    def records(self) -> int:
        """Activities that the feed makes: the request and one view an item."""
        return 1 + len(self.items)


class Outbox:
    """First in, first out. A feed is pending until it is stored or lost."""

    def __init__(self, *, capacity: int, origin_bytes: int = ORIGIN_BYTES) -> None:
        self._capacity = capacity
        self._origin_bytes = origin_bytes
        self._held = 0
        self.unexplained = 0  # feeds that had to go without a record
        self._waiting: deque[ServedFeed] = deque()
        self._pending: dict[int, list[ServedFeed]] = {}  # by user, oldest first: waiting, or being stored

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, feed: ServedFeed) -> ServedFeed | None:
        """Append. → the oldest waiting feed, where it had to go for this one: the newest matter most to a session."""
        if self._held + feed.weight > self._origin_bytes:
            self.unexplained += 1
            feed = replace(feed, origin=None)
        self._held += feed.weight
        lost = None
        if len(self._waiting) >= self._capacity:
            lost = self._waiting.popleft()
            self.done([lost])
        self._waiting.append(feed)
        self._pending.setdefault(feed.user_id, []).append(feed)
        return lost

    def take(self, most: int) -> list[ServedFeed]:
        """Take the oldest waiting feeds out to store them; they stay pending until `done`."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def done(self, feeds: Sequence[ServedFeed]) -> None:
        """These are stored, or lost for good."""
        for feed in feeds:
            self._held -= feed.weight
            pending = self._pending[feed.user_id]
            del pending[next(n for n, other in enumerate(pending) if other is feed)]  # by identity; mostly the first
            if not pending:
                del self._pending[feed.user_id]

    def pending(self, user_id: int) -> Sequence[ServedFeed]:
        """What was served to this user and is not stored yet, oldest first."""
        return tuple(self._pending.get(user_id, ()))

    def find(self, feed_id: str) -> ServedFeed | None:
        """A feed that is not stored yet. Looks at all of them: for an operator's question, not for requests."""
        return next((feed for feeds in self._pending.values() for feed in feeds if feed.feed_id == feed_id), None)
