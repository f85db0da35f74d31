"""Metrics as Prometheus reads them. Imported when they are first asked for: its client takes a thirtieth of a start.

One registry per application: nothing global, so that tests and apps do not meet.
"""

from collections.abc import Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from talentfeed.api.gauges import ServiceGauges
from talentfeed.api.meters import Families
from talentfeed.api.service import Service

__all__ = ["CONTENT_TYPE_LATEST", "Exposition"]


class Exposition:
    """What the door counted, what the service knows, and what the system knows of this process."""

    def __init__(self, door: Families, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Door(door))
        self._registry.register(ServiceGauges(service))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of it, now."""
        return generate_latest(self._registry)


class _Door(Collector):
    """The door's own, as a registry takes them in."""

    def __init__(self, families: Families) -> None:
        self._families = families

    def describe(self) -> Sequence[Metric]:
        """Nothing: so that nothing is collected when a registry takes them in."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        return self._families.collect()
