"""The platform's people, videos and log → a dataset folder (docs/data-import.md), so that policies can be judged on it.

What has no time stays out of the log: nobody knows on which side of a cut in time it belongs. Nor do connections,
flows and totals go with it: the format has none.
"""

import csv
import gzip
import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from talentfeed.errors import DatasetError
from talentfeed.snapshot.arriving import KINDS
from talentfeed.snapshot.frames import Frames
from talentfeed.snapshot.workbench import Workbench
from talentfeed.times import iso

_PROFILE = ("skills", "knowledge", "tools", "languages")  # what a user's are called, in the same order

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """How many rows were written, and how many of the log stay out because they have no time."""

    users: int
    videos: int
    interactions: int
    without_time: int


def export(
    bench: Workbench, frames: Frames, folder: Path, *, progress: Progress = lambda _stage, _done: None
) -> Exported:
    """Write the folder, whole or not at all; it must not be there yet.

    Raises DatasetError where it is, or cannot be written.
    """
    if folder.exists():
        raise DatasetError(f"{folder}: it is there already; name a folder that is to be made")
    bench.step("rows")
    beside = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        beside.mkdir(parents=True)
        users = _write(beside / "users.csv.gz", ("id", "city", *_PROFILE), _users(bench, frames))
        progress("users", 1.0)
        videos = _write(
            beside / "videos.csv.gz",
            ("id", "user_id", "created_at", *KINDS, "role_objectives", "description"),
            _videos(bench),
        )
        progress("videos", 1.0)
        interactions = _write(
            beside / "interactions.csv.gz",
            ("user_id", "video_id", "timestamp", "type", "reward"),
            (
                (row["user_id"], row["video_id"], iso(row["at"]), "impression", f"{row['reward']:g}")
                for row in _rows(bench.fetch("dated"))
            ),
        )
        progress("interactions", 1.0)
        beside.rename(folder)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    undated = bench.fetch("undated")["rows"][0].as_py()
    return Exported(users=users, videos=videos, interactions=interactions, without_time=undated)


def _users(bench: Workbench, frames: Frames) -> Iterator[Sequence[Any]]:
    texts = {row["list"]: _json(row["texts"]) for row in _rows(bench.fetch("all_lists"))}
    said: Mapping[int, Sequence[str]] = {
        row["user_id"]: [texts.get(row[kind], "") for kind in KINDS] for row in _rows(bench.fetch("profiles"))
    }
    cities = ["", *frames.cities[1:]]  # the first is `Unknown`
    for row in _rows(bench.fetch("all_users")):
        yield (row["id"], cities[row["city"]], *said.get(row["id"], [""] * len(_PROFILE)))


def _videos(bench: Workbench) -> Iterator[Sequence[Any]]:
    for row in _rows(bench.fetch("all_videos")):
        lists = (_json(row[name]) for name in (*KINDS, "role_objectives"))
        created = "" if row["created_at"] is None else iso(row["created_at"])
        yield (row["id"], row["user_id"], created, *lists, row["description"] or "")


def _json(texts: Sequence[str] | None) -> str:
    return json.dumps(texts, ensure_ascii=False) if texts else ""


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1 << 16):
        yield from batch.to_pylist()


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    written = 0
    with gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=1) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow(row)
            written += 1
    return written
