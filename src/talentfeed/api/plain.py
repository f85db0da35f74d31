"""A handler as it is, where every microsecond counts: a request read and answered without the framework."""

from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from talentfeed.api.problems import RefusedError, on_refused, on_unavailable
from talentfeed.errors import TalentFeedError

_JSON = (b"content-type", b"application/json")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Ready(Response):
    """JSON that is bytes already, with status 200."""

    def __init__(self, body: bytes) -> None:
        self.status_code, self.background, self.body = 200, None, body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _JSON]


def answering(handler: Handler) -> ASGIApp:
    """The handler, and the standard answers to the errors it raises."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except RefusedError as error:
            response = await on_refused(request, error)
        except TalentFeedError as error:
            response = await on_unavailable(request, error)
        await response(scope, receive, send)

    return call


async def read_body(request: Request) -> bytes:
    """The whole body. Raises ClientDisconnect where it does not come to its end."""
    parts: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)
