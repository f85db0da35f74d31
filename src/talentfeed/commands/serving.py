"""How the feed is served: in this process, or by a supervisor's workers."""

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from talentfeed import console, embedded
from talentfeed import settings as settings_module
from talentfeed.building import KEPT_SNAPSHOTS, open_exchange
from talentfeed.commands.beside import beside, flush_beside
from talentfeed.commands.starting import start
from talentfeed.errors import SettingsError, TalentFeedError
from talentfeed.settings import Settings
from talentfeed.snapshot import store
from talentfeed.supervisor import Child, Inherited, Supervisor, Work

if TYPE_CHECKING:
    from talentfeed.activity.beside import Pulse
    from talentfeed.wiring import Prepared

log = logging.getLogger(__name__)

BACKLOG = 2_048  # connections that may wait to be accepted
REQUEST_SECONDS = 4  # that requests under way get when the server stops; storing and flushing get what is left of ten
LINGER_SECONDS = 0.2  # from when no connection is taken any more until those without a request are closed
COLLECT_AFTER = (20_000, 20, 20)  # a feed makes some 200 objects that the collector counts; few are in cycles
SWITCH_SECONDS = 0.001
REHEARSAL = "from talentfeed.commands import serving; serving.rehearse()"
FIRST = "1"  # of the workers; tells of what all of them share
MEETING = "TALENTFEED_MEETING"  # environment: the folder in which workers ask each other for metrics
SHARED = (
    "talentfeed.api.app",
    "talentfeed.stores.redis",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "talentfeed.api.protocol",
)


def begin(*, as_of: str | None = None, workers: int | None = None) -> None:
    """`talentfeed serve`, with its options. Raises as `serve`, and SettingsError."""
    settings = embedded.with_demo_key(start(), make=False)
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    serve(settings, as_of=embedded.as_of(as_of, settings), greet=False)


def serve(settings: Settings, *, as_of: float | None, greet: bool) -> None:
    """Serve until told to stop.

    One worker works in this process. More are forked after importing, so that they share what they have in common;
    where snapshots travel, one process beside the workers fetches them, and where Redis is a server, one flushes.
    Raises SettingsError for what cannot be served, TalentFeedError where the first build fails.
    """
    gc.disable()  # nothing that a start makes is garbage
    from talentfeed.wiring import check_settings

    check_settings(settings)  # what is wrong with the settings is said before the build
    with embedded.only_user_of(settings, shared=True):
        inherited = Inherited.take()
        listener = _listen(settings, inherited)
        # with a platform's database, which may be away, the service starts and builds beside its requests
        # and where snapshots travel, what another published is fetched
        embedded_only = settings.mysql_host is None and settings.snapshot_url is None
        if embedded_only and store.current(settings.snapshot_dir) is None:
            embedded.build_in_child(as_of)
        if greet:
            console.greet(settings)
        if settings.workers == 1 and settings.snapshot_url is None and inherited is None:
            _work_alone(settings, listener, as_of=as_of)
        else:
            sys.exit(_supervise(settings, listener, inherited, as_of=as_of))


def rehearse() -> None:
    """What a start does before it serves, done by a process that then ends."""
    settings = settings_module.load()
    from talentfeed.wiring import check_settings

    check_settings(settings)
    _import(_all_shared(settings))


def _work_alone(settings: Settings, listener: socket.socket, *, as_of: float | None) -> None:
    pulse = _pulse(settings)
    other: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if pulse is not None:
        other = beside(lambda lifeline: flush_beside(settings, pulse, lifeline=lifeline), listener=listener)
    with other:
        _work(settings, listener, as_of=as_of, pulse=pulse, prepared=_prepare(settings, SHARED))


def _pulse(settings: Settings) -> "Pulse | None":
    """Of a process that flushes beside those that serve; None: who serves flushes."""
    if not settings.flush_beside or settings.redis_host is None:
        return None
    from talentfeed.activity.beside import Pulse  # with it comes Redis' client, which most commands do without

    return Pulse()


def _supervise(settings: Settings, listener: socket.socket, inherited: Inherited | None, *, as_of: float | None) -> int:
    if (former := os.environ.pop(MEETING, None)) is not None:
        shutil.rmtree(former, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="talentfeed-") as meeting:
        os.environ[MEETING] = meeting  # a program that starts anew in this process removes it

        pulse, prepared = _pulse(settings), _prepare(settings, _all_shared(settings))

        def work(child: Child) -> None:
            _work(settings, listener, as_of=as_of, child=child, meeting=Path(meeting), pulse=pulse, prepared=prepared)

        def aside(other: Work, child: Child) -> None:
            prepared.forget()
            other(child)

        works: dict[str, Work] = {str(number): work for number in range(1, settings.workers + 1)}
        if settings.snapshot_url is not None:
            works["follower"] = functools.partial(aside, functools.partial(_follow, settings))
        if pulse is not None:
            works["flusher"] = functools.partial(aside, functools.partial(_flush, settings, listener, pulse))
        supervisor = Supervisor(listener, works, rehearse=_rehearse_in_child, inherited=inherited)
        return supervisor.run(settled=prepared.forget)


