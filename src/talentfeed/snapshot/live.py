"""The snapshot that is being served: loaded, swapped when another is published, rebuilt in a process of its own.

A swap is one assignment: requests under way end on the snapshot they began with.
"""

import asyncio
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from talentfeed.contracts import Snapshot
from talentfeed.errors import SnapshotError, TalentFeedError
from talentfeed.snapshot import outcomes, store

log = logging.getLogger(__name__)
Ranker = TypeVar("Ranker")
WATCH_SECONDS = 1.0
SPREAD = 0.05  # of an interval, at most: so that not all processes find at the same moment that a build is due


@dataclass(frozen=True, slots=True)
class Serving(Generic[Ranker]):
    """What a request reads: one snapshot and what was derived from it."""

    snapshot: Snapshot
    ranker: Ranker
    loaded_at: float  # seconds since 1970, UTC


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and since when (seconds since 1970, UTC)."""

    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What a reload did."""

    version: str
    changed: bool  # False: the input had not changed
    seconds: float
    counts: dict[str, int]
    skipped: dict[str, int]


class LiveSnapshot(Generic[Ranker]):
    """Holds what is served and keeps it up to date with the folder's pointer."""

    def __init__(
        self,
        folder: Path,
        *,
        prepare: Callable[[Snapshot], Ranker],
        build_command: Sequence[str] | None,
        fetched: bool = False,
    ) -> None:
        """`prepare` derives what ranks from a snapshot. `build_command` builds, or fetches, in a child process and
        prints its report as the last line of stdout; None where the build's libraries are not installed. `fetched`:
        another process brings snapshots here, and tells what hinders it."""
        self._folder = folder
        self._prepare = prepare
        self._build_command = build_command
        self._building: asyncio.Task[None] | None = None
        self._swapping = threading.Lock()
        self.serving: Serving[Ranker] | None = None
        self.built: outcomes.Outcome | None = None  # how the last build went, whoever ran it
        self.build_error: Fault | None = None  # of the last build; the next one that ends well clears it
        self.refused: Fault | None = None  # why the published snapshot is not served
        self.fetch_error: Fault | None = None  # why what is published elsewhere is not here
        self._fetched = fetched
        self._heard: str | None = None  # the id of the last build's outcome
        self.reloads = 0
        self.failures = 0

    def adopt(self, serving: "Serving[Ranker]") -> None:
        """Serve what another of this process has loaded, such as before a fork."""
        self.serving = serving

    def load(self) -> bool:
        """Map the published snapshot where it is not yet served. True if it is a new one.

        Its files are compared with their checksums: a damaged one is never served, nor does it replace a good one.
        Raises SnapshotError if it cannot be served; what was served before goes on.
        """
        version = store.current(self._folder)
        if version is None or self._serves(version):
            self._refused(None)
            return False
        self._serve(version)
        self._refused(None)
        return True

    def try_load(self) -> bool:
        """As `load`, but a snapshot that cannot be served is logged and kept in `refused`.

        Where nothing is served yet, the newest version that is whole is served instead.
        """
        try:
            return self.load()
        except SnapshotError as error:
            self._refused(str(error))
        return self.serving is None and self._fall_back()

    def _fall_back(self) -> bool:
        for version in reversed(store.versions(self._folder)):
            try:
                self._serve(version)
            except SnapshotError as error:
                log.error("%s", error)
            else:
                return True
        return False

    def _serves(self, version: str) -> bool:
        return self.serving is not None and version == self.serving.snapshot.manifest.version

    def _serve(self, version: str) -> None:
        snapshot = store.load(self._folder, version, verify=True)
        with self._swapping:
            try:
                ranker = self._prepare(snapshot)
            except (ValueError, LookupError, ArithmeticError, TalentFeedError) as error:
                raise SnapshotError(
                    f"snapshot {version} cannot be ranked from: {type(error).__name__}: {error}"
                ) from error
            self.serving = Serving(snapshot, ranker, time.time())
        log.info("Serving snapshot %s: %s", version, _listed(dict(snapshot.manifest.counts)))

    def prepare_again(self) -> None:
        """Derive anew what ranks from the snapshot that is served: something else than it has changed.

        Raises what `prepare` raises; then what was served before goes on.
        """
        with self._swapping:
            if self.serving is not None:
                former = self.serving
                self.serving = Serving(former.snapshot, self._prepare(former.snapshot), former.loaded_at)

    async def watch(self) -> None:
        """Serve what others publish, within seconds. Runs until cancelled, whatever goes wrong in between."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await asyncio.to_thread(self.hear)
                await asyncio.to_thread(self.try_load)
            except Exception as error:
                self._refused(f"{type(error).__name__}: {error}")
                log.debug("Looking for a snapshot failed", exc_info=True)

    def hear(self) -> None:
        """Take note of what the last build came to, whoever ran it, and of what hinders fetching."""
        built = outcomes.ask(self._folder, outcomes.BUILD)
        if built is not None and built.id != self._heard:
            self._heard, self.built = built.id, built
            if built.error is None:
                self.build_error = None
            else:
                self._build_failed(f"The build failed: {built.error}", since=built.at)
        fetched = outcomes.ask(self._folder, outcomes.FETCH) if self._fetched else None
        self.fetch_error = None if fetched is None or fetched.error is None else Fault(fetched.error, fetched.at)

    async def reload_every(self, seconds: float) -> None:
        """Rebuild so long after the last build, whoever ran it. Runs until cancelled, whatever goes wrong in between.

        So any number of processes may do this on one folder: the first that finds a build due does it for all.
        """
        last = time.time()  # a start is no reason to build at once
        while True:
            await asyncio.sleep(max(0.0, last + seconds - time.time()) + seconds * SPREAD * random.random())
            built = await asyncio.to_thread(outcomes.ask, self._folder, outcomes.BUILD)
            if built is not None and last < built.at <= time.time():
                last = built.at
                continue
            last = time.time()
            try:
                await self.reload()
            except SnapshotError:
                continue  # logged and kept by reload itself
            except Exception as error:
                self._build_failed(f"{type(error).__name__}: {error}")
                log.debug("A reload failed", exc_info=True)

    async def reload(self) -> ReloadResult:
        """Build in a child process, then serve the result. Reloads asked for meanwhile share it.

        Raises SnapshotError with the reason; the snapshot served before goes on.
        """
        started = time.perf_counter()
        before = self.serving.snapshot.manifest.version if self.serving else None
        if self._building is None or self._building.done():
            self._building = asyncio.create_task(self._build_and_load())
        await asyncio.shield(self._building)
        assert self.serving is not None  # noqa: S101 - _build_and_load raises otherwise
        manifest = self.serving.snapshot.manifest
        return ReloadResult(
            version=manifest.version,
            changed=manifest.version != before,
            seconds=round(time.perf_counter() - started, 3),
            counts=dict(manifest.counts),
            skipped=dict(manifest.skipped),
        )

    async def close(self) -> None:
        """End a build under way."""
        if self._building is not None:
            self._building.cancel()
            await asyncio.gather(self._building, return_exceptions=True)

    async def _build_and_load(self) -> None:
        heard = self._heard
        try:
            if self._build_command is not None:
                await self._build(self._build_command)
        except (SnapshotError, OSError) as error:
            await asyncio.to_thread(self.hear)
            if self._heard == heard or self.build_error is None:  # it ended before it could tell why
                self._build_failed(str(error))
            assert self.build_error is not None  # noqa: S101 - just set
            raise SnapshotError(self.build_error.reason) from error
        await asyncio.to_thread(self.hear)
        self.build_error = None
        try:
            await asyncio.to_thread(self.load)
        except SnapshotError as error:
            self._refused(str(error))
            raise
        if self.serving is None:
            raise SnapshotError(f"No snapshot in {self._folder}; make one with: talentfeed build")
        self.reloads += 1

    async def _build(self, command: Sequence[str]) -> None:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await child.communicate()
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        if child.returncode != 0:
            reason = err.decode(errors="replace").strip().splitlines()
            raise SnapshotError(f"The build failed: {reason[-1] if reason else f'exit code {child.returncode}'}")
        try:
            report: dict[str, Any] = json.loads(out.decode().strip().splitlines()[-1])
            log.info("Built snapshot %s in %.1f s", report["version"], report["seconds"])
        except (ValueError, LookupError) as error:
            raise SnapshotError(f"The build ended without an error but with no report: {out[-200:]!r}") from error

    def _build_failed(self, reason: str, *, since: float | None = None) -> None:
        self.failures += 1
        if self.build_error is None or self.build_error.reason != reason:
            log.error("%s", reason)
            self.build_error = Fault(reason, time.time() if since is None else since)

    def _refused(self, reason: str | None) -> None:
        if reason is None:
            self.refused = None
        elif self.refused is None or self.refused.reason != reason:
            self.failures += 1
            log.error("%s", reason)
            self.refused = Fault(reason, time.time())


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
