"""Feeds that were served and are not in Redis yet: a bounded buffer that the next request of the same session sees."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from talentfeed.contracts import Kind

Item = tuple[Kind, int]  # an item by its id on the platform


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedItem:
    """One place of a feed that went out."""

    kind: Kind
    id: int
    pool: str  # the code of the pool it was drawn from
    probability: float
    url: str  # of the video itself


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFeed:
    """A feed that went out."""

    user_id: int
    endpoint: str  # total, discover, flow
    feed_id: str  # 32 hex digits
    session_id: str
    at: float  # seconds UTC
    items: Sequence[ServedItem]

    @property
    def records(self) -> int:
        """Activities that the feed makes: the request and one view an item."""
        return 1 + len(self.items)


class Outbox:
    """First in, first out. A feed is pending until it is stored or lost."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[ServedFeed] = deque()
        self._pending: dict[int, list[ServedFeed]] = {}  # by user, oldest first: waiting, or being stored

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, feed: ServedFeed) -> ServedFeed | None:
        """Append. → the oldest waiting feed, where it had to go for this one: the newest matter most to a session."""
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
            pending = self._pending[feed.user_id]
            del pending[next(n for n, other in enumerate(pending) if other is feed)]  # by identity; mostly the first
            if not pending:
                del self._pending[feed.user_id]

    def pending(self, user_id: int) -> Sequence[ServedFeed]:
        """What was served to this user and is not stored yet, oldest first."""
        return tuple(self._pending.get(user_id, ()))
