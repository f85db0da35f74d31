"""A dataset folder → arrays to fit and judge on, and the part of it before a cut → a folder of its own."""

import csv
import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from talentfeed.contracts import NO_DATE, Bools, Ints
from talentfeed.demo import csvfile
from talentfeed.demo.csvfile import Column
from talentfeed.errors import DatasetError
from talentfeed.evidence import Interactions

BLOCK = "in_small_matrix"  # 1: of the block whose every pair is known
Progress = Callable[[str, float], None]


def _order(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("it is no number") from None


_USERS = (csvfile.identity("id"), csvfile.flag(BLOCK))
_INTERACTIONS = (
    csvfile.identity("user_id"),
    csvfile.identity("video_id"),
    csvfile.time("timestamp", required=True),
    csvfile.share("reward", required=True),
)
_HISTORY = (
    csvfile.identity("user_id"),
    csvfile.identity("video_id"),
    Column("seq", _order, "a number, which orders a user's rows", required=True),
    csvfile.share("reward", required=True),
)
_PAIRS = (csvfile.identity("user_id"), csvfile.identity("video_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A folder's rows by ascending ids; rows of unknown users or videos are left out."""

    users: Ints  # (users,) ids
    videos: Ints  # (videos,) ids
    block_users: Bools  # (users,)
    block_videos: Bools  # (videos,)
    history: Interactions  # earlier rows without clock time, each user's in order
    interactions: Interactions  # oldest first, those without a time before them

    @property
    def dated(self) -> bool:
        """Whether any interaction has a time."""
        return bool((self.interactions.at != NO_DATE).any())


def read(folder: Path, *, progress: Progress = lambda _stage, _done: None) -> Dataset:
    """Read a folder. Raises DatasetError, which names file, line, column, value, reason and what is accepted."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; accepted: a folder with users.csv.gz and so on")
    users, block_users = _listed(folder / "users.csv.gz")
    videos, block_videos = _listed(folder / "videos.csv.gz")
    history = _none()
    if (folder / "history.csv.gz").exists():
        rows = csvfile.read(folder / "history.csv.gz", _HISTORY, progress=lambda done: progress("history", done))
        history = _ordered(users, videos, [(u, v, NO_DATE, r or 0.0, seq) for _, (u, v, seq, r) in rows], by_user=True)
    interactions = read_interactions(folder / "interactions.csv.gz", users, videos, progress=progress)
    return Dataset(
        users=users,
        videos=videos,
        block_users=block_users,
        block_videos=block_videos,
        history=history,
        interactions=interactions,
    )


def read_interactions(
    path: Path, users: Ints, videos: Ints, *, progress: Progress = lambda _stage, _done: None
) -> Interactions:
    """A file in the format of `interactions.csv.gz`, by rows of these ids, oldest first. Raises DatasetError."""
    rows = csvfile.read(path, _INTERACTIONS, progress=lambda done: progress(path.name.split(".")[0], done))
    found = []
    for _, (user, video, at, reward) in rows:
        time = NO_DATE if at is None else datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
        found.append((user, video, time, reward or 0.0, time))
    return _ordered(users, videos, found)


def read_block(folder: Path, dataset: Dataset) -> Bools:
    """The fully observed block, (block users, block videos): whether each likes each.

    Raises DatasetError where the folder has no such block, or a pair is outside it.
    """
    if not (dataset.block_users.any() and dataset.block_videos.any()):
        raise DatasetError(f"{folder}: no user or no video has {BLOCK} 1; a fully observed block is needed")
    users, videos = dataset.users[dataset.block_users], dataset.videos[dataset.block_videos]
    liked = np.zeros((len(users), len(videos)), np.bool_)
    path = folder / "full_feedback.csv.gz"
    pairs = [pair for _, pair in csvfile.read(path, _PAIRS)]
    one, other = (np.array(column, np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    row, column = _rows(users, one), _rows(videos, other)
    if (row < 0).any() or (column < 0).any():
        wrong = int(np.argmax((row < 0) | (column < 0)))
        raise DatasetError(f"{path}: user {one[wrong]} and video {other[wrong]} are not both of the block ({BLOCK} 1)")
    liked[row, column] = True
    return liked


def write_training(source: Path, target: Path, cut: float | None, *, keep_undated: bool = False) -> int:
    """Copy a folder but for what is judged on: interactions not known to be before the cut, tests, full feedback.

    `cut` in seconds UTC; None: all interactions stay. `keep_undated`: those without a time are known to be before it.
    Returns how many interactions stay out.
    """
    target.mkdir(parents=True)
    for name in ("users", "videos", "history"):
        if (source / f"{name}.csv.gz").exists():
            shutil.copyfile(source / f"{name}.csv.gz", target / f"{name}.csv.gz")
    if cut is None:
        shutil.copyfile(source / "interactions.csv.gz", target / "interactions.csv.gz")
        return 0
    dropped = 0
    with (
        gzip.open(source / "interactions.csv.gz", "rt", encoding="utf-8-sig", newline="") as file,
        gzip.open(target / "interactions.csv.gz", "wt", encoding="utf-8", newline="", compresslevel=1) as kept,
    ):
        reader, writer = csv.DictReader(file), csv.writer(kept)
        header = list(reader.fieldnames or ())
        writer.writerow(header)
        for row in reader:
            at = csvfile.parse_time(row["timestamp"])
            early = keep_undated if at is None else datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() < cut
            if early:
                writer.writerow([row[name] for name in header])
            else:
                dropped += 1
    return dropped


def _listed(path: Path) -> tuple[Ints, Bools]:
    rows = sorted((number, bool(block)) for _, (number, block) in csvfile.read(path, _USERS))
    ids = np.array([row[0] for row in rows], np.int64)
    if len(np.unique(ids)) < len(ids):
        raise DatasetError(f"{path}: an id stands twice; accepted: each id once")
    return ids, np.array([row[1] for row in rows], np.bool_)


def _ordered(
    users: Ints, videos: Ints, rows: list[tuple[int, int, float, float, float]], *, by_user: bool = False
) -> Interactions:
    """(user id, video id, time, reward, order) → by rows of the ids, in that order."""
    if not rows:
        return _none()
    table = np.array([row[2:] for row in rows], np.float64)
    user = _rows(users, np.array([row[0] for row in rows], np.int64))
    video = _rows(videos, np.array([row[1] for row in rows], np.int64))
    known = np.flatnonzero((user >= 0) & (video >= 0))
    keys = (table[known, 2], user[known]) if by_user else (table[known, 2],)
    kept = known[np.lexsort(keys)]
    return Interactions(
        user=user[kept].astype(np.int32),
        video=video[kept].astype(np.int32),
        at=table[kept, 0],
        reward=table[kept, 1],
    )


def _none() -> Interactions:
    return Interactions(user=np.zeros(0, np.int32), video=np.zeros(0, np.int32), at=np.zeros(0), reward=np.zeros(0))


def _rows(ids: Ints, wanted: Ints) -> Ints:
    """The row of each id, -1 where it is not listed."""
    if not len(ids):
        return np.full(len(wanted), -1)
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)
