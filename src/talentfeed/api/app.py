"""The application: lifespan, middleware, routes. Everything it needs comes in by `create_app`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from talentfeed import __version__
from talentfeed.api import docs, explain, operations, quarantine
from talentfeed.api import schema_answers as answers
from talentfeed.api import schema_quarantine as schemas
from talentfeed.api import schema_requests as requests
from talentfeed.api.activities import activities_endpoint
from talentfeed.api.feeds import ENDPOINTS, feed_endpoint
from talentfeed.api.metrics import Metrics
from talentfeed.api.middleware import BodyLimit, LastResort, RequestContext
from talentfeed.api.problems import HANDLERS
from talentfeed.api.service import Service
from talentfeed.api.siblings import Siblings

_SUMMARIES = {
    "total": "A page of 24: videos and flows",
    "discover": "A page of videos",
    "flow": "A page of flows",
}


def create_app(service: Service, siblings: Siblings | None = None) -> FastAPI:
    """The API over a service; it starts and stops the service with itself.

    siblings: given where several workers answer at one address, so that /metrics tells of all of them.

    Raises PatternError if the configured pattern leaves one of the feeds without a slot.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        if siblings is not None:
            await siblings.start(metrics.text)
        try:
            yield
        finally:
            if siblings is not None:
                await siblings.stop()
            await service.stop()

    metrics = Metrics(service)
    app = FastAPI(
        title="talentfeed",
        version=__version__,
        description="A personal feed of talent videos and flows, and the events that clients report.",
        docs_url=None,  # the framework's page fetches its scripts from elsewhere; docs.py needs nobody
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=_middleware(service, metrics),
        exception_handlers=HANDLERS,
    )
    _add_feeds(app, service, metrics)
    _add_operations(app, service, metrics, siblings)
    return app


def _middleware(service: Service, metrics: Metrics) -> list[Middleware]:
    """Outermost first. Browsers of other origins are let in only where CORS_ORIGINS names them."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=service.settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    return [
        Middleware(RequestContext, metrics=metrics),
        *([cors] if service.settings.cors_origins else []),
        Middleware(LastResort),
        Middleware(BodyLimit),
    ]


def _add_feeds(app: FastAPI, service: Service, metrics: Metrics) -> None:
    prefix = service.settings.api_prefix
    hot: list[Callable[[Request], Awaitable[Response]]] = []
    for endpoint in ENDPOINTS:
        hot.append(feed_endpoint(endpoint, service, metrics))
        app.add_api_route(
            f"{prefix}/search/{endpoint}",
            hot[-1],
            methods=["POST"],
            tags=["feeds"],
            summary=_SUMMARIES[endpoint],
            operation_id=endpoint,
            responses=answers.responses(200, answers.FEED_ANSWER[endpoint], 400, 422, 503),
            openapi_extra=requests.FEED_REQUEST[endpoint],
        )
    hot.append(activities_endpoint(service, metrics))
    app.add_api_route(
        f"{prefix}/activities",
        hot[-1],
        methods=["POST"],
        status_code=202,
        tags=["activities"],
        summary="What the user did: one event, or up to 500",
        operation_id="activities",
        responses=answers.responses(202, answers.AcceptedAnswer, 400, 422, 503),
        openapi_extra=requests.REPORT_REQUEST,
    )
    for route in app.router.routes:
        if isinstance(route, APIRoute) and route.endpoint in hot:
            route.app = _plain(route.endpoint)


def _plain(handler: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """A handler as it is, where every microsecond counts: the framework's way of calling it resolves dependencies and
    opens two exit stacks a request. Errors go through, to the application's own handlers."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return call


def _add_operations(app: FastAPI, service: Service, metrics: Metrics, siblings: Siblings | None) -> None:
    prefix = service.settings.api_prefix
    admin: list[tuple[str, Any, str, Any]] = [
        ("search/reload", operations.reload_endpoint(service), "Build and swap the snapshot", answers.ReloadAnswer),
        ("admin/flush", operations.flush_endpoint(service), "Write what waits to activity_log", answers.FlushAnswer),
    ]
    for path, handler, summary, model in admin:
        app.add_api_route(
            f"{prefix}/{path}",
            handler,
            methods=["POST"],
            tags=["operations"],
            summary=summary,
            operation_id=path.rpartition("/")[2],
            responses=answers.responses(200, model, 401, 403, 503),
            openapi_extra=requests.ADMIN_PARAMETER,
        )
    aside: list[tuple[str, str, Any, str, Any, dict[str, Any]]] = [
        ("GET", "", quarantine.list_endpoint(service), "What the database refused", *schemas.QUARANTINED),
        (
            "POST",
            "/requeue",
            quarantine.requeue_endpoint(service),
            "Have it wait to be flushed again",
            *schemas.CHANGED,
        ),
        ("POST", "/discard", quarantine.discard_endpoint(service), "Throw it away for good", *schemas.CHANGED),
    ]
    for method, path, handler, summary, model, extra in aside:
        app.add_api_route(
            f"{prefix}/admin/quarantined{path}",
            handler,
            methods=[method],
            tags=["operations"],
            summary=summary,
            operation_id=path.strip("/") or "quarantined",
            responses=answers.responses(200, model, 400, 401, 403, 422, 503),
            openapi_extra=extra,
        )
    by_feed: list[tuple[str, Any, str, Any]] = [
        ("explain", explain.explain_endpoint(service), "Why each item of a feed is there", answers.ExplainAnswer),
        ("replay", explain.replay_endpoint(service), "A feed ranked once more", answers.ReplayAnswer),
    ]
    for name, handler, summary, model in by_feed:
        app.add_api_route(
            f"{prefix}/feeds/{{feed_id}}/{name}",
            handler,
            methods=["GET"],
            tags=["operations"],
            summary=summary,
            operation_id=name,
            responses=answers.responses(200, model, 401, 403, 404, 410, 422, 503),
            openapi_extra=requests.FEED_PARAMETERS,
        )
    plain: list[tuple[str, Any, str, dict[int | str, dict[str, Any]]]] = [
        ("/", operations.root_endpoint(service), "Name, status, version", {200: {"model": answers.RootAnswer}}),
        ("/health/live", operations.live, "Does the process answer?", {200: {"model": answers.HealthAnswer}}),
        (
            "/health/ready",
            operations.ready_endpoint(service),
            "Can feeds be served?",
            {200: {"model": answers.HealthAnswer}, 503: {"model": answers.HealthAnswer, "description": "Not yet"}},
        ),
        (
            "/metrics",
            operations.metrics_endpoint(metrics, siblings),
            "Metrics for Prometheus",
            {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        ),
    ]
    for path, handler, summary, listed in plain:
        app.add_api_route(
            path,
            handler,
            methods=["GET"],
            tags=["operations"],
            summary=summary,
            operation_id=path.strip("/").replace("/", "_") or "root",
            responses=listed,
        )
        app.add_api_route(path, handler, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/docs", docs.page, methods=["GET", "HEAD"], include_in_schema=False)
