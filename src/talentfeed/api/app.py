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
from talentfeed.api import docs
from talentfeed.api.calls import Call, admin_calls, feed_calls, probe_calls
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


class Application(FastAPI):
    """The framework's, with a short way to what is asked most: within the same middleware the handler itself, without
    the framework's own layers and without its search among all routes. They are five times what a handler needs."""

    def __init__(self, *, middleware: Sequence[Middleware], **more: Any) -> None:
        super().__init__(middleware=middleware, **more)
        self._around = middleware
        self._short: dict[str, tuple[APIRoute, ASGIApp]] = {}
        self._told: list[Call] = []

    def add_calls(self, calls: Sequence[Call]) -> None:
        """They are answered from now on, and OpenAPI's document tells of them."""
        self._told += calls
        for call in calls:
            self.answer(call, [call.method])

    def answer(self, call: Call, methods: list[str]) -> None:
        """Its handler answers these methods on its path. What it returns is an answer already, no model's value."""
        self.add_api_route(call.path, call.handler, methods=methods, response_model=None, include_in_schema=False)

    def openapi(self) -> dict[str, Any]:
        """The document, made when it is first asked for: its models take longer to import than the door does."""
        if self.openapi_schema is None:
            from talentfeed.api.documented import document

            self.openapi_schema = document(
                self._told, title=self.title, version=self.version, description=self.description
            )
        return self.openapi_schema

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
    often, probes = feed_calls(service, metrics), probe_calls(service, metrics, siblings)
    app.add_calls([*often, *admin_calls(service), *probes])
    handlers = {call.handler for call in often}
    for route in app.routes:
        if isinstance(route, APIRoute) and route.endpoint in handlers:
            app.shorten(route, route.endpoint)
    for call in probes:
        app.answer(call, ["HEAD"])
    app.add_api_route("/docs", docs.page, methods=["GET", "HEAD"], include_in_schema=False)
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
