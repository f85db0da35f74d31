"""Flushing in a process beside those that serve, so that no request waits for it; and in theirs while it is silent."""

import asyncio
import logging
import math
import mmap
import struct
import time
from typing import Protocol

from talentfeed.activity.flush import Flusher, FlushReport

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
SILENT_SECONDS = 10.0  # after which the process beside counts as gone
_FORM = struct.Struct("<6d")  # monotonic time of the last beat, then `_COUNTED`, then the oldest that waits
_COUNTED = ("flushed", "batches", "failures", "quarantined")


class Flushed(Protocol):
    """What a flusher has done so far."""

    @property
    def flushed(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def quarantined(self) -> int: ...
    @property
    def oldest_waiting(self) -> float | None:
        """When the oldest activity that waits began to, seconds since 1970 UTC; None: nothing waits."""


class Pulse:
    """Memory that a process and those it forks share: the one beside beats, the others look."""

    def __init__(self) -> None:
        """Before the fork. It counts as beating for a while, in which the process beside begins."""
        self._memory = mmap.mmap(-1, _FORM.size)
        self._write(time.monotonic(), 0, 0, 0, 0, math.nan)

    def beat(self, flusher: Flushed, before: "tuple[int, ...]") -> None:
        """A sign of life. `before`: what was counted when this process began, by one that went before it."""
        counts = (getattr(flusher, name) + base for name, base in zip(_COUNTED, before, strict=True))
        self._write(time.monotonic(), *counts, math.nan if flusher.oldest_waiting is None else flusher.oldest_waiting)

    @property
    def beats(self) -> bool:
        """Whether there was a sign of life lately."""
        at: float = _FORM.unpack_from(self._memory)[0]
        return time.monotonic() - at < SILENT_SECONDS

    @property
    def counts(self) -> tuple[int, ...]:
        """Flushed, batches, failures, quarantined."""
        return tuple(map(int, _FORM.unpack_from(self._memory)[1:5]))

    @property
    def oldest_waiting(self) -> float | None:
        """As of a flusher."""
        at: float = _FORM.unpack_from(self._memory)[5]
        return None if math.isnan(at) else at

    def _write(self, *values: float) -> None:
        _FORM.pack_into(self._memory, 0, *values)


class StandIn:
    """A flusher that leaves flushing to the process beside, as long as that beats."""

    def __init__(self, flusher: Flusher, pulse: Pulse, *, tells: bool) -> None:
        """tells: what the process beside has done is counted here. One of those that share it does that."""
        self._flusher = flusher
        self._pulse = pulse
        self._tells = tells
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look after it in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._look(), name="flusher's stand-in")

    async def stop(self, *, patience: float = 5.0) -> FlushReport:
        """End that, and flush everybody a last time, as a flusher does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=patience / 2)
            self._task = None
        return await self._flusher.stop(patience=patience)

    async def flush_all(self) -> FlushReport:
        """Everything that waits now: any number of flushers may do so."""
        return await self._flusher.flush_all()

    async def _look(self) -> None:
        own: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                if not self._pulse.beats and own is None:
                    log.error("The flusher beside gives no sign of life; this process flushes meanwhile")
                    own = asyncio.create_task(self._flusher.run(), name="flusher")
                elif self._pulse.beats and own is not None:
                    log.info("The flusher beside is back")
                    own.cancel()
                    own = None
        finally:
            if own is not None:
                own.cancel()

    @property
    def flushed(self) -> int:
        """Activities written to `activity_log`."""
        return self._flusher.flushed + self._told(0)

    @property
    def batches(self) -> int:
        """They were written in."""
        return self._flusher.batches + self._told(1)

    @property
    def failures(self) -> int:
        """Flushes that failed."""
        return self._flusher.failures + self._told(2)

    @property
    def quarantined(self) -> int:
        """Activities set aside."""
        return self._flusher.quarantined + self._told(3)

    @property
    def oldest_waiting(self) -> float | None:
        """When the oldest activity that waits began to, seconds since 1970 UTC."""
        return self._pulse.oldest_waiting if self._pulse.beats else self._flusher.oldest_waiting

    def _told(self, place: int) -> int:
        return self._pulse.counts[place] if self._tells else 0
