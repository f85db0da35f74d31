"""The ledger forgets batches that nobody can write again. docs/exactly-once.md says why that is right."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Collection
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity.batches import still_open
from talentfeed.activity.recorder import EVENT_SECONDS
from talentfeed.errors import SourceError, StoreUnavailableError
from talentfeed.tasks import obey_cancellation

log = logging.getLogger(__name__)

PAGES = 200  # of 500 rows that one look may take: what is left goes with the next
EVENTS_KEPT = 10_000  # client events that are kept however old: a clock that leaps ahead must not forget them all
FIRST_LOOK = 60.0  # seconds after a start, at most


class Ledger(Protocol):
    """What the ledger can do. `stores.ledger` has the real one."""

    async def raise_floor(self, *, every: float) -> int:
        """→ the floor; no batch of a generation below it is being written, or ever will be."""
        ...

    def below(self, floor: int) -> AsyncIterator[list[str]]:
        """Batches below it, page by page."""
        ...

    def old_events(self, *, seconds: float, keep: int) -> AsyncIterator[list[str]]:
        """Keys of client events that may go, page by page."""
        ...

    async def forget(self, keys: Collection[str]) -> int:
        """→ how many rows are gone."""
        ...


class Pruner:
    """One a process; any number of them do no harm."""

    def __init__(self, redis: Redis, ledger: Ledger, *, every: float = 3_600.0) -> None:
        """`every`: seconds between two raises of the floor. `redis`: the one all flushers of this ledger use."""
        self._redis = redis
        self._ledger = ledger
        self._every = every
        self._told = ""
        self.forgotten = 0  # rows

    async def run(self) -> None:
        """For as long as the process serves."""
        pause = min(FIRST_LOOK, self._every)
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            try:
                await self.look()
            except Exception:
                # Not foreseen, so a defect; but a ledger that is never pruned again would be a second one.
                log.exception("Pruning the ledger failed")
            obey_cancellation()
            pause = self._every / 2

    async def look(self) -> int:
        """Forget what may be forgotten now. Never raises for a store's sake. → rows forgotten."""
        before = self.forgotten
        try:
            await self._batches(await self._ledger.raise_floor(every=self._every))
            await self._events()
        except SourceError as error:  # an operator's, and once is enough
            if str(error) != self._told:
                log.warning("The ledger cannot forget old batches and grows; it needs DELETE on it: %s", error)
            self._told = str(error)
        except (StoreUnavailableError, RedisError, OSError) as error:
            log.debug("The ledger is pruned later: %s", error)  # the flusher says that a store is away
        else:
            self._told = ""
        if self.forgotten > before:
            log.info("The ledger forgot %d old rows", self.forgotten - before)
        return self.forgotten - before

    async def _batches(self, floor: int) -> None:
        pages = 0
        async for page in self._ledger.below(floor):
            held = await still_open(self._redis, page)
            self.forgotten += await self._ledger.forget([batch for batch in page if batch not in held])
            pages += 1
            if pages == PAGES:
                return

    async def _events(self) -> None:
        pages = 0
        async for page in self._ledger.old_events(seconds=EVENT_SECONDS, keep=EVENTS_KEPT):
            self.forgotten += await self._ledger.forget(page)
            pages += 1
            if pages == PAGES:
                return
