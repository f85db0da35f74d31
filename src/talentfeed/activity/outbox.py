"""Feeds that were served and are not in Redis yet: a bounded buffer that the next request of the same session sees."""

from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from talentfeed.activity.codec import ITEM_TYPES
from talentfeed.activity.packed import pack
from talentfeed.contracts import Kind, Viewer
from talentfeed.ranking.record import Origin

ORIGIN_BYTES = 64 * 1_048_576  # that waiting feeds may hold for their records' sake: long scrolls bring long exclusions

Item = tuple[Kind, int]  # an item by its id on the platform


class _Told(msgspec.Struct, gc=False):
    video_id: int
    item_type: str
    video_url: str


_encoder = msgspec.json.Encoder()


class ServedItem:
    """An item as it is recorded wherever it is served: made once, used by all feeds that it is in."""

    __slots__ = ("flow", "id", "kind", "packed", "told", "url")

    def __init__(self, kind: Kind, id_: int, url: str) -> None:
        """`url`: of the video itself."""
        self.kind = kind
        self.id = id_
        self.url = url
        self.packed = pack([(kind, id_)])
        self.flow = "" if kind is Kind.VIDEO else f"{id_} "
        told = _encoder.encode(_Told(id_, ITEM_TYPES[kind], url))[1:-1].decode()
        self.told = f',{told},"pool":"\n'  # what a view of it says, up to the pool that it was drawn from, as a line


class ServedFeed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A feed that went out. `items`, `pools` and `probabilities` are of one length: a place of the feed each."""

    user_id: int
    endpoint: str  # total, discover, flow
    feed_id: str  # 32 hex digits
    session_id: str
    at: float  # seconds UTC
    items: Sequence[ServedItem]
    pools: Sequence[str]  # the code of the pool each was drawn from
    probabilities: Sequence[float]
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
        self.held = 0  # the weight of all that are pending
        self.unexplained = 0  # feeds that had to go without a record
        self._waiting: deque[ServedFeed] = deque()
        self._pending: dict[int, list[ServedFeed]] = {}  # by user, oldest first: waiting, or being stored

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, feed: ServedFeed) -> ServedFeed | None:
        """Append. → the oldest waiting feed, where it had to go for this one: the newest matter most to a session."""
        weight = feed.weight
        if self.held + weight > self._origin_bytes:
            self.unexplained += 1
            feed, weight = replace(feed, origin=None), 0
        self.held += weight
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
            self.held -= feed.weight
            pending = self._pending[feed.user_id]
            if pending[0] is feed:  # nearly always
                del pending[0]
            else:
                del pending[next(n for n, other in enumerate(pending) if other is feed)]
            if not pending:
                del self._pending[feed.user_id]

    def pending(self, user_id: int) -> Sequence[ServedFeed]:
        """What was served to this user and is not stored yet, oldest first."""
        return tuple(self._pending.get(user_id, ()))

    def find(self, feed_id: str) -> ServedFeed | None:
        """A feed that is not stored yet. Looks at all of them: for an operator's question, not for requests."""
        return next((feed for feeds in self._pending.values() for feed in feeds if feed.feed_id == feed_id), None)