def _follow(settings: Settings, child: Child) -> None:
    from talentfeed.snapshot.follower import follow

    gc.enable()  # a start is without
    exchange = open_exchange(settings)
    child.ready()
    follow(exchange, settings.snapshot_dir, lifeline=child.lifeline, keep=KEPT_SNAPSHOTS)


def _flush(settings: Settings, listener: socket.socket, pulse: "Pulse", child: Child) -> None:
    listener.close()
    child.ready()
    flush_beside(settings, pulse, lifeline=child.lifeline)


def _work(
    settings: Settings,
    listener: socket.socket,
    *,
    as_of: float | None,
    child: Child | None = None,
    meeting: Path | None = None,
    pulse: "Pulse | None" = None,
    prepared: "Prepared | None" = None,
) -> None:
    import uvicorn

    from talentfeed.api.app import create_app
    from talentfeed.api.protocol import LimitedProtocol
    from talentfeed.api.siblings import Siblings
    from talentfeed.wiring import wire

    first = child is None or child.name == FIRST
    serving = None if prepared is None else prepared.take()
    service = wire(settings, as_of=as_of, pulse=pulse, first=first, serving=serving)
    del serving  # held by the service alone, or it would stay in memory when another snapshot came
    siblings = Siblings(meeting, child.name) if child is not None and meeting is not None else None

    class Server(uvicorn.Server):
        """Says when it is ready, and stops when its parent is gone."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            _settle()
            if child is not None:
                asyncio.get_running_loop().add_reader(child.lifeline, self._orphaned)
                child.ready()

        def _orphaned(self) -> None:
            assert child is not None  # noqa: S101 - else nobody listens to its lifeline
            asyncio.get_running_loop().remove_reader(child.lifeline)
            log.error("The parent process is gone; worker %s stops", child.name)
            self.should_exit = True

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.stops_soon()
            for server in self.servers:
                server.close()  # a connection that was taken a moment ago may still bring its request
            await asyncio.sleep(LINGER_SECONDS)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        create_app(service, siblings),
        loop="uvloop",
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=REQUEST_SECONDS,
    )
    # uvicorn ends gracefully and then raises the signal again; a stop that was asked for is a success
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    Server(config).run(sockets=[listener])


def _settle() -> None:
    """What is there now stays, so no collection looks at it again: one of everything stops all requests for 50 ms. A
    thread that computes, as one that takes a new snapshot, gives way to them after a millisecond instead of five."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)


def _all_shared(settings: Settings) -> Sequence[str]:
    """What every worker needs, before they are forked; uvicorn imports its parts by name when a server begins.

    Beside MySQL only who writes imports SQLAlchemy, a quarter of a second and 20 MB; the embedded database is asked by
    it, too.
    """
    database = "talentfeed.stores.database" if settings.mysql_host is None else "talentfeed.stores.mysql"
    return [*SHARED, "talentfeed.api.exposition", "talentfeed.stores.on_use", "fastapi.telemetry", database]


def _import(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)


def _prepare(settings: Settings, names: Sequence[str]) -> "Prepared":
    """Import these modules while a thread maps and checks the snapshot, most of which is no work of Python's."""
    from talentfeed.wiring import prepare

    with ThreadPoolExecutor(1) as beside_imports:
        prepared = beside_imports.submit(prepare, settings)
        _import(names)
        return prepared.result()


def _rehearse_in_child() -> None:
    command = [sys.executable, "-c", REHEARSAL]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        told = done.stderr.strip().splitlines()
        raise TalentFeedError(f"the new program does not start: {told[-1] if told else f'exit code {done.returncode}'}")


def _listen(settings: Settings, inherited: Inherited | None) -> socket.socket:
    wanted = (settings.api_host, settings.api_port)
    if inherited is not None:
        listener = socket.socket(fileno=inherited.listener)
        if listener.getsockname()[:2] == wanted:
            return listener
        listener.close()  # another address is configured now; former workers still hold this one
    listener = socket.socket(socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(wanted)
        listener.listen(BACKLOG)  # now, so that a second server on this port hears of it at once
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {settings.api_host}:{settings.api_port}: {error.strerror}. "
            "Stop what listens there, or set API_PORT to another port"
        ) from None
    return listener
