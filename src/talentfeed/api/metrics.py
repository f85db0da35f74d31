"""What /metrics shows.

Counted here is what happens at the door, in plain numbers; what other rooms know is read when asked (`gauges`), and
made into text by `exposition`.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from talentfeed.api.meters import Families, Spread
from talentfeed.api.quality import Judge
from talentfeed.api.service import Service
from talentfeed.contracts import CLIENT_EVENTS, Pool, Rule, Slate, Snapshot

if TYPE_CHECKING:
    from talentfeed.api.exposition import Exposition
    from talentfeed.api.tracing import Tracing

log = logging.getLogger(__name__)

SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 5, 10, 60)
SHORT_SECONDS = (0.00002, 0.00005, 0.0001, 0.0002, 0.0004, *SECONDS[:11])
STAGES = ("session", "viewer", "rank", "record", "encode")
LAG_EVERY = 0.25  # seconds between looks at how late the loop is


class Metrics:
    """The door's own counters, and a collector over the service's."""

    def __init__(self, service: Service, tracing: "Tracing | None" = None) -> None:
        self.tracing = tracing
        self._service = service
        self._exposition: Exposition | None = None
        self._door = door = Families()
        self._requests_of = door.spreads(
            "talentfeed_request_seconds",
            "Time of a request at the door, by path and status (0: the client left)",
            SECONDS,
            "path",
            "status",
        )
        self._requests: dict[tuple[str, int], Spread] = {}
        feeds = door.spreads(
            "talentfeed_feed_seconds",
            "Time of ranking a feed, all stages, without input and output",
            SHORT_SECONDS,
            "endpoint",
        )
        self.feed_seconds = {name: feeds(name) for name in ("total", "discover", "flow")}
        stages = door.spreads("talentfeed_feed_stage_seconds", "Time of a feed's stages", SHORT_SECONDS, "stage")
        self._stages = [stages(stage).observe for stage in STAGES]
        items = door.counts("talentfeed_feed_items", "Items served, by the pool they came from", "pool")
        self._items = {id(pool): items(pool.value) for pool in Pool}  # an enum's own hash is Python code
        self._fallbacks = door.counts(
            "talentfeed_feed_fallbacks", "Places that another pool than the planned one filled", "planned", "pool"
        )
        self._explored = door.counts("talentfeed_feed_explored", "Places drawn by the share epsilon")()
        gave_way = door.counts("talentfeed_feed_gave_way", "Feeds in which a rule gave way", "rule")
        self._gave_way = {rule: gave_way(rule.value) for rule in Rule}
        self._removed = door.counts(
            "talentfeed_feed_removed", "Candidates that a filter took out before ranking, by reason", "reason"
        )
        short = door.counts("talentfeed_feed_short", "Feeds shorter than asked: nothing was left", "endpoint")
        self._short = {name: short(name) for name in self.feed_seconds}
        self.degraded = door.counts(
            "talentfeed_feed_degraded", "Feeds ranked without their session: Redis did not answer"
        )()
        self.unrecorded = door.counts(
            "talentfeed_feed_unrecorded", "Feeds that went out although recording them failed"
        )()
        self._activities = door.counts("talentfeed_client_activities", "Client events accepted, by type", "event_type")
        self.activities = {event.value: self._activities(event.value) for event in CLIENT_EVENTS}
        self._judge = Judge(door)
        self._lag = door.spreads(
            "talentfeed_loop_lag_seconds", "How late the event loop is, looked at often", SECONDS
        )()

    def request(self, path: str, status: int, seconds: float) -> None:
        """One request has been answered."""
        spread = self._requests.get((path, status))
        if spread is None:
            spread = self._requests[path, status] = self._requests_of(path, str(status))
        spread.observe(seconds)

    def feed(self, slate: Slate, *, endpoint: str, size: int, snapshot: Snapshot, now: float) -> None:
        """One feed has been ranked, as of `now`."""
        items = self._items
        for slot in slate.slots:
            pool = slot.pool
            items[id(pool)].value += 1.0
            if pool is not slot.planned:
                self._fallbacks(slot.planned.value, pool.value).inc()
            if slot.explored:
                self._explored.value += 1.0
        for rule in slate.gave_way:
            self._gave_way[rule].inc()
        for reason, count in slate.removed.items():
            self._removed(reason).value += count
        if len(slate.slots) < size:
            self._short[endpoint].inc()
        self._judge.perhaps(slate, snapshot, now)

    def stages(self, *at: float) -> None:
        """When a feed's stages began, in the order of STAGES, and when the last ended; seconds of one clock."""
        before = at[0]
        for observe, after in zip(self._stages, at[1:], strict=True):
            observe(after - before)
            before = after
        if self.tracing is not None:
            self.tracing.stages(STAGES, at)

    async def watch_loop(self) -> None:
        """Look how late the loop is, until cancelled."""
        while True:
            due = time.perf_counter() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._lag.observe(max(0.0, time.perf_counter() - due))

    def text(self) -> bytes:
        """The exposition format. Prometheus' client is imported when it is first asked for."""
        if self._exposition is None:
            from talentfeed.api.exposition import Exposition

            self._exposition = Exposition(self._door, self._service)
        return self._exposition.text()
