"""Keeps the snapshots of one machine up to date with an exchange. A process of its own, so that no request waits."""

import logging
import select
import time
from pathlib import Path

from talentfeed.errors import SnapshotError
from talentfeed.snapshot import outcomes, store
from talentfeed.snapshot.exchange import Exchange, bring
from talentfeed.snapshot.outcomes import FETCH, Outcome

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.5  # between looks at the exchange's pointer: one small read
LONGEST_PAUSE = 60.0


class Follower:
    """Looks, fetches, and comes back to what it could not fetch."""

    def __init__(self, exchange: Exchange, folder: Path, *, keep: int) -> None:
        """keep: versions that stay in `folder`."""
        self._exchange = exchange
        self._folder = folder
        self._keep = keep
        self._refused: str | None = None  # a version that could not be fetched
        self._fault: str | None = None
        self._pause = LOOK_SECONDS
        self._again = 0.0  # monotonic time from which on it is tried once more

    def look(self) -> str | None:
        """Fetch what is current there and not here. → why that is not possible now.

        The pointer is looked at each time, so that a better version is noticed at once; one that could not be fetched
        is fetched again after a pause that grows.
        """
        try:
            version = self._exchange.current()
            if version is None or version == store.try_current(self._folder):
                self._fault = None
            elif version != self._refused or time.monotonic() >= self._again:
                self._fetch(version)
        except SnapshotError as error:
            self._fault = str(error)
        except OSError as error:
            self._fault = f"{self._folder}: cannot be written: {error.strerror}"
        return self._fault

    def _fetch(self, version: str) -> None:
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if version == self._refused else LOOK_SECONDS
        self._refused, self._again = version, time.monotonic() + self._pause
        begun = time.perf_counter()
        bring(self._exchange, self._folder, keep=self._keep)
        self._refused = self._fault = None
        seconds = time.perf_counter() - begun
        log.info("Fetched snapshot %s from %s in %.1f s", version, self._exchange.shown, seconds)


def follow(exchange: Exchange, folder: Path, *, lifeline: int, keep: int) -> None:
    """Until `lifeline` ends: what is published there is made the current one here, within seconds.

    What cannot be fetched leaves the present one in place, and is told to those who serve.
    """
    follower = Follower(exchange, folder, keep=keep)
    last: str | None = ""  # so that the first look is told
    while True:
        fault = follower.look()
        if fault != last:
            last = fault
            if fault is not None:
                log.error("%s", fault)
            tell(folder, fault)
        if select.select([lifeline], [], [], LOOK_SECONDS)[0]:
            return


def tell(folder: Path, fault: str | None) -> None:
    """Let those who serve know; where not even that can be written, the log has it."""
    try:
        outcomes.tell(folder, FETCH, Outcome(at=time.time(), error=fault))
    except OSError as error:
        log.warning("%s: cannot be written: %s", folder / FETCH, error.strerror)
