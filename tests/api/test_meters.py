"""What the door counts is written as Prometheus' own client writes it."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from talentfeed.api.meters import Families

BOUNDS = (0.00002, 0.005, 1, 60)
ODD = 'a "b" \\ c\nd'


class _Theirs(Collector):
    def collect(self) -> list[Metric]:
        plain = CounterMetricFamily("plain", "Nothing but a number")
        plain.add_metric([], 3.0)
        many = CounterMetricFamily("many", "Of two labels, é", labels=["planned", "pool"])
        many.add_metric(["VMP", ODD], 12_345_678.5)
        many.add_metric(["AU", ""], 999_999.0)
        never = CounterMetricFamily("never", "Without a sample", labels=["one"])
        seconds = HistogramMetricFamily("seconds", "Times", labels=["path", "endpoint"])
        for path, buckets, total in (("/", (1, 1, 2, 2, 4), 1200.25), (ODD, (2_000_000,) * 5, 0.0)):
            names = [*map(floatToGoString, BOUNDS), "+Inf"]
            seconds.add_metric([path, "x"], list(zip(names, map(float, buckets), strict=True)), total)
        return [plain, many, never, seconds]


def test_counts_and_spreads_are_written_as_the_client_writes_them() -> None:
    families = Families()
    families.counts("plain", "Nothing but a number")().inc(3)
    many = families.counts("many", "Of two labels, é", "planned", "pool")
    many("VMP", ODD).inc(12_345_678.5)
    many("AU", "").inc(999_999)
    families.counts("never", "Without a sample", "one")
    seconds = families.spreads("seconds", "Times", BOUNDS, "path", "endpoint")
    for value in (0.00001, 0.25, 100.0, 1100.0 - 0.00001):
        seconds("/", "x").observe(value)
    seconds(ODD, "x").counts[0] = 2_000_000
    registry = CollectorRegistry()
    registry.register(_Theirs())
    for _ in range(2):  # the second time from what is kept of the first
        assert families.text().encode() == generate_latest(registry)
