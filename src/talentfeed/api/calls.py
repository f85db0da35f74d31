"""Which calls there are, and what answers each. What OpenAPI's document tells of them is `documented`'s."""

from typing import NamedTuple

from talentfeed.api import explain, operations, policy, quarantine
from talentfeed.api.activities import activities_endpoint
from talentfeed.api.feeds import ENDPOINTS, feed_endpoint
from talentfeed.api.metrics import Metrics
from talentfeed.api.plain import Handler
from talentfeed.api.service import Service
from talentfeed.api.siblings import Siblings


class Call(NamedTuple):
    """A method on a path, and the handler of its requests."""

    name: str  # each call's own; its operation's id in OpenAPI's document
    method: str
    path: str
    handler: Handler


def feed_calls(service: Service, metrics: Metrics) -> list[Call]:
    """What is called often: pages of feeds, and what users did.

    Raises PatternError if the configured pattern leaves one of the feeds without a slot.
    """
    prefix = service.settings.api_prefix
    feeds = [
        Call(endpoint, "POST", f"{prefix}/search/{endpoint}", feed_endpoint(endpoint, service, metrics))
        for endpoint in ENDPOINTS
    ]
    return [*feeds, Call("activities", "POST", f"{prefix}/activities", activities_endpoint(service, metrics))]


def admin_calls(service: Service) -> list[Call]:
    """What operators call, with an admin key."""
    prefix = service.settings.api_prefix
    aside, learned, feed = f"{prefix}/admin/quarantined", f"{prefix}/admin/policy", f"{prefix}/feeds/{{feed_id}}"
    return [
        Call("reload", "POST", f"{prefix}/search/reload", operations.reload_endpoint(service)),
        Call("flush", "POST", f"{prefix}/admin/flush", operations.flush_endpoint(service)),
        Call("quarantined", "GET", aside, quarantine.list_endpoint(service)),
        Call("requeue", "POST", f"{aside}/requeue", quarantine.requeue_endpoint(service)),
        Call("discard", "POST", f"{aside}/discard", quarantine.discard_endpoint(service)),
        Call("policy_show", "GET", learned, policy.show_endpoint(service)),
        Call("policy_export", "GET", f"{learned}/export", policy.export_endpoint(service)),
        Call("policy_import", "POST", f"{learned}/import", policy.import_endpoint(service)),
        Call("policy_reset", "POST", f"{learned}/reset", policy.reset_endpoint(service)),
        Call("policy_rollback", "POST", f"{learned}/rollback", policy.rollback_endpoint(service)),
        Call("policy_compare", "POST", f"{learned}/compare", policy.compare_endpoint(service)),
        Call("explain", "GET", f"{feed}/explain", explain.explain_endpoint(service)),
        Call("replay", "GET", f"{feed}/replay", explain.replay_endpoint(service)),
    ]


def probe_calls(service: Service, metrics: Metrics, siblings: Siblings | None) -> list[Call]:
    """What probes and monitors call, by GET or HEAD."""
    return [
        Call("root", "GET", "/", operations.root_endpoint(service)),
        Call("health_live", "GET", "/health/live", operations.live),
        Call("health_ready", "GET", "/health/ready", operations.ready_endpoint(service)),
        Call("metrics", "GET", "/metrics", operations.metrics_endpoint(metrics, siblings)),
    ]
