"""Traces for an OpenTelemetry collector, where TRACES_URL names one: a span a request, and in it one a feed's stage.

Imported only then: without it nothing of this is there, and requests pay nothing.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from talentfeed import __version__
from talentfeed.api.limit import FREE
from talentfeed.logs import REQUEST_ID, TRACE_ID

EXPORT_SECONDS = 5.0  # that the collector may take for a batch
CLOSE_SECONDS = 1.0  # that a stop waits for the last batch
_HEADERS = (b"traceparent", b"tracestate")


class Tracing:
    """The tracer of one process. Spans are sent by a thread of its own; those that cannot be sent are lost."""

    def __init__(self, url: str, *, share: float) -> None:
        """`share` of the traces that begin here are kept; of those that come with a `traceparent` its word decides."""
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create({"service.name": "talentfeed", "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS)))
        self.tracer = self._provider.get_tracer("talentfeed", __version__)

    def stages(self, names: Sequence[str], at: Sequence[float]) -> None:
        """The stages of the feed that is being answered: `at` when each began and the last ended, by `perf_counter`."""
        if not trace.get_current_span().is_recording():
            return
        offset = time.time_ns() - int(time.perf_counter() * 1e9)
        for name, began, ended in zip(names, at, at[1:], strict=False):
            span = self.tracer.start_span(name, start_time=offset + int(began * 1e9))
            span.end(offset + int(ended * 1e9))

    async def close(self) -> None:
        """Send what is left, for a moment."""
        sent, loop = asyncio.Event(), asyncio.get_running_loop()

        def send() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waited so long: the loop is closed
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await sent.wait()


class Traced:
    """A span for each request but those of probes; its trace's id is on the request's log lines in JSON."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self.app = app
        self._tracer = tracing.tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            return await self.app(scope, receive, send)
        told = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS}
        before = self._propagator.extract(told)
        span = self._tracer.start_span(scope["method"], context=before, kind=trace.SpanKind.SERVER)
        inside = context.attach(trace.set_span_in_context(span, before))
        outside = TRACE_ID.set(trace.format_trace_id(span.get_span_context().trace_id))
        status = 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        finally:
            TRACE_ID.reset(outside)
            context.detach(inside)
            if span.is_recording():
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes(
                    {
                        "http.request.method": scope["method"],
                        "http.route": route,
                        "http.response.status_code": status,
                        "talentfeed.request_id": REQUEST_ID.get(),
                    }
                )
                if status >= 500 or status == 0:
                    span.set_status(trace.StatusCode.ERROR)
            span.end()
        return None
