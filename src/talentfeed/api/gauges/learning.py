"""What learning does: as the policies' store tells it, so the same in every process that looks."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from talentfeed.api.service import Service

_TALLIES = (
    ("impressions", "learned_impressions", "Impressions that were learned from, by all learners"),
    ("reward", "learned_reward", "Sum of their rewards"),
    ("refused_impressions", "refused_impressions", "Impressions that could not be learned from"),
    ("increments", "policy_increments", "Increments that learners have added"),
    ("refused_increments", "policy_refused_increments", "Increments that were refused: poisoned, or of another preset"),
)
_GAUGES = (
    ("number", "policy_number", "Number of the newest version that was learned"),
    ("made", "policy_made_seconds", "When it was made, since 1970 UTC"),
    ("waiting", "policy_waiting_increments", "Increments that no version has yet"),
    ("lag", "learning_lag_seconds", "How long the oldest impression whose reward is settled has waited"),
)


def collect(service: Service) -> Iterator[Metric]:
    """Without samples where nothing is learned, or the store does not say."""
    follower = service.learning.follower
    progress = follower.progress
    for key, name, text in _TALLIES:
        family = CounterMetricFamily(f"talentfeed_{name}", text, labels=[])
        if progress is not None:
            family.add_metric([], progress.tally[key])
        yield family
    known: dict[str, float | None] = {}
    if progress is not None:
        head, waiting = progress.head, progress.tally["waiting"]
        known = {"number": float(head.number), "made": head.at, "waiting": waiting, "lag": progress.lag}
    for key, name, text in _GAUGES:
        value = known.get(key)
        gauge = GaugeMetricFamily(f"talentfeed_{name}", text, labels=[])
        if value is not None:
            gauge.add_metric([], value)
        yield gauge
    yield CounterMetricFamily(
        "talentfeed_policy_adopted", "Policies that this process began to serve", follower.updates
    )
    yield GaugeMetricFamily(
        "talentfeed_policy_fault",
        "1 while the policy that is to be served cannot be",
        float(follower.fault is not None),
    )
    shown = service.learning.shown
    yield CounterMetricFamily(
        "talentfeed_unlearned_feeds", "Feeds that nothing will be learned from", 0.0 if shown is None else shown.lost
    )
