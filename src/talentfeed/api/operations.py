"""What operators and probes call: reload, flush, health, metrics, and the page at the root."""

import dataclasses
import hmac
import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from talentfeed import __version__
from talentfeed.api.metrics import Metrics
from talentfeed.api.problems import RETRY_AFTER_SECONDS, Problem, RefusedError, unavailable
from talentfeed.api.service import Service
from talentfeed.api.siblings import Siblings, merged
from talentfeed.api.trial import trouble
from talentfeed.errors import TalentFeedError
from talentfeed.settings import Settings

log = logging.getLogger(__name__)

ADMIN_HEADER = "X-Admin-Key"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


_UNTOLD = {  # to who shows no admin key: the reasons may name hosts, accounts and folders
    "build": "the last build failed",
    "snapshot": "what is published is refused",
    "fetch": "what is published cannot be fetched",
}


def require_admin(request: Request, settings: Settings) -> None:
    """Let through who shows one of the configured keys. Raises RefusedError 401 or 403.

    Every key is compared, each in constant time, so that the answer's time tells nothing about them.
    """
    keys = [key.get_secret_value().encode() for key in settings.admin_api_key]
    if not keys:
        how = "no admin key is configured, so admin calls are refused: set ADMIN_API_KEY and restart"
        raise RefusedError(HTTPStatus.FORBIDDEN, [Problem(ADMIN_HEADER, None, how)])
    shown = request.headers.get(ADMIN_HEADER, "").encode("latin-1")
    if not shown:
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            [Problem(ADMIN_HEADER, None, "an admin key in this header")],
            {"WWW-Authenticate": f'ApiKey header="{ADMIN_HEADER}"'},
        )
    if not any([hmac.compare_digest(shown, key) for key in keys]):  # noqa: C419 - a generator would stop at the first
        log.warning("Refused an admin call to %r: wrong key", request.url.path)
        raise RefusedError(HTTPStatus.FORBIDDEN, [Problem(ADMIN_HEADER, "(not shown)", "a valid admin key")])


def reload_endpoint(service: Service) -> Handler:
    """Build and swap; feeds go on from the snapshot they have."""

    async def reload(request: Request) -> Response:
        require_admin(request, service.settings)
        try:
            result = await service.reload()
        except TalentFeedError as error:
            raise unavailable("snapshot", f"what was served before goes on: {error}") from error
        return _json(
            {
                "statusCode": 200,
                "body": {
                    "version": result.version,
                    "changed": result.changed,
                    "seconds": result.seconds,
                    "counts": dict(result.counts),
                    "skipped": dict(result.skipped),
                },
            }
        )

    return reload


def flush_endpoint(service: Service) -> Handler:
    """Write what waits to activity_log now; for the operator's command where the store is in this process."""

    async def flush(request: Request) -> Response:
        require_admin(request, service.settings)
        report = await service.flush()
        if report.error is not None:
            raise unavailable("flush", f"it ended early, the rest waits in Redis: {report.error}")
        return _json({"statusCode": 200, "body": dataclasses.asdict(report)})

    return flush


def root_endpoint(service: Service) -> Handler:
    """Name, status, version."""

    async def root(_: Request) -> Response:
        status = "ok" if service.serving is not None else "starting"
        return _json({"name": "talentfeed", "status": status, "version": __version__})

    return root


async def live(_: Request) -> Response:
    """The process answers; nothing more is asked of it here."""
    return _json({"status": "ok"})


def ready_endpoint(service: Service) -> Handler:
    """200 while feeds come out, be it degraded; 503 while none does. Who shows an admin key is told the reasons."""

    async def ready(request: Request) -> Response:
        told = bool(request.headers.get(ADMIN_HEADER))
        if told:
            require_admin(request, service.settings)
        health = await service.health()
        if not told:
            health = {**health, "degraded": [_untold(fault) for fault in health["degraded"]]}
        wrong = trouble(service)
        if wrong is None:
            return _json(health)
        if service.serving is not None:
            faulty = {"part": "feeds", "reason": wrong, "since": service.serving.loaded_at}
            health = {**health, "status": "unavailable", "degraded": [*health["degraded"], faulty]}
        return _json(health, HTTPStatus.SERVICE_UNAVAILABLE)

    return ready


def _untold(fault: dict[str, Any]) -> dict[str, Any]:
    kind = _UNTOLD.get(fault["part"])
    return fault if kind is None else {**fault, "reason": f"{kind}; the log and {ADMIN_HEADER} tell why"}


def metrics_endpoint(metrics: Metrics, siblings: Siblings | None) -> Handler:
    """Prometheus' text format; of all workers, each sample with its worker's name, where there are several."""

    async def show_metrics(_: Request) -> Response:
        text = metrics.text() if siblings is None else merged(await siblings.texts())
        from talentfeed.api.exposition import CONTENT_TYPE_LATEST

        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    return show_metrics


def _json(body: Any, status: int = HTTPStatus.OK) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return Response(msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/json")
