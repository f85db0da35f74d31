"""What /metrics shows. One registry per application: nothing global, so that tests and apps do not meet.

Counted here is what happens at the door; the counters of recording, flushing and reloading are read when asked.
"""

from collections import Counter as Tally
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from talentfeed.api.service import BastionState, Service
from talentfeed.contracts import Pool, Rule, Slate

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 5, 10, 60)


class Metrics:
    """The door's own counters, and a collector over the service's."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "talentfeed_request_seconds",
            "Time of a request at the door, by path and status (0: the client left)",
            ["path", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._of_requests: dict[tuple[str, int], Histogram] = {}  # its own look for a child takes twice as long
        feed_seconds = Histogram(
            "talentfeed_feed_seconds",
            "Time of ranking a feed, all stages, without input and output",
            ["endpoint"],
            buckets=(0.0001, 0.0002, 0.0004, *_SECONDS),
            registry=self.registry,
        )
        items = Counter(
            "talentfeed_feed_items", "Items served, by the pool they came from", ["pool"], registry=self.registry
        )
        gave_way = Counter(
            "talentfeed_feed_gave_way", "Feeds in which a rule gave way", ["rule"], registry=self.registry
        )
        self.feed_seconds = {name: feed_seconds.labels(name) for name in ("total", "discover", "flow")}
        self._items = {pool: items.labels(pool.value) for pool in Pool}
        self._gave_way = {rule: gave_way.labels(rule.value) for rule in Rule}
        self._fallbacks = Counter(
            "talentfeed_feed_fallbacks", "Slots that another pool than the planned one filled", registry=self.registry
        )
        self._short = Counter(
            "talentfeed_feed_short", "Feeds shorter than asked: nothing was left", registry=self.registry
        )
        self.degraded = Counter(
            "talentfeed_feed_degraded",
            "Feeds ranked without their session: Redis did not answer",
            registry=self.registry,
        )
        self.unrecorded = Counter(
            "talentfeed_feed_unrecorded", "Feeds that went out although recording them failed", registry=self.registry
        )
        self.activities = Counter(
            "talentfeed_client_activities", "Client events accepted, by type", ["event_type"], registry=self.registry
        )
        self.registry.register(_ServiceCollector(service))

    def request(self, path: str, status: int, seconds: float) -> None:
        """One request has been answered."""
        known = self._of_requests.get((path, status))
        if known is None:
            known = self._of_requests[path, status] = self._requests.labels(path, str(status))
        known.observe(seconds)

    def feed(self, slate: Slate, *, size: int) -> None:
        """One feed has been ranked."""
        for pool, count in Tally(slot.pool for slot in slate.slots).items():
            self._items[pool].inc(count)
        for rule in slate.gave_way:
            self._gave_way[rule].inc()
        self._fallbacks.inc(sum(slot.pool is not slot.planned for slot in slate.slots))
        if len(slate.slots) < size:
            self._short.inc()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _ServiceCollector(Collector):
    """Reads the service's own counters at the moment of a scrape."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Sequence[Metric]:
        return []  # nothing is collected when it is registered: the service has not started yet

    def collect(self) -> Iterator[Metric]:
        service = self._service
        serving = service.serving
        yield GaugeMetricFamily("talentfeed_ready", "1 while there is a snapshot to serve", float(serving is not None))
        if serving is not None:
            manifest = serving.snapshot.manifest
            info = GaugeMetricFamily("talentfeed_snapshot_info", "The snapshot that is served", labels=["version"])
            info.add_metric([manifest.version], 1.0)
            yield info
            yield GaugeMetricFamily(
                "talentfeed_snapshot_watermark_seconds", "Newest time in its input, since 1970 UTC", manifest.watermark
            )
            yield GaugeMetricFamily(
                "talentfeed_snapshot_loaded_seconds", "When it was loaded, since 1970 UTC", serving.loaded_at
            )
            rows = GaugeMetricFamily("talentfeed_snapshot_rows", "What it holds", labels=["kind"])
            for kind, count in manifest.counts.items():
                rows.add_metric([kind], count)
            yield rows
        faults = GaugeMetricFamily(
            "talentfeed_snapshot_fault",
            "1 while the last build failed, the published snapshot is refused, or it cannot be fetched",
            labels=["part"],
        )
        for part, fault in (
            ("build", service.live.build_error),
            ("snapshot", service.live.refused),
            ("fetch", service.live.fetch_error),
        ):
            faults.add_metric([part], float(fault is not None))
        yield faults
        waiting = GaugeMetricFamily(
            "talentfeed_oldest_waiting_seconds",
            "Since when the oldest activity waits to be flushed, since 1970 UTC",
            labels=[],
        )
        if service.flusher.oldest_waiting is not None:
            waiting.add_metric([], service.flusher.oldest_waiting)
        yield waiting
        yield from _bastion(service.bastion)
        for name, text, value in (
            ("reloads", "Reloads that ended well", service.live.reloads),
            ("reload_failures", "Snapshots and builds that were refused", service.live.failures),
            ("lost_served", "Records of served items that recording had to drop", service.recorder.lost_served),
            ("flushed_activities", "Activities written to activity_log", service.flusher.flushed),
            ("flush_batches", "Batches written to activity_log", service.flusher.batches),
            ("flush_failures", "Flushes that failed and will be tried again", service.flusher.failures),
            (
                "quarantined_activities",
                "Activities set aside because they cannot be stored",
                service.flusher.quarantined,
            ),
        ):
            yield CounterMetricFamily(f"talentfeed_{name}", text, float(value))


def _bastion(state: BastionState | None) -> Iterator[Metric]:
    """Without a sample where there is none."""
    connected = GaugeMetricFamily("talentfeed_bastion_connected", "1 while the SSH bastion lets us through", labels=[])
    since = GaugeMetricFamily("talentfeed_bastion_since_seconds", "Since when it is so, since 1970 UTC", labels=[])
    made = CounterMetricFamily("talentfeed_bastion_connections", "Connections to it that were made", labels=[])
    if state is not None:
        connected.add_metric([], float(state.up))
        since.add_metric([], state.since)
        made.add_metric([], float(state.connections))
    yield from (connected, since, made)
