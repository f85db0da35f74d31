"""What a connection may ask for before there is a request: bounds of a head's size and of everybody's patience."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.api.conftest import local_service, small_catalogue
from tests.api.test_server import GOOD, exchange, serves, status

from talentfeed.api import protocol
from talentfeed.api.app import create_app

BODY = b'{"user_id": 1}'
HEAD = b"POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n"
LONG = protocol.HEAD_BYTES + 1


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[uvicorn.Server]:
    """A server as `talentfeed serve` has it, but that it keeps idle connections for long."""
    ready = threading.Event()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # so that what is not read stays with the server
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(local_service(folder, small_catalogue())),
        http=protocol.LimitedProtocol,
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        timeout_keep_alive=600,
    )

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    found = Announcing(config)
    thread = threading.Thread(target=lambda: asyncio.run(found.serve([listener])))
    thread.start()
    assert ready.wait(60)
    yield found
    found.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


def port_of(server: uvicorn.Server) -> int:
    [listening] = server.servers
    number: int = listening.sockets[0].getsockname()[1]
    return number


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server with all its patience."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield port_of(server)


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[uvicorn.Server]:
    """Waits a fraction of a second."""
    monkeypatch.setattr(protocol, "LOOK_EVERY", 0.1)
    with serving(tmp_path) as server:
        yield server


def problem(answer: bytes) -> dict[str, str]:
    """The one problem of an answer in the form of all errors."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"x-content-type-options: nosniff" in head
    told = json.loads(body)
    assert told["statusCode"] == status(answer)
    [found] = told["errors"]
    assert found.keys() == {"field", "value", "accepted"}
    return dict(found)


def again(connection: socket.socket, data: bytes, *, times: int, pause: float = 0.0) -> None:
    """Send the same so often, or until the other side has closed."""
    for _ in range(times):
        connection.sendall(data)
        time.sleep(pause)


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("where", ["header", "headers", "path"])
def test_a_head_that_is_too_long_is_refused_however_it_comes(port: int, where: str, pieces: int) -> None:
    raw = {
        "header": HEAD + b"X-A: " + b"a" * LONG + b"\r\n\r\n" + BODY,
        "headers": HEAD + b"X-A: aaaaaaaaaaaaaaaaaaaaaaa\r\n" * (LONG // 24) + b"\r\n" + BODY,
        "path": b"GET /" + b"a" * LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    }[where]
    size = len(raw) // pieces + 1
    answer = exchange(port, *(raw[at : at + size] for at in range(0, len(raw), size)))
    assert status(answer) == 431
    assert problem(answer)["field"] == "headers"
    assert serves(port)


def test_a_head_without_an_end_does_not_fill_the_memory(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            again(connection, b"X-A: " + b"a" * 65_000 + b"\r\n", times=1_000)
    assert serves(port)


def test_a_long_head_that_is_within_the_bounds_is_taken(port: int) -> None:
    long = GOOD.replace(b"Host: x\r\n", b"Host: x\r\nX-A: " + b"a" * (protocol.HEAD_BYTES - 1_000) + b"\r\n")
    assert status(exchange(port, long)) == 200
    padded = BODY + b" " * 500_000
    whole = HEAD.replace(b"14", str(len(padded)).encode()) + b"Connection: close\r\n\r\n" + padded
    assert status(exchange(port, whole)) == 200


@pytest.mark.parametrize("raw", [b"\x00\x01\r\n\r\n", b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_no_request_is_refused_in_the_form_of_all_errors(port: int, raw: bytes) -> None:
    answer = exchange(port, raw)
    assert status(answer) == 400
    assert problem(answer)["field"] == "request"


def test_who_does_not_come_to_an_end_is_shown_out(hasty: uvicorn.Server) -> None:
    beginnings = {
        "nothing": b"",
        "a line": b"GET / HT",
        "a head": HEAD,
        "a body": HEAD + b"\r\n{",
        "a second head": HEAD + b"\r\n" + BODY + HEAD,
        "a refused body": HEAD.replace(b"14", b"2000000") + b"\r\n{",
    }
    for begun in beginnings.values():
        with socket.create_connection(("127.0.0.1", port_of(hasty)), timeout=60) as connection:
            connection.sendall(begun)
            while connection.recv(65_536):
                pass


def test_saying_a_little_now_and_then_does_not_help(hasty: uvicorn.Server) -> None:
    with socket.create_connection(("127.0.0.1", port_of(hasty)), timeout=60) as connection:
        connection.sendall(HEAD)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            again(connection, b"X: y\r\n", times=3_000, pause=0.02)


def test_an_answer_that_nobody_reads_is_not_kept(hasty: uvicorn.Server) -> None:
    with contextlib.closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", port_of(hasty)))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            again(connection, b"\r\n", times=3_000, pause=0.02)


def test_requests_do_not_queue_without_end(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (protocol.QUEUED + 2))
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert b"HTTP/1.1 400" in answer
    few = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * protocol.QUEUED + GOOD
    assert exchange(port, few).count(b"HTTP/1.1 200") == protocol.QUEUED + 1


def test_a_client_that_keeps_its_connection_between_requests_is_left_alone(hasty: uvicorn.Server) -> None:
    whole, answer = HEAD + b"\r\n" + BODY, b""
    until = time.monotonic() + 60
    while not answer:  # a slow machine may be too late even with its first
        assert time.monotonic() < until
        connection = socket.create_connection(("127.0.0.1", port_of(hasty)), timeout=60)
        with contextlib.suppress(OSError):
            connection.sendall(whole)
            answer = connection.recv(1)
    with connection:
        time.sleep(1)  # ten looks
        connection.sendall(whole.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        while part := connection.recv(65_536):
            answer += part
    assert answer.count(b"HTTP/1.1 200") == 2


def heard(connection: socket.socket, ending: bytes) -> bytes:
    """What comes, up to this ending."""
    found = b""
    while not found.endswith(ending):
        piece = connection.recv(65_536)
        assert piece, found
        found += piece
    return found


def test_who_asks_for_leave_to_send_a_body_has_it_before_the_answer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\n\r\n")
        assert heard(connection, b"\r\n\r\n") == protocol.CONTINUE
        connection.sendall(BODY)
        assert status(heard(connection, b"}")) == 200


def test_a_head_that_was_asked_for_alone_comes_while_the_connection_stays_open(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status(heard(connection, b"\r\n\r\n")) == 200
