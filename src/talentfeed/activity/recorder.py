"""Writes down what was served and what clients report. SPEC 8; docs/exactly-once.md says why it is right."""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Iterable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from talentfeed.activity import answers, codec, keys, scripts
from talentfeed.activity.calls import LineScript
from talentfeed.activity.outbox import Outbox, ServedFeed, ServedItem
from talentfeed.activity.reading import Line
from talentfeed.activity.reported import KEPT, EventLog, Kept, places, remembered
from talentfeed.activity.served import Drains
from talentfeed.activity.shown import ShownLog
from talentfeed.contracts import CLIENT_EVENTS, Activity
from talentfeed.errors import RowsRefusedError, StoreUnavailableError

__all__ = ["EventLog", "Outbox", "Recorder", "ServedFeed", "ServedItem"]

log = logging.getLogger(__name__)

EVENT_SECONDS = 48 * 3600  # a repeat of an event id within this is the same event
DRAIN = 32  # feeds stored in one step
PACE = 0.02  # seconds from one step to the next while fewer wait: beginning one costs as much as storing two feeds
LONG = 64 * 4_096  # bytes of exclusions, as of 30,000 ids, from which on their encoding leaves the event loop alone


_Reported = tuple[Activity, bytes, Kept]  # and its JSON
_Remembered = tuple[int, Kept]  # its user


