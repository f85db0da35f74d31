"""What a connection may ask for before a request of it is read: so many bytes of a head, so much time, so few at once.

The parser itself takes a head of any length, waits for its end for ever, and queues what comes behind a request: one
client could fill the memory, or hold all connections by saying a little now and then. A look at each connection every
few seconds costs requests nothing.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from talentfeed.api.middleware import HEADERS
from talentfeed.api.problems import Problem, answer

HEAD_BYTES = 65_536  # of a request line and its headers
LOOK_EVERY = 5.0  # seconds
HEAD_LOOKS = (
    2  # at a head, at a connection that brings nothing, or at an answer that nobody reads, until it ends: 10–15 s
)
BODY_LOOKS = 12  # at a whole request: 60–65 s
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
QUEUED = 16  # requests of a connection that may wait for the one before them


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why there will be no answer of the application's."""

    status: HTTPStatus
    problem: Problem


NO_REQUEST = _Refusal(HTTPStatus.BAD_REQUEST, Problem("request", None, "HTTP/1.1, as RFC 9112 has it"))
TOO_LONG = _Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    Problem("headers", f"over {HEAD_BYTES} bytes", f"at most {HEAD_BYTES} bytes, the path included"),
)
TOO_MANY = _Refusal(
    HTTPStatus.BAD_REQUEST,
    Problem("request", f"over {QUEUED} more", "the next request once the one before it is answered"),
)


class _RefusedError(Exception):
    """The parser ends where a callback raises."""


class _Way:
    """Where an answer is written: its head waits for what comes behind it, since each piece sent by itself costs
    the system as much as all of them. What asks for the rest of a request does not wait."""

    __slots__ = ("_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self.is_closing = transport, transport.is_closing
        self._head: bytes | None = None  # empty once it is on its way

    def write(self, data: bytes) -> None:
        if self._head is None and data != CONTINUE:
            self._head = data
            return
        self._transport.write((self._head or b"") + data)
        if self._head:
            self._head = b""

    def close(self) -> None:
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


class LimitedProtocol(HttpToolsProtocol):
    """A connection whose heads are at most 64 KiB, and that is closed where a request does not come to its end, or
    where nobody reads the answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its own base has it
        """The connection begins."""
        super().connection_made(transport)
        self._begun, self._in_head = False, True
        self._head = 0  # bytes that came of a head that is not complete
        self._refusal = NO_REQUEST
        self._messages = self._messages_before = 0
        self._looks = 0  # at the request that is not complete
        self._unread = self._unread_looks = 0  # bytes of answers, and looks that found as many
        self._timer = self.loop.call_later(LOOK_EVERY, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request, or of several."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > HEAD_BYTES and not self.transport.is_closing():
            self._refusal = TOO_LONG
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """The parser: something has come."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The parser: a head is there."""
        if self._head > HEAD_BYTES:  # with what came behind it in one piece
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEAD_BYTES:
                self._refusal = TOO_LONG
                raise _RefusedError
        if len(self.pipeline) >= QUEUED:
            self._refusal = TOO_MANY
            raise _RefusedError
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The parser: a request is there to its end."""
        self._begun, self._in_head = False, True
        self._messages += 1
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - told in our own words
        """Refuse what is no request, in the form of all errors, and close."""
        refusal, status = answer(self._refusal.status, [self._refusal.problem]), self._refusal.status
        headers: list[tuple[bytes, bytes]] = [*refusal.raw_headers, *HEADERS, (b"connection", b"close")]
        lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(b"%b: %b" % pair for pair in headers), b"", b""]
        self.transport.write(b"\r\n".join(lines) + bytes(refusal.body))
        self.transport.close()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if cycle.scope["method"] != "HEAD":  # what answers that has nothing behind its head
            cycle.transport = _Way(self.transport)
        super()._start_asgi_task(cycle, app)

    def _look(self) -> None:
        self._timer = self.loop.call_later(LOOK_EVERY, self._look)
        unread = self.transport.get_write_buffer_size()
        self._unread_looks = self._unread_looks + 1 if unread and unread == self._unread else 0
        self._unread = unread
        if self._unread_looks > HEAD_LOOKS:
            self.transport.abort()
            return
        if self._waits() and self._messages == self._messages_before:
            self._looks += 1
        else:
            self._looks = 0
        self._messages_before = self._messages
        if self._looks > (HEAD_LOOKS if self._in_head else BODY_LOOKS):
            self.transport.close()

    def _waits(self) -> bool:
        """For more of a request that has begun, or for a connection's first: not for an answer of ours."""
        cycle: Any = self.cycle
        if cycle is None:
            return True
        answering = not cycle.response_complete and not cycle.more_body
        return not answering and not self.pipeline and self._begun
