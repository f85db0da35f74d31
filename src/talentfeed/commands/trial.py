"""What judging on a dataset folder needs: a snapshot of its training part, under a blend fitted within it."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talentfeed.contracts import NO_DATE, Floats, Ints, Snapshot
from talentfeed.demo import folder as folders
from talentfeed.demo.folder import Dataset
from talentfeed.errors import DatasetError
from talentfeed.evaluation import protocol
from talentfeed.evaluation.protocol import Split
from talentfeed.evidence import Blend, Interactions
from talentfeed.learning import blend as blends
from talentfeed.learning.retrieval import viewer_columns
from talentfeed.learning.suiting import Suiting
from talentfeed.snapshot import signals as built

if TYPE_CHECKING:
    from talentfeed.snapshot.source import Source

Progress = Callable[[str, float], None]


@contextmanager
def training_snapshot(
    source: Path, cut: float | None, *, keep_undated: bool, seed: int, progress: Progress
) -> Iterator[tuple[Snapshot, int]]:
    """The snapshot that a build makes of a folder's rows before the cut, and how many rows stayed out; while it lasts.

    It goes the way of all data: import, fit, build, publish, load. What is judged on is not in the folder that is
    imported, so the weights know nothing of it either.
    """
    from talentfeed.snapshot import store, weights
    from talentfeed.snapshot.build import build, exposed

    with tempfile.TemporaryDirectory(prefix="talentfeed-trial-") as place:
        there, now = Path(place), time.time()
        dropped = folders.write_training(source, there / "training", cut, keep_undated=keep_undated)
        database, as_of = imported(there / "training", there / "training.db", progress=progress)
        log, plain = exposed(database, now=now, as_of=as_of, progress=progress)
        blend = fit(log.rows, plain, seed=seed, progress=progress)
        weights.leave(there / "snapshots", blend, rows=len(log.rows.at), until=plain.manifest.watermark)
        build(
            database,
            there / "snapshots",
            now=now,
            as_of=as_of,
            media_base_url="https://media.example.org",
            progress=progress,
        )
        yield store.load(there / "snapshots"), dropped


def imported(folder: Path, place: Path, *, progress: Progress) -> tuple["Source", float | None]:
    """A dataset folder in a database made of it at `place`, and its day."""
    from talentfeed.demo.dataset import import_dataset
    from talentfeed.snapshot.source import Source, open_sqlite

    report = import_dataset(folder, place, progress=progress)
    return Source(database=lambda: open_sqlite(place)), report.as_of


def fit(log: Interactions, plain: Snapshot, *, seed: int, progress: Progress) -> Blend:
    """The blend, fitted on the last fifth of a training log with the signals of the rest.

    `plain`: the snapshot of the same users and videos; its signals are not looked at. Where rows have no time, a fifth
    drawn at random stands in. Raises LogError where nothing was liked there.
    """
    n_users, n_videos = len(plain.users.id), len(plain.videos.id)
    inner = inner_split(log, seed)
    progress("signals to fit on", 0.0)
    known = built.build(inner.training, n_users, n_videos, clock=inner.cut, seed=seed)
    progress("signals to fit on", 1.0)
    job = protocol.task(inner, n_users, n_videos)

    suiting = Suiting(plain, before=inner.cut, unknown=job.positives)

    def events(user: int) -> Ints:
        return known.event_video[known.event_start[user] : known.event_start[user + 1]].astype(np.int64)

    def by_taste(user: int, videos: Ints) -> Floats | None:
        return suiting.by_taste(user, videos) if len(events(user)) else None

    return blends.fit(
        known.items,
        lambda user: viewer_columns(known, events(user)),
        dict(job.positives),
        job.shown.__getitem__,
        by_taste=by_taste,
        by_profile=suiting.by_profile,
        seed=seed,
        progress=lambda done: progress("weights", done),
    )


def inner_split(log: Interactions, seed: int) -> Split:
    """A training log's own last fifth by time; without times, a fifth drawn at random, set apart by a made-up time."""
    dated = log.at != NO_DATE
    if dated.any():
        return protocol.last_share(_of(log, ~dated), _of(log, dated))
    late = np.random.default_rng(seed).random(len(log.at)) < protocol.TEST_SHARE
    if not late.any():
        raise DatasetError("too few interactions to fit weights on; accepted: some dozens at the least")
    test = _of(log, late)
    return Split(
        training=_of(log, ~late),
        test=Interactions(user=test.user, video=test.video, at=np.ones(len(test.at)), reward=test.reward),
        cut=1.0,
    )


def split(data: Dataset, test: Path | None) -> Split:
    """The folder's training part and what is judged on: the later period given, or its own last fifth."""
    if test is None:
        return protocol.last_share(data.history, data.interactions)
    return protocol.with_test(data.history, data.interactions, folders.read_interactions(test, data.users, data.videos))


def _of(log: Interactions, keep: np.ndarray) -> Interactions:
    return Interactions(user=log.user[keep], video=log.video[keep], at=log.at[keep], reward=log.reward[keep])
