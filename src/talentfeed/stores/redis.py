"""Redis, or the in-process store that stands in for it, behind the same client object."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from hiredis import pack_command
from redis.asyncio import Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as LostError

from talentfeed.stores.lines import Address, ClientLine, DirectLine

if TYPE_CHECKING:
    from fakeredis import FakeServer

# redis-py retries by default and waits 5 s on a socket: with a frozen server a call would hang for most of a minute.
SOCKET_TIMEOUT = 1.0
CONNECT_TIMEOUT = 1.0
PROTOCOL = 2  # RESP3 changes the shape of some answers
DRIVER = DriverInfo("redis-py", redis.__version__)  # else each client looks for it among all that is installed

_serializer = HiredisRespSerializer()  # looks at each word by itself, as it may be of any type
_server: "FakeServer | None" = None


def shared_server() -> "FakeServer":
    """The one in-process server of this process. Imports fakeredis, which takes about 0.3 s, on first use."""
    global _server  # noqa: PLW0603 - two bare in-process clients would share nothing
    if _server is None:
        from fakeredis import FakeServer

        _server = FakeServer(server_type="redis", version=(7, 0))
    return _server


def open_redis(
    *,
    host: str | None,
    port: int = 6379,
    password: str = "",
    scheme: str = "redis",
    db: int = 1,
    ssl_ca: Path | None = None,
    dial: tuple[str, int] | None = None,
    server: "FakeServer | None" = None,
) -> Redis:
    """A client that answers bytes. It connects on first use and again after a loss; it never retries by itself.

    `host` None: the in-process store, on `server` or else on the one that this process shares. `scheme` is `redis`, or
    `tls` (also `rediss`), which verifies the certificate and the host name against `ssl_ca` or the system's.
    `dial`: the address that leads to the host, where it is not the host's own: a forward's end on this machine.
    """
    if host is None:
        from fakeredis import FakeAsyncRedis

        client: Redis = FakeAsyncRedis(server=server or shared_server(), db=db, protocol=PROTOCOL)
        return client
    tls: dict[str, Any] = {}
    if scheme in {"tls", "rediss"}:
        tls = {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": str(ssl_ca) if ssl_ca else None,
        }
    at_host, at_port = dial or (host, port)
    client = Client(
        host=at_host,
        port=at_port,
        db=db,
        password=password or None,
        protocol=PROTOCOL,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        driver_info=DRIVER,
        **tls,
    )
    kind: type[Connection] = _TlsConnection if tls else _PlainConnection
    client.connection_pool.connection_class = _verifying(host) if tls and dial is not None else kind
    client.address = Address(host=host, port=port, db=db, password=password, tls=bool(tls), ssl_ca=ssl_ca, dial=dial)
    return client


def line_of(client: Redis) -> DirectLine | ClientLine:
    """What reads from the same store as a client that `open_redis` made, more quickly."""
    return DirectLine(client.address) if isinstance(client, Client) else ClientLine(client)


class Client(Redis):
    """Knows the address of its server."""

    address: Address


class _Ours:
    """A connection that is lost says so in one way; commands are written by hiredis, as those of a blocking client."""

    def pack_command(self, *words: Any) -> list[bytes]:
        if type(words[0]) is str and " " not in words[0]:
            with suppress(TypeError):  # a bytearray, say, or what is no word at all
                return [pack_command(words)]
        packed: list[bytes] = _serializer.pack(*words)
        return packed

    async def send_packed_command(self, *command: Any, **more: Any) -> None:
        try:
            await super().send_packed_command(*command, **more)  # type: ignore[misc]
        except RuntimeError as error:  # uvloop's, where the peer died since the connection was looked at
            raise LostError(str(error)) from error


class _PlainConnection(_Ours, Connection):
    pass


class _TlsConnection(_Ours, SSLConnection):
    pass


def _verifying(host: str) -> type[SSLConnection]:
    """A connection whose peer must be `host`, whatever address leads there."""

    class Verifying(_TlsConnection):
        def _connection_arguments(self) -> Mapping[str, Any]:
            # the client has no setting for it; without it, it would ask for a certificate of the dialled address
            return {**super()._connection_arguments(), "server_hostname": host}

    return Verifying


def is_in_process(client: Redis) -> bool:
    """True where what the client stores dies with this process."""
    return type(client).__module__.startswith("fakeredis")
