"""Reading Redis with next to nothing in between: commands go out as they come, over one connection, answers come back
in their order. A general client's pool, pipeline and timeouts take longer for a small read than Redis does.

Who asks gives a callback: it gets one answer a command, or the error of them all. An answer that is an error of its own
command alone stands among the others.
"""

import asyncio
import contextlib
import contextvars
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError

from talentfeed.asking import Command, Commands, Filled

CONNECT_TIMEOUT = 1.0  # seconds

Told = Callable[[list[Any] | Exception], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a Redis is, and who we are there."""

    host: str
    port: int
    db: int
    password: str
    tls: bool
    ssl_ca: Path | None  # None: the system's authorities
    dial: tuple[str, int] | None  # what leads to the host, where it is not the host's own address


class DirectLine:
    """To a server. It connects when it is asked, and anew when it is asked after a loss."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: _Connection | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._tls: ssl.SSLContext | None = None

    def ask(self, commands: Commands, told: Told) -> None:
        """Returns at once; `told` is called once, later, unless the line is dropped before."""
        connection = self._connection
        if connection is None or connection.lost:
            connection = self._connection = _Connection(self._address)
            # not in the context of the request that happens to ask first: others follow on this connection
            task = asyncio.create_task(self._connect(connection), name="redis line", context=contextvars.Context())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        packed = commands.packed() if isinstance(commands, Filled) else b"".join(map(_pack, commands))
        connection.ask(packed, len(commands), told)

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and self._connection.made

    def drop(self) -> None:
        """Let the connection go, and forget who waits for an answer on it."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    async def close(self) -> None:
        """Drop it, and end what is under way."""
        connection = self._connection
        self.drop()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        if connection is not None:
            await connection.gone()

    async def _connect(self, connection: "_Connection") -> None:
        address = self._address
        tls: dict[str, Any] = {}
        if address.tls:
            if self._tls is None:
                self._tls = ssl.create_default_context(cafile=str(address.ssl_ca) if address.ssl_ca else None)
            tls = {"ssl": self._tls, "server_hostname": address.host}
        host, port = address.dial or (address.host, address.port)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await asyncio.get_running_loop().create_connection(lambda: connection, host, port, **tls)
        except TimeoutError:
            connection.end(LostError(f"{host}:{port} does not take a connection within {CONNECT_TIMEOUT:g} s"))
        except OSError as error:
            connection.end(error)
        except BaseException:
            connection.drop()
            raise


class _Connection(asyncio.Protocol):
    """One connection, from when it is wanted to its end."""

    def __init__(self, address: Address) -> None:
        self.lost = False
        self._transport: asyncio.WriteTransport | None = None
        self._reader = hiredis.Reader(replyError=ResponseError)
        self._unsent: list[bytes] = []  # until there is a connection, or this turn of the loop is over
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[int, Told]] = deque()
        self._found: list[Any] = []  # of who waits longest
        self._closed = asyncio.Event()
        if address.password:
            self.ask(_pack(("AUTH", address.password)), 1, self._greeted)
        self.ask(_pack(("SELECT", address.db)), 1, self._greeted)

    @property
    def made(self) -> bool:
        """Whether the other end has taken it."""
        return self._transport is not None

    def _greeted(self, found: list[Any] | Exception) -> None:
        if isinstance(found, list) and isinstance(found[0], Exception):
            self.end(found[0])

    def ask(self, packed: bytes, answers: int, told: Told) -> None:
        self._waiting.append((answers, told))
        self._unsent.append(packed)
        if self._transport is not None and len(self._unsent) == 1:
            self._loop.call_soon(self._send)  # what one turn of the loop asks goes out together

    def _send(self) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def connection_made(self, transport: Any) -> None:
        if self.lost:
            transport.abort()
            return
        if (peer := transport.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while waiting:
                answer = reader.gets()
                if answer is False:  # the rest is to come
                    return
                self._found.append(answer)
                if len(self._found) == waiting[0][0]:
                    found, self._found = self._found, []
                    waiting.popleft()[1](found)
        except hiredis.ProtocolError as error:
            self.end(LostError(f"what answers is no Redis: {error}"))

    def eof_received(self) -> None:
        """The transport closes itself."""

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        self.end(error if isinstance(error, OSError) else LostError("Redis closed the connection"))

    def end(self, error: Exception) -> None:
        """Tell everybody who waits."""
        waiting = [*self._waiting]
        self.drop()
        for _, told in waiting:
            told(error)

    async def gone(self) -> None:
        """Wait until its socket is closed."""
        if self._transport is not None:
            await self._closed.wait()

    def drop(self) -> None:
        """Tell nobody."""
        self.lost = True
        self._waiting.clear()
        if self._transport is not None:
            self._transport.abort()


def _pack(words: Command) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed


class ClientLine:
    """Through a client: to the store within this process, where there is no connection to spare anything on."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._asked: set[asyncio.Task[None]] = set()

    def ask(self, commands: Commands, told: Told) -> None:
        """Returns at once; `told` is called once, later, unless the line is dropped before."""
        task = asyncio.create_task(self._ask(commands, told), name="redis line")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _ask(self, commands: Commands, told: Told) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            found = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            told(error)
        else:
            told(found)

    @property
    def connected(self) -> bool:
        """There is nothing to connect to."""
        return True

    def drop(self) -> None:
        """Forget who waits."""
        for task in self._asked:
            task.cancel()

    async def close(self) -> None:
        """Drop it, and wait for its end."""
        self.drop()
        await asyncio.gather(*self._asked, return_exceptions=True)
