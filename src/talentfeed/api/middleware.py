"""What surrounds every request: its id, its time, the security headers, the body limit, the last resort.

Pure ASGI: a few microseconds each, where the framework's base class costs a task per request.
"""

import logging
import os
import re
import time
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from talentfeed.api.bodies import MAX_BODY_BYTES
from talentfeed.api.metrics import Metrics
from talentfeed.api.problems import Problem, RefusedError, answer
from talentfeed.logs import REQUEST_ID

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_NAMES = frozenset(name for name, _ in HEADERS)


def header(scope: Scope, wanted: bytes) -> bytes:
    """A request's header by its name in lower case; empty where it has none."""
    for name, value in scope["headers"]:
        if name == wanted:
            found: bytes = value
            return found
    return b""


class RequestContext:
    """Gives each request its id (the client's X-Request-ID where well formed), headers, and a place in /metrics."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        asked = header(scope, b"x-request-id").decode("latin-1")
        request_id = asked if asked and _REQUEST_ID.fullmatch(asked) else os.urandom(16).hex()
        scope.setdefault("state", {})["request_id"] = request_id
        outside = REQUEST_ID.set(request_id)
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                given = {name for name, _ in headers}
                headers += HEADERS if given.isdisjoint(_NAMES) else [one for one in HEADERS if one[0] not in given]
                headers.append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            REQUEST_ID.reset(outside)
            path = getattr(scope.get("route"), "path", "unmatched")
            self.metrics.request(path, status, time.perf_counter() - started)
        return None


class LastResort:
    """Whatever nobody foresaw: logged with its trace, answered with a 500 that tells nothing of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def watched_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except ClientDisconnect:
            log.debug("The client of %s left before its body was read", scope["path"])
        except Exception:
            request_id = scope["state"]["request_id"]
            log.exception("Request %s (%s %r) failed", request_id, scope["method"], scope["path"])
            if not begun:  # otherwise the server closes the connection: half an answer must not look whole
                problem = Problem(
                    "request", request_id, "nothing is wrong with it as far as we know: our log has it by this id"
                )
                await answer(HTTPStatus.INTERNAL_SERVER_ERROR, [problem])(scope, receive, send)
        return None


class BodyLimit:
    """413 for a body over 1 MiB, by its Content-Length or, where it has none, as soon as so much has come."""

    def __init__(self, app: ASGIApp, *, limit: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = header(scope, b"content-length")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > self.limit):
            refused = self._refused(f"{declared.decode()} bytes")
            return await answer(refused.status, refused.problems)(scope, receive, send)
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise self._refused(f"over {self.limit} bytes")
            return message

        return await self.app(scope, limited_receive, send)

    def _refused(self, size: str) -> RefusedError:
        return RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [Problem("body", size, f"at most {self.limit} bytes (1 MiB)")]
        )
