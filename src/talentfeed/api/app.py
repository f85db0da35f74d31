"""The application: lifespan, middleware, routes. Everything it needs comes in by `create_app`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from talentfeed import __version__
from talentfeed.api import docs, explain, operations, policy, quarantine
from talentfeed.api import schema_answers as answers
from talentfeed.api import schema_policy as policy_schemas
from talentfeed.api import schema_quarantine as schemas
from talentfeed.api import schema_requests as requests
from talentfeed.api.activities import activities_endpoint
from talentfeed.api.feeds import ENDPOINTS, feed_endpoint
from talentfeed.api.limit import ClientLimit
from talentfeed.api.metrics import Metrics
from talentfeed.api.middleware import BodyLimit, LastResort, RequestContext
from talentfeed.api.plain import Handler, answering
from talentfeed.api.problems import HANDLERS
from talentfeed.api.service import Service
from talentfeed.api.siblings import Siblings
from talentfeed.errors import SettingsError
from talentfeed.settings import Settings

if TYPE_CHECKING:
    from talentfeed.api.tracing import Tracing

_SUMMARIES = {
    "total": "A page of 24: videos and flows",
    "discover": "A page of videos",
    "flow": "A page of flows",
}


class Application(FastAPI):
    """The framework's, with a short way to what is asked most: within the same middleware the handler itself, without
    the framework's own layers and without its search among all routes. They are five times what a handler needs."""

    def __init__(self, *, middleware: Sequence[Middleware], **more: Any) -> None:
        super().__init__(middleware=middleware, **more)
        self._around = middleware
        self._short: dict[str, tuple[APIRoute, ASGIApp]] = {}

    def shorten(self, route: APIRoute, handler: Handler) -> None:
        """POST to this route's path is answered by this handler, as `plain.answering` has it."""
        route.app = way = answering(handler)  # also on the long way, such as below a root path
        for layer in reversed(self._around):
            way = layer.cls(way, *layer.args, **layer.kwargs)
        self._short[route.path] = route, way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's lifespan."""
        found = self._short.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["route"], way = found
        await way(scope, receive, send)


def create_app(service: Service, siblings: Siblings | None = None) -> Application:
    """The API over a service; it starts and stops the service with itself.

    siblings: given where several workers answer at one address, so that /metrics tells of all of them.

    Raises PatternError if the configured pattern leaves one of the feeds without a slot.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        watching = asyncio.create_task(metrics.watch_loop(), name="loop lag")
        if siblings is not None:
            await siblings.start(metrics.text)
        try:
            yield
        finally:
            watching.cancel()
            if tracing is not None:
                await tracing.close()
            if siblings is not None:
                await siblings.stop()
            await service.stop()

    tracing = _tracing(service.settings)
    metrics = Metrics(service, tracing)
    app = Application(
        title="talentfeed",
        version=__version__,
        description="A personal feed of talent videos and flows, and the events that clients report.",
        docs_url=None,  # the framework's page fetches its scripts from elsewhere; docs.py needs nobody
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=_middleware(service, metrics, tracing),
        exception_handlers=HANDLERS,
    )
    _add_feeds(app, service, metrics)
    _add_operations(app, service, metrics, siblings)
    return app


def _tracing(settings: Settings) -> "Tracing | None":
    """None where nobody wants traces: then nothing of it is imported. Raises SettingsError without the extra."""
    if settings.traces_url is None:
        return None
    if sys.modules.get("opentelemetry.sdk.metrics") is None:  # see the package's __init__
        sys.modules.pop("opentelemetry.sdk.metrics", None)
    try:
        from talentfeed.api.tracing import Tracing
    except ImportError as error:
        raise SettingsError(
            f"TRACES_URL is set, but {error.name} is not installed: pip install 'talentfeed[otel]', or unset it"
        ) from error
    return Tracing(settings.traces_url, share=settings.traces_share)


def _middleware(service: Service, metrics: Metrics, tracing: "Tracing | None") -> list[Middleware]:
    """Outermost first. Browsers of other origins are let in only where CORS_ORIGINS names them."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=service.settings.cors_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    limit = None
    if service.limiter is not None:
        limit = Middleware(ClientLimit, limiter=service.limiter, named_in=service.settings.rate_limit_header)
    traced = None
    if tracing is not None:
        from talentfeed.api.tracing import Traced

        traced = Middleware(Traced, tracing=tracing)
    return [
        Middleware(RequestContext, metrics=metrics),
        *([traced] if traced is not None else []),
        *([cors] if service.settings.cors_origins else []),
        *([limit] if limit is not None else []),
        Middleware(LastResort),
        Middleware(BodyLimit),
    ]


def _add_feeds(app: Application, service: Service, metrics: Metrics) -> None:
    prefix = service.settings.api_prefix
    often: list[Handler] = []
    for endpoint in ENDPOINTS:
        often.append(feed_endpoint(endpoint, service, metrics))
        app.add_api_route(
            f"{prefix}/search/{endpoint}",
            often[-1],
            methods=["POST"],
            tags=["feeds"],
            summary=_SUMMARIES[endpoint],
            operation_id=endpoint,
            responses=answers.responses(200, answers.FEED_ANSWER[endpoint], 400, 422, 503),
            openapi_extra=requests.FEED_REQUEST[endpoint],
        )
    often.append(activities_endpoint(service, metrics))
    app.add_api_route(
        f"{prefix}/activities",
        often[-1],
        methods=["POST"],
        status_code=202,
        tags=["activities"],
        summary="What the user did: one event, or up to 500",
        operation_id="activities",
        responses=answers.responses(202, answers.AcceptedAnswer, 400, 422, 503),
        openapi_extra=requests.REPORT_REQUEST,
    )
    for route in app.routes:
        if isinstance(route, APIRoute) and route.endpoint in often:
            app.shorten(route, route.endpoint)


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
    learned: list[tuple[str, str, Any, str, Any, dict[str, Any]]] = [
        ("GET", "", policy.show_endpoint(service), "Where learning stands", *policy_schemas.SHOWN),
        ("GET", "/export", policy.export_endpoint(service), "A version of the policy", *policy_schemas.EXPORTED),
        ("POST", "/import", policy.import_endpoint(service), "Go on from an exported one", *policy_schemas.IMPORT),
        ("POST", "/reset", policy.reset_endpoint(service), "Start learning anew", *policy_schemas.RESET),
        ("POST", "/rollback", policy.rollback_endpoint(service), "Go on from an earlier one", *policy_schemas.ROLLBACK),
        ("POST", "/compare", policy.compare_endpoint(service), "What if", *policy_schemas.COMPARE),
    ]
    for under, first, calls in (("quarantined", "quarantined", aside), ("policy", "show", learned)):
        for method, path, handler, summary, model, extra in calls:
            name = path.strip("/") or first
            app.add_api_route(
                f"{prefix}/admin/{under}{path}",
                handler,
                methods=[method],
                tags=["operations"],
                summary=summary,
                operation_id=f"policy_{name}" if calls is learned else name,
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
            {
                200: {"model": answers.HealthAnswer},
                403: {"model": answers.ErrorAnswer, "description": "X-Admin-Key was shown, and is wrong"},
                503: {"model": answers.HealthAnswer, "description": "Not yet"},
            },
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
