"""Database → published snapshot: every stage in order. Runs in a process of its own, never in one that serves."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talentfeed.contracts import Manifest, Snapshot
from talentfeed.errors import SnapshotError
from talentfeed.snapshot import checks, signals, store, weights
from talentfeed.snapshot.apart import apart
from talentfeed.snapshot.plans import Plans
from talentfeed.snapshot.source import TABLES, Source, ahead, read

if TYPE_CHECKING:
    from talentfeed.snapshot.export import Exported
    from talentfeed.snapshot.exposures import Log
    from talentfeed.snapshot.frames import Frames
    from talentfeed.snapshot.workbench import Workbench

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
Publish = Callable[[Snapshot, Path], Manifest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a build did."""

    manifest: Manifest
    changed: bool  # False: this very version was current already
    counts: Mapping[str, int]
    skipped: Mapping[str, int]  # `table.kind` -> values or rows left out
    seconds: Mapping[str, float]  # by stage
    bytes: int  # size of the snapshot's files


def build(
    source: Source,
    snapshot_dir: Path,
    *,
    now: float,
    as_of: float | None = None,
    blacklist: Path | None = None,
    media_base_url: str,
    tolerance: float = 0.5,
    force: bool = False,
    publish: Publish = store.publish,
    progress: Progress = lambda _stage, _done: None,
    forks: bool = False,
) -> Report:
    """Read, clean, derive, pack, find the signals, check and publish; the signals' blend is that of the last fit.

    now: the wall clock in seconds UTC. as_of: the catalogue's day; later rows are left out. tolerance: the share by
    which a count may fall; force: by any. publish: writes the snapshot and makes it the current one. progress: called
    with each stage's name and 0.0 when it begins, 1.0 when it is done, and with shares in between while tables come.
    forks: the signals are made in a process of their own; of the same bytes.
    Raises SourceError (the database) or SnapshotError (the checks, the disk); the current snapshot then stays.
    """
    stages = _Stages(progress)
    with (
        # the signals, beside what is left, which is mostly work of one processor
        apart(signals.build, warm=signals.warm, forks=forks) as begin,
        _cleaned(source, stages, now=now, as_of=as_of, blacklist=blacklist, known=Plans.of(snapshot_dir)) as (
            bench,
            frames,
        ),
    ):
        from talentfeed.snapshot import exposures
        from talentfeed.snapshot.derived import derive
        from talentfeed.snapshot.pack import pack

        with stages("derive"):
            chosen = weights.newest(snapshot_dir)
            shown = exposures.log(bench)
            coming = begin(shown.rows, shown.n_users, shown.n_videos, clock=frames.watermark, blend=chosen.blend)
            n_texts = derive(bench)
        with stages("pack"):
            packed = pack(bench, frames, n_texts, media_base_url=media_base_url, as_of=as_of)
        with stages("signals"):
            manifest = replace(packed.manifest, weights=chosen.name)
            snapshot = store.seal(replace(packed, manifest=manifest, signals=coming()))
    with stages("check"):
        last = _last(snapshot_dir)
        checks.check(snapshot, last, shrink=tolerance, force=force)
    with stages("publish"):
        manifest = publish(snapshot, snapshot_dir)
    size = sum(file.stat().st_size for file in (snapshot_dir / manifest.version).iterdir())
    log.info("snapshot %s: %s", manifest.version, ", ".join(f"{n} {kind}" for kind, n in manifest.counts.items()))
    return Report(
        manifest=manifest,
        changed=last is None or last.version != manifest.version,
        counts=manifest.counts,
        skipped=manifest.skipped,
        seconds=stages.seconds,
        bytes=size,
    )


def exposed(
    source: Source,
    *,
    now: float,
    as_of: float | None = None,
    blacklist: Path | None = None,
    progress: Progress = lambda _stage, _done: None,
) -> "tuple[Log, Snapshot]":
    """What a build makes its signals of, and the snapshot that it makes but for these and its version.

    Nothing is written; arguments and errors as `build`.
    """
    with _cleaned(source, _Stages(progress), now=now, as_of=as_of, blacklist=blacklist) as (bench, frames):
        from talentfeed.snapshot import exposures
        from talentfeed.snapshot.derived import derive
        from talentfeed.snapshot.pack import pack

        return exposures.log(bench), pack(bench, frames, derive(bench), media_base_url="", as_of=as_of)


def exported(
    source: Source,
    folder: Path,
    *,
    now: float,
    as_of: float | None = None,
    blacklist: Path | None = None,
    progress: Progress = lambda _stage, _done: None,
) -> "Exported":
    """Write what a build reads as a dataset folder. Arguments and errors as `build`; DatasetError as `export`."""
    with _cleaned(source, _Stages(progress), now=now, as_of=as_of, blacklist=blacklist) as (bench, frames):
        from talentfeed.snapshot.export import export

        return export(bench, frames, folder, progress=progress)


class _Stages:
    """Says when each begins and ends, and keeps how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.progress(name, 0.0)
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun
        self.progress(name, 1.0)


@contextmanager
def _cleaned(
    source: Source,
    stages: _Stages,
    *,
    now: float,
    as_of: float | None,
    blacklist: Path | None,
    known: Plans | None = None,
) -> "Iterator[tuple[Workbench, Frames]]":
    """The first two stages; the engine stays open so long as this does."""
    with ExitStack() as open_until_done:
        open_until_done.enter_context(_without("pandas"))
        with stages("read"), source.database() as database, ahead(read(database)) as arriving:
            # ADBC has it by now, which needs it; the engine reads streams of batches more quickly than its datasets
            open_until_done.enter_context(_without("pyarrow.dataset"))
            # the engine takes its time to import: time in which the first tables come
            from talentfeed.snapshot.frames import clean, take
            from talentfeed.snapshot.workbench import open_workbench

            bench = open_until_done.enter_context(open_workbench(source, now=now, as_of=as_of, known=known))
            before: Future[Any] | None = None
            for number, (name, rows) in enumerate(arriving, 1):
                if before is not None:
                    before.result()  # of what is read, memory holds two tables
                before = bench.newest
                take(bench, name, rows)
                stages.progress("read", number / (len(TABLES) + 1))
                del rows  # what was taken of it is smaller
        with stages("clean"):
            frames = clean(bench, blacklist=blacklist)
        yield bench, frames


class _Unused:
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name == self.name:
            raise ModuleNotFoundError("not while a snapshot is built", name=name)


@contextmanager
def _without(unused: str) -> Iterator[None]:
    """A module that pyarrow and DuckDB import only to see whether they were given something of it; half a second."""
    finder = _Unused(unused)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _last(snapshot_dir: Path) -> Manifest | None:
    try:
        return store.load(snapshot_dir).manifest
    except SnapshotError as error:
        log.info("nothing to compare with: %s", error)
        return None
