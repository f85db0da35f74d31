"""What the service's rooms know of themselves, read when /metrics is asked. A module a room; each yields its families.

A family without a sample is yielded all the same: what there may be is told whether or not it is there now.
"""

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from talentfeed.api.gauges import activities, learning, policy, process, snapshot, stores
from talentfeed.api.service import Service


class ServiceGauges(Collector):
    """All of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._policy = policy.PolicyGauges()

    def describe(self) -> Sequence[Metric]:
        """Nothing: nothing is collected when it is registered, as the service has not started yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from snapshot.collect(self._service)
        yield from activities.collect(self._service)
        yield from stores.collect(self._service)
        yield from self._policy.collect(self._service)
        yield from learning.collect(self._service)
        yield from process.collect()
