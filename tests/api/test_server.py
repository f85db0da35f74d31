"""The application behind the real server: what a test client cannot send."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.api.conftest import local_service, small_catalogue

from talentfeed.api.app import create_app
from talentfeed.api.protocol import LimitedProtocol

GOOD = b'POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{"user_id": 1}'


@pytest.fixture(scope="module", params=[LimitedProtocol, "h11"], ids=["httptools", "h11"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server on a free port, on each of the two parsers."""
    folder: Path = tmp_path_factory.mktemp("server")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    number: int = listener.getsockname()[1]
    ready = threading.Event()
    servers: list[uvicorn.Server] = []

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            servers.append(self)
            ready.set()

    async def run() -> None:
        app = create_app(local_service(folder, small_catalogue()))
        await Announcing(uvicorn.Config(app, http=request.param, log_config=None, access_log=False)).serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(30)
    yield number
    servers[0].should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    listener.close()


def exchange(port: int, *parts: bytes) -> bytes:
    """Send and read to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def serves(port: int) -> bool:
    answer = exchange(port, GOOD)
    return status(answer) == 200 and len(json.loads(answer.partition(b"\r\n\r\n")[2])["body"]["items"]) == 24


def test_a_feed_is_served(port: int) -> None:
    assert serves(port)


def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    head = b"POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n"
    assert status(exchange(port, head)) == 413
    assert serves(port)


def test_an_endless_chunked_body_is_refused_at_the_limit(port: int) -> None:
    head = b"POST /api/search/total HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        for _ in range(17):
            connection.sendall(chunk)
        assert status(connection.recv(65_536)) == 413
    assert serves(port)


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(port: int, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(head)
        assert serves(port)
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST " + b"/" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_http_disturbs_nobody(port: int, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65_536)
    assert b"Traceback" not in answer
    assert serves(port)
