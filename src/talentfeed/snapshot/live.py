"""The snapshot that is being served: loaded, swapped when another is published, rebuilt in a process of its own.

A swap is one assignment: requests under way end on the snapshot they began with.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from talentfeed.contracts import Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.snapshot import store

log = logging.getLogger(__name__)
Ranker = TypeVar("Ranker")
WATCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Serving(Generic[Ranker]):
    """What a request reads: one snapshot and what was derived from it."""

    snapshot: Snapshot
    ranker: Ranker
    loaded_at: float  # seconds since 1970, UTC


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
        self, folder: Path, *, prepare: Callable[[Snapshot], Ranker], build_command: Sequence[str] | None
    ) -> None:
        """`prepare` derives what ranks from a snapshot. `build_command` builds in a child process and prints its
        report as the last line of stdout; None where the build's libraries are not installed."""
        self._folder = folder
        self._prepare = prepare
        self._build_command = build_command
        self._building: asyncio.Task[None] | None = None
        self.serving: Serving[Ranker] | None = None
        self.last_error: str | None = None  # why the newest snapshot or build was refused
        self.error_since: float | None = None
        self.reloads = 0
        self.failures = 0

    def load(self) -> bool:
        """Map the published snapshot where it is not yet served. True if it is a new one.

        Raises SnapshotError if it cannot be served; what was served before goes on.
        """
        version = store.current(self._folder)
        if version is None or (self.serving is not None and version == self.serving.snapshot.manifest.version):
            return False
        snapshot = store.load(self._folder, version)
        self.serving = Serving(snapshot, self._prepare(snapshot), time.time())
        self.last_error = self.error_since = None
        log.info("Serving snapshot %s: %s", version, _listed(dict(snapshot.manifest.counts)))
        return True

    def try_load(self) -> bool:
        """As `load`, but a snapshot that cannot be served is logged and kept in `last_error`."""
        try:
            return self.load()
        except SnapshotError as error:
            self._failed(str(error))
            return False

    async def watch(self) -> None:
        """Serve what others publish, within seconds. Runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.to_thread(self.try_load)

    async def reload_every(self, seconds: float) -> None:
        """Rebuild at this interval. Runs until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            with contextlib.suppress(SnapshotError):  # logged and kept in last_error by reload itself
                await self.reload()

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

    async def _build_and_load(self) -> None:
        try:
            if self._build_command is not None:
                await self._build(self._build_command)
            await asyncio.to_thread(self.load)
            if self.serving is None:
                raise SnapshotError(f"No snapshot in {self._folder}; make one with: talentfeed build")
        except SnapshotError as error:
            self._failed(str(error))
            raise
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

    def _failed(self, reason: str) -> None:
        self.failures += 1
        if reason != self.last_error:
            log.error("%s", reason)
            self.last_error, self.error_since = reason, time.time()


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
