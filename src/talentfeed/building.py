"""Making a snapshot: in this process, or the command that does it in a process of its own."""

import functools
import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

from talentfeed.connections import reached_tables
from talentfeed.settings import Settings
from talentfeed.snapshot import store

KEPT_SNAPSHOTS = 5  # versions that stay to roll back to, and to replay a feed from
_LIBRARIES = ("ibis", "duckdb", "pyarrow")


def build_command(*options: str, as_of: float | None) -> list[str] | None:
    """The command of a build in a child process; None where the build's libraries are not installed."""
    if any(importlib.util.find_spec(name) is None for name in _LIBRARIES):
        return None
    command = [sys.executable, "-m", "talentfeed", "build", *options]
    return command if as_of is None else [*command, "--as-of", str(as_of)]


def build_snapshot(
    settings: Settings, *, as_of: float | None, force: bool, progress: Callable[[str, float], None]
) -> Any:
    """Read the platform's database and publish a snapshot; a `snapshot.build.Report`.

    Raises SourceError or BastionError where the database cannot be read, SnapshotError where the result does not pass
    its checks.
    """
    from talentfeed.snapshot.build import build
    from talentfeed.snapshot.source import Source

    report = build(
        Source(
            database=functools.partial(reached_tables, settings),
            db_timezone=settings.db_timezone,
            resume_subject_type=settings.resume_subject_type,
            challenge_subject_type=settings.challenge_subject_type,
        ),
        settings.snapshot_dir,
        now=time.time(),
        as_of=as_of,
        blacklist=settings.blacklist_path,
        media_base_url=settings.media_base_url,
        force=force,
        progress=progress,
    )
    store.prune(settings.snapshot_dir, keep=KEPT_SNAPSHOTS)
    return report
