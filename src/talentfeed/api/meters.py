"""What the door counts with: plain numbers that one thread writes, made into Prometheus' text when asked.

A feed touches some thirty of them. The client library's own take a lock and a microsecond each; these a tenth.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
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

    def numbers(self) -> list[float]:
        """How many are no higher than each bound, how many there are (twice: no bound, count), and their sum."""
        return [*(below := list(accumulate(self.counts))), below[-1], self.total]


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
        self._heads: dict[Labels, list[str]] = {}  # of a meter's lines, all but the numbers

    def of(self, *values: str) -> Meter:
        """The meter of these labels' values."""
        meter = self._meters.get(values)
        if meter is None:
            meter = self._meters[values] = self._make()
        return meter

    def text(self) -> str:
        """As Prometheus reads it. Its client's own way is five times as long, and who serves feeds waits for it."""
        name, kind = self._name, "histogram"
        if isinstance(self._make(), Count):
            name, kind = f"{self._name}_total", "counter"
        lines = [f"# HELP {name} {self._text}\n# TYPE {name} {kind}\n"]
        for values, meter in self._meters.items():
            heads = self._heads.get(values)
            if heads is None:
                heads = self._heads[values] = self._heads_of(values, meter)
            numbers = [meter.value] if isinstance(meter, Count) else meter.numbers()
            lines += [f"{head} {_written(number)}\n" for head, number in zip(heads, numbers, strict=True)]
        return "".join(lines)

    def _heads_of(self, values: Labels, meter: Meter) -> list[str]:
        labels = dict(zip(self._labels, map(_escaped, values), strict=True))
        if isinstance(meter, Count):
            return [f"{self._name}_total{_braced(labels)}"]
        bounds = [*map(_written, meter.bounds), "+Inf"]
        buckets = [f"{self._name}_bucket{_braced({**labels, 'le': bound})}" for bound in bounds]
        return [*buckets, f"{self._name}_count{_braced(labels)}", f"{self._name}_sum{_braced(labels)}"]


def _braced(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _written(number: float) -> str:
    if number < 1e6:
        return repr(float(number))
    from prometheus_client.utils import floatToGoString

    written: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return written


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

    def text(self) -> str:
        """All families, as Prometheus reads them."""
        return "".join([family.text() for family in self._families])


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
