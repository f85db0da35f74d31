"""Metrics as Prometheus reads them. Imported when they are first asked for: its client takes a thirtieth of a start.

One registry per application: nothing global, so that tests and apps do not meet.
"""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest

from talentfeed.api.gauges import ServiceGauges
from talentfeed.api.meters import Families
from talentfeed.api.service import Service

__all__ = ["CONTENT_TYPE_LATEST", "Exposition"]


class Exposition:
    """What the door counted, what the service knows, and what the system knows of this process."""

    def __init__(self, door: Families, service: Service) -> None:
        self._door = door
        self._registry = CollectorRegistry()
        self._registry.register(ServiceGauges(service))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of it, now."""
        return self._door.text().encode() + generate_latest(self._registry)
