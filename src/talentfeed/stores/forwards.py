"""A port of this machine that leads through the bastion.

We hold the listening socket ourselves and open a channel for each connection, rather than have the SSH library listen:
the port stays ours while the bastion is away. A port let go of could be taken by somebody else, who would then be sent
our passwords.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import asyncssh

log = logging.getLogger(__name__)

OPEN_SECONDS = 5.0  # that the bastion may take to reach the target
CHUNK = 256 * 1024
BACKLOG = 128
LOOPBACK = "127.0.0.1"


class Forward:
    """One target behind the bastion, and the address on loopback that stands for it."""

    def __init__(
        self, host: str, port: int, *, connection: Callable[[], Awaitable[asyncssh.SSHClientConnection | None]]
    ) -> None:
        """`connection` gives the bastion's connection, or None while there is none: who comes then is sent away."""
        self.host = host
        self.port = port
        self._connection = connection
        self._listener = socket.create_server((LOOPBACK, 0), backlog=BACKLOG)
        self.address: tuple[str, int] = (LOOPBACK, self._listener.getsockname()[1])
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._error: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Answer on the port."""
        self._server = await asyncio.start_server(self._accept, sock=self._listener, limit=CHUNK)

    async def stop(self) -> None:
        """End what is open, and let go of the port."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def probe(self, connection: asyncssh.SSHClientConnection) -> str | None:
        """Why the bastion does not reach the target; None: it does."""
        try:
            _, writer = await self._channel(connection)
        except (asyncssh.Error, OSError) as error:
            return _reason(error)
        writer.close()
        return None

    async def _channel(
        self, connection: asyncssh.SSHClientConnection
    ) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        async with asyncio.timeout(OPEN_SECONDS):
            return await connection.open_connection(self.host, self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopped:  # it was on its way when the server closed
            writer.transport.abort()
            return
        task = asyncio.create_task(self._carry(reader, writer))
        self._open.add(task)

        def ended(_task: asyncio.Task[None]) -> None:
            self._open.discard(task)
            writer.transport.abort()  # the client hears at once of what went wrong; does nothing after a good end

        task.add_done_callback(ended)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        connection = await self._connection()
        if connection is None:
            return
        try:
            far_reader, far_writer = await self._channel(connection)
        except (asyncssh.Error, OSError) as error:
            self._note(_reason(error))
            return
        self._note(None)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
            far_writer.close()
            writer.close()
            await writer.wait_closed()
        except* (asyncssh.Error, OSError, RuntimeError) as errors:  # the last is uvloop's, of a closed transport
            log.debug("A connection to %s ended: %s", self, errors.exceptions[0])
            far_writer.channel.abort()

    def _note(self, error: str | None) -> None:
        if error is not None and error != self._error:
            log.warning("The bastion does not reach %s: %s", self, error)
        self._error = error


Reader = asyncio.StreamReader | asyncssh.SSHReader[bytes]
Writer = asyncio.StreamWriter | asyncssh.SSHWriter[bytes]


async def _copy(reader: Reader, writer: Writer) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {OPEN_SECONDS:g} s"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, asyncssh.ChannelOpenError) and error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return f"{text}: its AllowTcpForwarding or PermitOpen keeps us out"
    return text
