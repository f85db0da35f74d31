"""The process that flushes beside those that serve: forked from what they are forked from, of lower priority."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from talentfeed.errors import TalentFeedError
from talentfeed.settings import Settings
from talentfeed.tasks import ended

if TYPE_CHECKING:
    from talentfeed.activity.beside import Pulse

log = logging.getLogger(__name__)

NICE = 10  # what waits for the database may wait; what waits for a feed may not
STOP_SECONDS = 2.0  # to end what it is at; those who serve flush a last time themselves
RETRY_SECONDS = 2.0


def flush_beside(settings: Settings, pulse: "Pulse", *, lifeline: int) -> None:
    """Flush until told to stop, or until `lifeline` ends."""
    gc.enable()  # a start is without
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to the whole group: the parent decides
    asyncio.run(_flush(settings, pulse, lifeline))


async def _flush(settings: Settings, pulse: "Pulse", lifeline: int) -> None:
    from talentfeed.activity.beside import BEAT_SECONDS
    from talentfeed.connections import opened
    from talentfeed.wiring import make_flusher, prune

    stop, before = asyncio.Event(), pulse.counts
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(lifeline, stop.set)
    while not stop.is_set():
        try:
            async with opened(settings) as stores:
                flusher = make_flusher(settings, stores)
                await flusher.start()
                pruner = asyncio.create_task(prune(settings, stores), name="pruner")
                while not await _set_within(stop, BEAT_SECONDS):
                    pulse.beat(flusher, before)
                loop.remove_reader(lifeline)
                await ended(pruner)
                await flusher.stop(patience=STOP_SECONDS)
                pulse.beat(flusher, before)
        except TalentFeedError as error:  # of the bastion, which may be away
            log.warning("The flusher beside begins later: %s", error)
            await _set_within(stop, RETRY_SECONDS)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


@contextlib.contextmanager
def beside(work: Callable[[int], None], *, listener: socket.socket) -> Iterator[None]:
    """A process that does this work, given its lifeline, while the block lasts; the listener is not its.

    Before anything else of this process is started. It ends with this process, however that goes.
    """
    ours, parent = os.pipe(), os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours[1])
            listener.close()
            work(ours[0])
            code = 0
        except BaseException:
            log.exception("The process beside crashed")
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    os.close(ours[0])
    try:
        yield
    finally:
        if os.getpid() == parent:
            os.close(ours[1])
            with contextlib.suppress(ChildProcessError):
                _ended(pid)


def _ended(pid: int) -> None:
    """Wait for it; kill it where it does not obey. Raises ChildProcessError where it is gone already."""
    deadline = time.monotonic() + 2 * STOP_SECONDS
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.01)
