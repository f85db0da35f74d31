"""What was recorded, flushed, waits, or was set aside."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from talentfeed.api.meters import gauge
from talentfeed.api.service import Service


def collect(service: Service) -> Iterator[Metric]:
    """What Redis knows is of the last look at it; without samples while it does not answer."""
    recorder, flusher, backlog = service.recorder, service.flusher, service.backlog
    for name, text, value in (
        ("recorded_feeds", "Feeds whose activities are stored in Redis", recorder.recorded_feeds),
        ("lost_served", "Activities of served feeds that recording had to drop", recorder.lost_served),
        ("reported_activities", "Client events acknowledged, repeats included", recorder.reported),
        ("repeated_activities", "Client events that were known already", recorder.repeats),
        ("flushed_activities", "Activities written to activity_log", flusher.flushed),
        ("flush_batches", "Batches written to activity_log", flusher.batches),
        ("flush_failures", "Flushes that failed and will be tried again", flusher.failures),
        ("quarantined_activities", "Activities set aside because they cannot be stored", flusher.quarantined),
    ):
        yield CounterMetricFamily(f"talentfeed_{name}", text, float(value))
    yield gauge(
        "talentfeed_unstored_feeds", "Served feeds that wait in this process for Redis to take them", recorder.unstored
    )
    yield gauge(
        "talentfeed_oldest_waiting_seconds",
        "Since when the oldest activity waits to be flushed, since 1970 UTC",
        flusher.oldest_waiting,
    )
    for name, text, part in (
        ("waiting_users", "Users with activities that wait to be flushed", "users"),
        ("waiting_activities", "Activities that wait to be flushed; beyond 500 users estimated", "activities"),
        ("flushing_batches", "Batches that are being written, or were left behind", "batches"),
        ("quarantined_now", "Activities in quarantine", "quarantined"),
    ):
        yield gauge(f"talentfeed_{name}", text, None if backlog is None else float(getattr(backlog, part)))
