"""The snapshot that is served, and how the last build went."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from talentfeed.api.meters import gauge, gauges
from talentfeed.api.service import Service
from talentfeed.api.trial import trouble


def collect(service: Service) -> Iterator[Metric]:
    """Without samples of the snapshot where there is none yet, of the build where none was made from here."""
    serving, live = service.serving, service.live
    yield gauge(
        "talentfeed_ready", "1 while feeds come out of the snapshot that is mapped", float(trouble(service) is None)
    )
    manifest = None if serving is None else serving.snapshot.manifest
    yield gauges(
        "talentfeed_snapshot_info",
        "The snapshot that is served",
        "version",
        {} if manifest is None else {manifest.version: 1.0},
    )
    yield gauge(
        "talentfeed_snapshot_watermark_seconds",
        "Newest time in its input, since 1970 UTC",
        None if manifest is None else manifest.watermark,
    )
    yield gauge(
        "talentfeed_snapshot_loaded_seconds",
        "When it was loaded, since 1970 UTC",
        None if serving is None else serving.loaded_at,
    )
    for name, text, numbers in (
        ("rows", "What it holds", {} if manifest is None else manifest.counts),
        (
            "skipped",
            "Values and rows of its input that were left out, by kind",
            {} if manifest is None else manifest.skipped,
        ),
    ):
        yield gauges(f"talentfeed_snapshot_{name}", text, "kind", numbers)
    yield gauges(
        "talentfeed_snapshot_fault",
        "1 while the last build failed, the published snapshot is refused, or it cannot be fetched",
        "part",
        {
            part: float(fault is not None)
            for part, fault in (("build", live.build_error), ("snapshot", live.refused), ("fetch", live.fetch_error))
        },
    )
    built = live.built
    yield gauge(
        "talentfeed_build_ended_seconds",
        "When the last build ended, well or not, since 1970 UTC",
        None if built is None else built.at,
    )
    yield gauges("talentfeed_build_seconds", "Time of its stages", "stage", {} if built is None else built.seconds)
    yield CounterMetricFamily("talentfeed_reloads", "Reloads that ended well", float(live.reloads))
    yield CounterMetricFamily(
        "talentfeed_reload_failures", "Snapshots and builds that were refused", float(live.failures)
    )
