"""The SSH bastion: one connection that carries all forwards, and comes back by itself on the same local ports."""

import asyncio
import contextlib
import dataclasses
import logging
import random
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncssh

from talentfeed.errors import BastionError
from talentfeed.stores.forwards import Forward
from talentfeed.stores.ssh import Hop, connect, lost

log = logging.getLogger(__name__)

Target = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for what, in seconds."""

    keepalive: float = 3.0  # silence after which a sign of life is asked for
    missed: int = 3  # signs of life owed, after which the connection is lost
    first: float = 0.1  # pause before the first try after a loss; then twice as long each time …
    most: float = 10.0  # … up to this
    fatal: float = 30.0  # pause where somebody has to mend something first
    steady: float = 10.0  # a connection that held for so long was a good one: the next pause is the first again
    hold: float = 0.5  # that a client waits for an attempt under way, rather than be sent away


@dataclass(frozen=True, slots=True)
class State:
    """Whether the bastion is connected, why not, and since when (seconds since 1970, UTC)."""

    up: bool
    kind: str  # `ok`, or the fault in a word or two without hosts or accounts
    since: float
    connections: int = 0  # made so far


class Bastion:
    """Forwards to its targets, on ports of 127.0.0.1 that stay the same for its life."""

    def __init__(self, hop: Hop, targets: Iterable[Target], *, patience: Patience | None = None) -> None:
        """Takes the ports; connects to nothing yet."""
        self.hop = hop
        self.state = State(up=False, kind="connecting", since=time.time())
        self._patience = patience or Patience()
        self._forwards = {target: Forward(*target, connection=self._current) for target in dict.fromkeys(targets)}
        self._connection: asyncssh.SSHClientConnection | None = None
        self._error: BastionError | None = None  # of the last attempt
        self._settled = asyncio.Event()  # no attempt is under way, and there was one
        self._supervisor: asyncio.Task[None] | None = None
        self._tell = True

    def address(self, host: str, port: int) -> tuple[str, int]:
        """Where to connect to instead of a target."""
        return self._forwards[host, port].address

    async def start(self, *, unheard: bool = False) -> None:
        """Begin to connect, and see to it from now on. Waits for nothing.

        `unheard`: nobody waits for `ready`, so that the first outcome is told in the log, as all later ones are.
        """
        self._tell = unheard
        for forward in self._forwards.values():
            await forward.start()
        self._supervisor = asyncio.create_task(self._supervise())

    async def ready(self) -> None:
        """Wait for the attempt under way. Raises BastionError with its reason."""
        await self._settled.wait()
        if self._error is not None:
            raise self._error

    async def unreached(self) -> dict[str, str]:
        """The targets that the bastion does not reach, and why. Raises BastionError where it is not connected."""
        await self.ready()
        connection = self._connection  # it may be lost meanwhile: then that is the reason
        assert connection is not None  # noqa: S101 - else ready raises
        found = {str(forward): await forward.probe(connection) for forward in self._forwards.values()}
        return {target: reason for target, reason in found.items() if reason is not None}

    async def stop(self) -> None:
        """End all connections and let go of the ports."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        for forward in self._forwards.values():
            await forward.stop()

    async def _current(self) -> asyncssh.SSHClientConnection | None:
        if self._connection is None and not self._settled.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.hold):
                    await self._settled.wait()
        return self._connection

    # ------------------------------------------------------------ the supervisor

    async def _supervise(self) -> None:
        """Connect, wait for the end, pause, and so on until cancelled, whatever goes wrong in between."""
        pause = self._patience.first
        while True:
            self._settled.clear()
            try:
                error, held = await self._one_connection()
            except Exception as unforeseen:
                log.exception("The bastion's connection failed in a way that is not foreseen")
                error, held = BastionError(f"{self.hop}: {unforeseen}", kind=type(unforeseen).__name__), 0.0
            self._went_down(error)
            if held >= self._patience.steady:
                pause = self._patience.first
            await asyncio.sleep((self._patience.fatal if error.fatal else pause) * random.uniform(0.7, 1.3))
            pause = min(2 * pause, self._patience.most)

    async def _one_connection(self) -> tuple[BastionError, float]:
        """→ what ended it, and how long it held."""
        try:
            connection, client = await connect(
                self.hop, keepalive=self._patience.keepalive, missed=self._patience.missed
            )
        except BastionError as error:
            return error, 0.0
        began = time.monotonic()
        try:
            self._came_up(connection)
            await connection.wait_closed()
        finally:
            self._connection = None
            connection.abort()
        return lost(self.hop, client), time.monotonic() - began

    def _came_up(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection, self._error = connection, None
        self.state = State(up=True, kind="ok", since=time.time(), connections=self.state.connections + 1)
        if self._tell:
            log.info("Connected to the bastion %s", self.hop)
        self._tell = True
        self._settled.set()

    def _went_down(self, error: BastionError) -> None:
        if self._tell and (self._error is None or str(self._error) != str(error)):
            (log.error if error.fatal else log.warning)("No bastion: %s", error)
        since = time.time() if self.state.up else self.state.since
        self._error = error
        self._tell = True
        self.state = dataclasses.replace(self.state, up=False, kind=error.kind, since=since)
        self._settled.set()


@contextlib.contextmanager
def connected_in_a_thread(bastion: Bastion) -> Iterator[None]:
    """Connected while inside, on a loop of its own: for work that blocks. Raises BastionError where it is refused."""
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop = runner.get_loop()

    def live() -> None:
        with runner:  # ends what is left on the loop, and closes it
            loop.run_forever()

    thread = threading.Thread(target=live, name="bastion", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        run(bastion.start())
        run(bastion.ready())
        yield
    finally:
        run(bastion.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
