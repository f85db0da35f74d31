"""Redis → `activity_log`, each activity once. docs/exactly-once.md tells why, crash point by crash point."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity import codec
from talentfeed.activity.batches import PAGE, Batch, Batches
from talentfeed.activity.writing import ActivityLog, Writer
from talentfeed.errors import SourceError, StoreUnavailableError

log = logging.getLogger(__name__)

BATCH = 1_000  # activities written in one transaction
IN_HAND = 3  # batches at a time: while `writing.TRANSACTIONS` of them are in the database the next is claimed and read
AWAY = (StoreUnavailableError, SourceError, RedisError, OSError)  # come back later; nothing is lost meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushReport:
    """What one flush did."""

    flushed: int = 0  # activities that this flush brought into `activity_log`
    batches: int = 0
    quarantined: int = 0
    waiting_users: int | None = None  # with something left in Redis; None: Redis does not say
    seconds: float = 0.0
    error: str | None = None  # why it ended early; the rest stays in Redis


class Flusher:
    """Any number of them, in any number of processes, may flush the same users at the same time."""

    def __init__(
        self,
        redis: Redis,
        activity_log: ActivityLog,
        *,
        rows: codec.Rows | None = None,
        threshold: int = 50,
        interval: float = 900.0,
        activity_ttl: int = 86_400,
        lease: float = 60.0,
        poll: float = 1.0,
        batch_size: int = BATCH,
    ) -> None:
        """Seconds: `interval` between flushes of everybody, `poll` between looks for users at the `threshold`,
        `activity_ttl` that waiting lists are given again, `lease` after which others take over a batch.
        """
        self._batches = Batches(redis, lease=lease, threshold=threshold)
        self._log = activity_log
        self._writer = Writer(self._batches, activity_log, rows or codec.Rows())
        self._interval = interval
        self._poll = poll
        self._ttl = activity_ttl
        self._size = batch_size
        self._one_at_a_time = asyncio.Lock()
        self._ours = self._writer.ours  # batches that may exist under our lease
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[Any] | None = None  # the task of `run`
        self._kept = 0.0  # monotonic time of the last `keep`
        self._there = False  # the database took the last batch
        self._likely = PAGE  # users of whom a batch has something
        self.failures = 0
        self.last_error: str | None = None
        self.oldest_waiting: float | None = None  # seconds, by Redis' clock

    @property
    def flushed(self) -> int:
        """Activities that this process brought into `activity_log`."""
        return self._writer.flushed

    @property
    def batches(self) -> int:
        """Batches that this process wrote."""
        return self._writer.batches

    @property
    def quarantined(self) -> int:
        """Activities that this process set aside."""
        return self._writer.quarantined

    # ------------------------------------------------------------ when

    async def start(self) -> None:
        """Flush in the background."""
        if self._task is None:
            self._stop.clear()
            self._task = asyncio.create_task(self.run(), name="flusher")

    async def stop(self, *, patience: float = 5.0) -> FlushReport:
        """End the loop, then flush everybody a last time, all within `patience` seconds; the rest waits in Redis."""
        deadline = time.monotonic() + patience
        self._stop.set()
        if self._task is not None:
            await _ended(self._task, patience / 2)
            self._task = None
        last = asyncio.create_task(self.flush_all(), name="last flush")
        if await _ended(last, deadline - time.monotonic()):
            return last.result()
        return FlushReport(error=f"not done within {patience:g} s; the rest waits in Redis")

    async def run(self) -> None:
        """Until `stop`: users at the threshold at once, everybody each interval, backing off while a store is away."""
        self._loop = asyncio.current_task()
        due = time.monotonic() + self._interval
        pause = self._poll
        while not await self._stopped_within(pause):
            if time.monotonic() >= due:
                report = await self.flush_all()
                due = time.monotonic() + self._interval
            else:
                report = await self._guarded(self._flush_full)
            if report.error is None:
                pause = self._poll
            else:
                due = min(due, time.monotonic() + 60.0)
                pause = min(2 * pause, 30.0) * random.uniform(0.8, 1.2)
            self._obey_cancellation()

    def _obey_cancellation(self) -> None:
        """Python 3.11's `wait_for`, which Redis clients use, drops a cancellation that meets its answer.

        Only in `run`: a last flush during shutdown may well run in a task that was cancelled.
        """
        if self._loop is not None and self._loop is asyncio.current_task() and self._loop.cancelling():
            raise asyncio.CancelledError

    async def flush_all(self) -> FlushReport:
        """Everything that waits now, and batches that somebody left behind. Never raises for a store's sake."""
        return await self._guarded(self._flush_everybody)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    async def _guarded(self, flush: Callable[[], Awaitable[None]]) -> FlushReport:
        async with self._one_at_a_time:
            began, before = time.monotonic(), (self.flushed, self.batches, self.quarantined)
            error = None
            try:
                await flush()
            except AWAY as problem:
                error = f"{type(problem).__name__}: {problem}"
                self._note(error)
            except Exception as problem:
                # Not foreseen, so a defect; but the batch is under our lease and nothing is lost by coming back.
                log.exception("Flushing failed")
                error = f"{type(problem).__name__}: {problem}"
                self._note(error)
            else:
                if self.last_error is not None:
                    log.info("Flushing works again")
                self.last_error = None
            waiting = await self._look_after(away=error is not None)
            return FlushReport(
                flushed=self.flushed - before[0],
                batches=self.batches - before[1],
                quarantined=self.quarantined - before[2],
                waiting_users=waiting,
                seconds=time.monotonic() - began,
                error=error,
            )

    def _note(self, error: str) -> None:
        self.failures += 1
        self._there = False
        if error != self.last_error:
            log.warning("Flushing stops for now; what waits stays in Redis (%s)", error)
        self.last_error = error

    async def _look_after(self, *, away: bool) -> int | None:
        """While the database is away lists are kept alive, a few times in their life. → users waiting."""
        try:
            if away and time.monotonic() - self._kept >= min(self._interval, self._ttl / 4):
                await self._batches.keep(ttl=self._ttl)
                self._kept = time.monotonic()
            self.oldest_waiting = await self._batches.oldest_waiting()
            return await self._batches.waiting_users()
        except (RedisError, OSError):
            return None  # `last_error` says so already, or the next flush will

    # ------------------------------------------------------------ what

    async def _flush_everybody(self) -> None:
        await self._recover()
        until = await self._batches.now()
        await self._empty(lambda: self._batches.users(until=until))

    async def _flush_full(self) -> None:
        await self._recover()
        await self._empty(self._batches.full_users)

    async def _recover(self) -> None:
        """Batches of ours that an error interrupted, then those that others left behind."""
        for batch_id in sorted(self._ours):
            batch = await self._batches.take_over(batch_id, ours=True)
            if batch is not None:
                await self._writer.write(batch)
            self._ours.discard(batch_id)
        while expired := await self._batches.expired(PAGE):
            for batch_id in expired:
                batch = await self._batches.take_over(batch_id)
                if batch is not None:
                    await self._writer.write(batch)

    async def _empty(self, users_left: Callable[[], Awaitable[list[int]]]) -> None:
        """Until nobody is left. While some batches are written the next is claimed, of other users, so that a user's
        rows come in the order in which things happened. After an error nothing more is claimed."""
        writing: dict[asyncio.Task[None], frozenset[int]] = {}
        try:
            while users := await users_left():
                self._obey_cancellation()
                taken: frozenset[int] = frozenset().union(*writing.values())
                free = [user for user in users if user not in taken]
                batch = await self._claim(free) if free else None
                if batch is not None:
                    task = asyncio.create_task(self._writer.write(batch), name="flush")
                    task.add_done_callback(_tell)
                    writing[task] = batch.users
                # of a database that is away no more than one batch need to know
                if len(writing) >= (IN_HAND if self._there else 1) or (writing and not free):
                    await self._one_done(writing)
            while writing:
                await self._one_done(writing)
        except asyncio.CancelledError:
            for task in writing:
                task.cancel()
            raise
        except Exception:
            if writing:
                await asyncio.wait(writing)
            raise

    async def _claim(self, users: Sequence[int]) -> Batch | None:
        batch_id = await self._log.new_batch_id()
        self._ours.add(batch_id)  # before the claim: its answer may be lost
        batch = await self._batches.claim(batch_id, users[: self._likely], self._size)
        if batch is None:
            self._ours.discard(batch_id)
        full = batch is not None and len(batch.payloads) >= self._size
        self._likely = min(2 * len(batch.users), PAGE) if batch is not None and full else PAGE
        return batch

    async def _one_done(self, writing: dict[asyncio.Task[None], frozenset[int]]) -> None:
        """Wait for the next to end, and raise what it raised."""
        done, _ = await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del writing[task]
        for task in done:
            task.result()
        self._there = True


def _tell(task: asyncio.Task[None]) -> None:
    """Of several that fail at once the flush reports one; what is no outage must not be lost beside one that is."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, AWAY):
        log.error("Writing a batch failed", exc_info=error)


async def _ended(task: asyncio.Task[Any], patience: float) -> bool:
    """Wait, then cancel, and do not wait for one that does not obey. → whether it came to its end by itself."""
    done, _ = await asyncio.wait([task], timeout=max(patience, 0.0))
    if done:
        return not task.cancelled()
    task.cancel()
    await asyncio.wait([task], timeout=0.2)
    return False
