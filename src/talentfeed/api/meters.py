"""What the door counts with: plain numbers that one thread writes, made into Prometheus' families when asked.

A feed touches some thirty of them. The client library's own take a lock and a microsecond each; these a tenth.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Count:
    """Goes up."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1.0) -> None:
        """Add to it."""
        self.value += by


class Spread:
    """A histogram of what was observed."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: ascending, each the highest value of its bucket."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(highest value, how many are no higher), the last without limit."""
        from prometheus_client.utils import floatToGoString

        found, below = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            below += count
            found.append((floatToGoString(bound), float(below)))  # type: ignore[no-untyped-call]
        return found


Meter = Count | Spread
Labels = tuple[str, ...]


class Family:
    """One metric: its meters by their labels' values. Who counts often keeps the meter."""

    def __init__(self, name: str, text: str, labels: Sequence[str], make: Callable[[], Meter]) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._make = make
        self._meters: dict[Labels, Meter] = {}

    def of(self, *values: str) -> Meter:
        """The meter of these labels' values."""
        meter = self._meters.get(values)
        if meter is None:
            meter = self._meters[values] = self._make()
        return meter

    def collect(self) -> "Metric":
        """As Prometheus' client wants it."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        if isinstance(self._make(), Spread):
            spread = HistogramMetricFamily(self._name, self._text, labels=self._labels)
            for values, meter in self._meters.items():
                assert isinstance(meter, Spread)  # noqa: S101 - one maker, one type
                spread.add_metric(values, meter.buckets(), meter.total)
            return spread
        count = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, meter in self._meters.items():
            assert isinstance(meter, Count)  # noqa: S101
            count.add_metric(values, meter.value)
        return count


class Families:
    """All of them, in the order in which they were made."""

    def __init__(self) -> None:
        self._families: list[Family] = []

    def counts(self, name: str, text: str, *labels: str) -> Callable[..., Count]:
        """A family of counters → what gives the one of some labels' values."""
        return self._add(Family(name, text, labels, Count))  # type: ignore[return-value]

    def spreads(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> Callable[..., Spread]:
        """A family of histograms → what gives the one of some labels' values."""
        return self._add(Family(name, text, labels, lambda: Spread(bounds)))  # type: ignore[return-value]

    def _add(self, family: Family) -> Callable[..., Meter]:
        self._families.append(family)
        return family.of

    def collect(self) -> "Iterator[Metric]":
        """All families."""
        return (family.collect() for family in self._families)


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> "Metric":
    """A gauge with one label, of a mapping from the label's values; there without a sample where that is empty."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def gauge(name: str, text: str, value: float | None) -> "Metric":
    """A gauge; None: it is there without a sample."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=[])
    if value is not None:
        family.add_metric([], value)
    return family
