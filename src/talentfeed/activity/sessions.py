"""What a request needs of earlier ones, in one round trip, and without it when Redis is slow, frozen or gone."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity import answers, codec, keys
from talentfeed.activity.outbox import Item, Outbox, ServedFeed
from talentfeed.contracts import Event, Kind

log = logging.getLogger(__name__)

RECENT = 200  # client events of a viewer that are kept and read


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is known of earlier requests."""

    session_id: str
    shown: Sequence[Item] = ()  # in this session, oldest first
    events: Sequence[Event] = ()  # the viewer's newest client events, newest first
    shown_flows: Sequence[int] = ()  # ids of flows shown in earlier sessions; read for the endpoint `flow` alone
    degraded: bool = False  # Redis did not answer: only what this process still remembers is here


class Sessions:
    """Reads sessions. After a failure it leaves Redis alone for `rest` seconds, then one read tries again."""

    def __init__(
        self,
        redis: Redis,
        *,
        outbox: Outbox,
        budget: float | None = 0.02,
        rest: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`budget`: seconds that a read may take, None without limit (in-process). `clock`: wall time, never as-of:
        it makes session ids."""
        self._redis = redis
        self._outbox = outbox
        self._budget = budget
        self._rest = rest
        self._clock = clock
        self._closed_until = 0.0  # monotonic
        self._out = False
        self.degraded_reads = 0
        self.skipped_values = 0  # stored items that are none

    async def read(self, user_id: int, session_id: str | None = None, *, endpoint: str) -> Session:
        """The session; a new one where `session_id` is None. Never raises for Redis' sake."""
        if session_id is None:
            session_id = str(int(self._clock() * 1000))
        # Taken before Redis is asked: what is stored in the meantime is in both, and dropped from one below.
        pending = self._outbox.pending(user_id)
        answer = await self._ask(user_id, session_id, endpoint)
        if answer is None:
            self.degraded_reads += 1
            return self._merge(session_id, pending, ([], [], []), endpoint=endpoint, degraded=True)
        return self._merge(session_id, pending, answer, endpoint=endpoint, degraded=False)

    async def _ask(self, user_id: int, session_id: str, endpoint: str) -> tuple[list[bytes], ...] | None:
        now = time.monotonic()
        if now < self._closed_until:
            return None
        if self._out:
            self._closed_until = now + self._rest  # one request tries, the others do not wait for its outcome
        try:
            async with asyncio.timeout(self._budget):
                pipeline = self._redis.pipeline(transaction=False)
                pipeline.lrange(keys.session(user_id, session_id), 0, -1)
                pipeline.lrange(keys.recent(user_id), 0, RECENT - 1)
                if endpoint == "flow":
                    pipeline.zrange(keys.shown_flows(user_id), 0, -1)
                found: list[Any] = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._closed_until = time.monotonic() + self._rest
            if not self._out:
                self._out = True
                log.warning("Redis does not answer (%s); feeds go on without sessions", answers.told(error))
            return None
        if self._out:
            self._out, self._closed_until = False, 0.0
            log.info("Redis answers again; feeds have their sessions back")
        return found[0], found[1], found[2] if endpoint == "flow" else []

    def _merge(
        self,
        session_id: str,
        pending: Sequence[ServedFeed],
        answer: tuple[list[bytes], ...],
        *,
        endpoint: str,
        degraded: bool,
    ) -> Session:
        stored, events, flows = answer
        shown = self._items(stored)
        known = set(shown)
        earlier = dict.fromkeys(self._numbers(flows))
        for feed in pending:
            items = [(item.kind, item.id) for item in feed.items]
            if feed.session_id == session_id:
                shown += [item for item in items if item not in known]
            elif endpoint == "flow":
                earlier.update(dict.fromkeys(id_ for kind, id_ in items if kind is Kind.FLOW))
        here = {id_ for kind, id_ in shown if kind is Kind.FLOW}
        return Session(
            session_id=session_id,
            shown=shown,
            events=codec.decode_events(events),
            shown_flows=[flow for flow in earlier if flow not in here],
            degraded=degraded,
        )

    def _items(self, stored: Sequence[bytes]) -> list[Item]:
        items = []
        for text in stored:
            name, _, number = text.partition(b":")
            kind = codec.KINDS.get(name.decode("ascii", "replace"))
            if kind is None or not number.isdigit():
                self.skipped_values += 1
                continue
            items.append((kind, int(number)))
        return items

    def _numbers(self, stored: Sequence[bytes]) -> list[int]:
        numbers = [int(text) for text in stored if text.isdigit()]
        self.skipped_values += len(stored) - len(numbers)
        return numbers
