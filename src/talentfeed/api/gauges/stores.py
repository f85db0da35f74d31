"""Whether the stores answer: by the last look, and where a bastion stands between, whether it lets us through."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from talentfeed.api.meters import gauge, gauges
from talentfeed.api.service import Service


def collect(service: Service) -> Iterator[Metric]:
    """Of the bastion without a sample where there is none."""
    probes, bastion = service.probes, service.bastion
    yield gauges(
        "talentfeed_store_up",
        "1 where the store answered when it was last asked",
        "store",
        {store: float(probe.up) for store, probe in probes.items()},
    )
    yield gauges(
        "talentfeed_store_since_seconds",
        "Since when it is so, since 1970 UTC",
        "store",
        {store: probe.since for store, probe in probes.items()},
    )
    yield gauges(
        "talentfeed_store_answer_seconds",
        "How long it took to answer, or not to, when it was last asked",
        "store",
        {store: probe.seconds for store, probe in probes.items()},
    )
    limiter = service.limiter
    yield CounterMetricFamily(
        "talentfeed_rate_limited", "Calls that the rate limit refused", float(limiter.refused if limiter else 0)
    )
    yield CounterMetricFamily(
        "talentfeed_rate_unchecked",
        "Calls that the rate limit let through uncounted, as Redis did not answer",
        float(limiter.unchecked if limiter else 0),
    )
    yield gauge(
        "talentfeed_bastion_connected",
        "1 while the SSH bastion lets us through",
        None if bastion is None else float(bastion.up),
    )
    yield gauge(
        "talentfeed_bastion_since_seconds",
        "Since when it is so, since 1970 UTC",
        None if bastion is None else bastion.since,
    )
    made = CounterMetricFamily("talentfeed_bastion_connections", "Connections to it that were made", labels=[])
    if bastion is not None:
        made.add_metric([], float(bastion.connections))
    yield made
