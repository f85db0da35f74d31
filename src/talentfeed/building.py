"""Making a snapshot: in this process, or the command that does it in a process of its own."""

import functools
import importlib.util
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from talentfeed import files
from talentfeed.connections import reached_tables
from talentfeed.contracts import Manifest, Snapshot
from talentfeed.errors import SnapshotError, TalentFeedError
from talentfeed.settings import Settings
from talentfeed.snapshot import outcomes, store
from talentfeed.snapshot.outcomes import BUILD, Outcome

log = logging.getLogger(__name__)

KEPT_SNAPSHOTS = 5  # versions that stay to roll back to, and to replay a feed from
_LIBRARIES = ("ibis", "duckdb", "pyarrow")


def build_command(*options: str, as_of: float | None) -> list[str] | None:
    """The command of a build in a child process; None where the build's libraries are not installed."""
    if any(importlib.util.find_spec(name) is None for name in _LIBRARIES):
        return None
    command = [sys.executable, "-m", "talentfeed", "build", *options]
    return command if as_of is None else [*command, "--as-of", str(as_of)]


def fetch_command() -> list[str]:
    """The command that fetches the newest published snapshot, in a child process."""
    return [sys.executable, "-m", "talentfeed", "snapshots", "fetch"]


def open_exchange(settings: Settings) -> Any:
    """The `snapshot.exchange.Exchange` of SNAPSHOT_URL; None where snapshots stay in DATA_DIR."""
    if settings.snapshot_url is None:
        return None
    from talentfeed.snapshot.exchange import Exchange

    return Exchange(settings.snapshot_url)


def build_snapshot(
    settings: Settings,
    *,
    as_of: float | None,
    force: bool,
    progress: Callable[[str, float], None],
    waits: Callable[[], None] = lambda: None,
) -> Any:
    """Read the platform's database and publish a snapshot; a `snapshot.build.Report`.

    One at a time: who comes while another builds waits (`waits` is called first) and shares what comes of it, unless it
    asks for something else. What comes of it is told to all who serve from the folder.
    Raises SourceError or BastionError where the database cannot be read, SnapshotError where the result does not pass
    its checks.
    """
    folder = settings.snapshot_dir
    try:
        with outcomes.turn(folder, waits=waits) as before:
            if before is not None and not force and before.as_of == as_of:
                return _shared(folder, before)
            return _build(settings, as_of=as_of, force=force, progress=progress)
    except OSError as error:
        raise SnapshotError(f"{folder}: cannot be written: {error.strerror}; the current snapshot stays") from error


def _shared(folder: Path, outcome: Outcome) -> Any:
    from talentfeed.snapshot.build import Report

    if outcome.error is not None or outcome.version is None:
        raise SnapshotError(outcome.error or "the build came to nothing")
    manifest = store.load(folder, outcome.version).manifest
    return Report(
        manifest=manifest,
        changed=outcome.changed,
        counts=manifest.counts,
        skipped=manifest.skipped,
        seconds=outcome.seconds,
        bytes=outcome.bytes,
    )


def source(settings: Settings) -> Any:
    """The platform's database, as a `snapshot.source.Source`."""
    from talentfeed.snapshot.source import Source

    return Source(
        database=functools.partial(reached_tables, settings),
        db_timezone=settings.db_timezone,
        resume_subject_type=settings.resume_subject_type,
        challenge_subject_type=settings.challenge_subject_type,
    )


def _build(settings: Settings, *, as_of: float | None, force: bool, progress: Callable[[str, float], None]) -> Any:
    from talentfeed.snapshot.build import build

    folder = settings.snapshot_dir
    try:
        exchange = open_exchange(settings)
        if exchange is not None:
            _have_current(exchange, folder)
            _have_weights(exchange, folder)
        report = build(
            source(settings),
            folder,
            now=time.time(),
            as_of=as_of,
            blacklist=settings.blacklist_path,
            media_base_url=settings.media_base_url,
            tolerance=settings.snapshot_tolerance,
            force=force,
            publish=functools.partial(_publish, exchange, force=force),
            progress=progress,
            forks=True,
        )
        store.prune(folder, keep=KEPT_SNAPSHOTS)
    except Exception as error:
        told = str(error) if isinstance(error, TalentFeedError) else f"{type(error).__name__}: {error}"
        outcomes.tell(folder, BUILD, Outcome(at=time.time(), error=told, as_of=as_of))
        raise
    outcomes.tell(
        folder,
        BUILD,
        Outcome(
            at=time.time(),
            version=report.manifest.version,
            as_of=as_of,
            changed=report.changed,
            seconds=report.seconds,
            bytes=report.bytes,
        ),
    )
    return report


def _have_current(exchange: Any, folder: Path) -> None:
    """What is compared with is what others serve now; where that cannot be read, a build mends it."""
    from talentfeed.snapshot.exchange import bring

    version = exchange.current()
    if version is None or version == store.try_current(folder):
        return
    try:
        bring(exchange, folder, keep=KEPT_SNAPSHOTS)
    except SnapshotError as error:
        log.warning("Nothing to compare with: %s", error)


def _have_weights(exchange: Any, folder: Path) -> None:
    """Those that were fitted last, wherever that was: a builder's own folder may end with its pod."""
    from talentfeed.snapshot import weights

    found = exchange.weights()
    if found is not None:
        files.replaced(folder / weights.FILE, found)


def _publish(exchange: Any, snapshot: Snapshot, folder: Path, *, force: bool) -> Manifest:
    """Where they travel, all others get it first: here it never gets ahead of what is published."""
    if exchange is None:
        return store.publish(snapshot, folder)
    manifest = store.write(snapshot, folder)
    exchange.push(folder, manifest.version, force=force)
    store.point(folder, manifest.version)
    exchange.prune(KEPT_SNAPSHOTS)
    return manifest