class Recorder:
    """One a process. `served` never blocks; `report` returns once the events are safe."""

    def __init__(
        self,
        redis: Redis,
        *,
        outbox: Outbox,
        line: Line | None = None,
        event_log: EventLog | None = None,
        rows: codec.Rows | None = None,
        activity_ttl: int = 86_400,
        session_ttl: int = 3_600,
        threshold: int = 50,
        report_timeout: float = 2.0,
        shown: ShownLog | None = None,
    ) -> None:
        """`line`: to the same Redis, for what was served, closed with the recorder; None: the client has that, too.
        `event_log` is given where the store is in-process: client events are then committed there first.

        TTLs in seconds; `threshold`: activities of one user from which on they are flushed at once; `shown` is given
        where something is learned.
        """
        self._redis = redis
        self._outbox = outbox
        self._event_log = event_log
        self._rows = rows or codec.Rows()
        self._threshold = threshold
        self._report_timeout = report_timeout
        self._shown = shown
        self._outcomes_life = 0 if shown is None else math.ceil(shown.life)
        self._line = line
        self._served_script = (
            redis.register_script(scripts.SERVED) if line is None else LineScript(line, scripts.SERVED)
        )
        self._report_script = redis.register_script(scripts.REPORT)
        self._remember_script = redis.register_script(scripts.REMEMBER)
        self._drain_of = Drains(
            uuid.uuid4().hex, activity_ttl=activity_ttl, session_ttl=session_ttl, threshold=threshold
        )
        self._drains = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()  # enough for a step, or no more to come
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._away = False
        self.recorded_feeds = 0
        self.lost_served = 0  # activities of served feeds that were never stored
        self.reported = 0  # client events acknowledged, repeats included
        self.repeats = 0

    # ------------------------------------------------------------ what was served

    def served(self, feed: ServedFeed) -> None:
        """Remember a feed that went out. Returns at once; the same user's next request sees it already."""
        lost = self._outbox.put(feed)
        if lost is not None:
            self.lost_served += lost.records
        self._wake.set()
        if len(self._outbox) >= DRAIN:
            self._full.set()

    @property
    def unstored(self) -> int:
        """Served feeds that wait to be stored."""
        return len(self._outbox)

    async def start(self) -> None:
        """Begin to store what is served."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._drain(), name="recorder")

    async def stop(self, *, patience: float = 3.0) -> None:
        """Store what is left, for at most `patience` seconds; the rest is counted as lost."""
        self._stopping = True
        self._wake.set()
        self._full.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)
            while not self._task.done():  # again: `wait_for` of Python 3.11 drops a cancellation that meets its answer
                self._task.cancel()
                await asyncio.wait([self._task], timeout=0.1)
            self._task = None
        if self._line is not None:
            await self._line.close()
        left = self._outbox.take(len(self._outbox))
        self._lose(left)
        if left:
            log.error("Stopped with %d served feeds that could not be stored", len(left))

    async def _drain(self) -> None:
        while True:
            self._wake.clear()
            began = time.monotonic()
            if feeds := self._outbox.take(DRAIN):
                await self._keep(feeds)
            if not len(self._outbox):
                if self._stopping:
                    return
                await self._wake.wait()
            await self._gather(PACE - (time.monotonic() - began))

    async def _keep(self, feeds: Sequence[ServedFeed]) -> None:
        try:
            stored = await self._store(feeds)
        except asyncio.CancelledError:
            self._lose(feeds)
            raise
        except Exception:
            log.exception("%d served feeds could not be stored; they are lost", len(feeds))
            self._lose(feeds)
        else:
            if stored and self._shown is not None:
                await self._shown.keep(feeds)

    async def _gather(self, seconds: float) -> None:
        """Let more feeds come along, for so long at most."""
        if seconds > 0 and not self._stopping and len(self._outbox) < DRAIN:
            self._full.clear()
            timer = asyncio.get_running_loop().call_later(seconds, self._full.set)
            try:
                await self._full.wait()
            finally:
                timer.cancel()

    async def _store(self, feeds: Sequence[ServedFeed]) -> bool:
        """Until it is done: the number of the drain makes a repeat harmless. → whether they are stored, not lost."""
        self._drains += 1
        if self._outbox.held > LONG and sum(feed.weight for feed in feeds) > LONG:
            names, args = await asyncio.to_thread(self._drain_of, self._drains, feeds)
        else:
            names, args = self._drain_of(self._drains, feeds)
        pause = 0.05
        while True:
            try:
                answer = int(await self._served_script(keys=names, args=args))
            except (RedisError, OSError) as error:
                if not answers.passes(error):
                    log.exception("Redis refuses %d served feeds; they are lost", len(feeds))
                    self._lose(feeds)
                    return False
                if not self._away:
                    self._away = True
                    log.warning("Redis does not take served feeds (%s); they wait in memory", answers.told(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
            else:
                break
        if self._away:
            self._away = False
            log.info("Redis takes served feeds again")
        if answer > 1:
            self.lost_served += answer - 1
            log.error("%d served activities are lost: their users' keys hold something else", answer - 1)
        self._outbox.done(feeds)
        self.recorded_feeds += len(feeds)
        return True

    def _lose(self, feeds: Sequence[ServedFeed]) -> None:
        self._outbox.done(feeds)
        self.lost_served += sum(feed.records for feed in feeds)

    # ------------------------------------------------------------ what clients report

    async def report(self, activities: Sequence[Activity]) -> int:
        """Take in client events. → how many are acknowledged: all of them, repeats of an event id included.

        They are durable when this returns: accepted by Redis in one atomic step, or, in-process, committed to the
        database in one transaction. So a call is taken in whole or not at all.

        Raises StoreUnavailableError: nothing is acknowledged, yet all of it may have been stored (an answer that was
        lost). A retry with the same event ids is then right in either case: each is stored once. With new ids the
        retry is a second report. An id is known for at least 48 hours.
        Raises RowsRefusedError where the database refuses an event for its content: nothing is stored.
        """
        unknown = {activity.event_type for activity in activities} - set(CLIENT_EVENTS)
        if unknown:
            raise RowsRefusedError(f"Clients do not report {sorted(unknown)}; they report {', '.join(CLIENT_EVENTS)}")
        try:
            payloads = [(a, codec.encode(a), remembered(a)) for a in activities]
            if self._event_log is not None:
                new = await self._commit(self._event_log, payloads)
            else:
                new = await self._accept(payloads)
        except codec.UndecodableActivityError as error:
            raise RowsRefusedError(str(error)) from error
        self.reported += len(activities)
        self.repeats += len(activities) - new
        return len(activities)

    async def warm(self, stored: Iterable[bytes | str]) -> int:
        """Fill the viewers' newest events again after an in-process store was lost. → how many.

        `stored`: client activities as `activity_log.properties` has them, oldest first; what is none is left out.
        """
        activities, skipped = codec.decode_all(stored)
        if skipped:
            log.warning("%d rows of activity_log that clients seem to have reported are no activities", skipped)
        events = [(a.user_id, (*remembered(a)[:2], b"")) for a in activities if a.video_id is not None]
        for start in range(0, len(events), 1000):
            await self._remember(events[start : start + 1000])
        return len(events)

    async def _accept(self, payloads: Sequence[_Reported]) -> int:
        if not payloads:
            return 0
        ordinals = {user_id: n for n, user_id in enumerate(dict.fromkeys(a.user_id for a, *_ in payloads), start=1)}
        names = [keys.WAITING, keys.FULL]
        for user_id in ordinals:
            names += (keys.user_activity(user_id), *places(user_id))
        args: list[str | bytes | int] = [EVENT_SECONDS, *KEPT, self._threshold, self._outcomes_life]
        args += [len(ordinals), *ordinals]
        for activity, payload, kept in payloads:
            names.append(keys.event(activity.user_id, activity.event_id))
            args += [ordinals[activity.user_id], payload, *kept]
        try:
            async with asyncio.timeout(self._report_timeout):
                return int(await self._report_script(keys=names, args=args))
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailableError(
                f"Redis did not acknowledge the events ({answers.told(error)}); they may have been stored: send them "
                "again with the same event_id"
            ) from error

    async def _commit(self, event_log: EventLog, payloads: Sequence[_Reported]) -> int:
        rows: dict[str, codec.Row] = {}
        events: dict[str, _Remembered] = {}
        for activity, payload, kept in payloads:
            key = keys.event(activity.user_id, activity.event_id)
            if key not in rows:
                rows[key] = self._rows.row(payload)
                events[key] = (activity.user_id, kept)
        new = await event_log.write_events(rows)
        await self._remember([event for key, event in events.items() if key in new])
        return len(new)

    async def _remember(self, events: Sequence[_Remembered]) -> None:
        by_user: dict[int, list[bytes]] = {}
        for user_id, kept in events:
            by_user.setdefault(user_id, []).extend(kept)
        names: list[str] = []
        args: list[str | bytes | int] = [*KEPT, self._outcomes_life]
        for user_id, values in by_user.items():
            names += places(user_id)
            args += [len(values) // 3, *values]
        try:
            if names:
                await self._remember_script(keys=names, args=args)
        except (RedisError, OSError):
            # The events are committed and so acknowledged; the next start warms these keys again.
            log.exception("%d committed events do not count for their viewers yet", len(events))
