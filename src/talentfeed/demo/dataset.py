"""A dataset folder → the platform's tables. What the data lacks stays absent; the mapping is docs/data-import.md."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from talentfeed import times
from talentfeed.contracts import EventType
from talentfeed.demo import csvfile, place, schema
from talentfeed.demo.csvfile import Column
from talentfeed.errors import DatasetError

RESUME = r"App\Interacpedia\Resumes\Resume"
USER = r"App\User"
BATCH = 20_000
PROFILE = ("skills", "languages", "tools", "knowledge", "hobbies", "type_talentees", "opencall_objective")

USERS: tuple[Column, ...] = (
    csvfile.identity("id"),
    csvfile.text("name"),
    csvfile.text("city"),
    csvfile.text("country"),
    csvfile.time("created_at"),
    *(csvfile.json_list(name) for name in PROFILE),
)
VIDEOS: tuple[Column, ...] = (
    csvfile.identity("id"),
    csvfile.reference("user_id", required=True),
    csvfile.time("created_at", required=True),
    csvfile.json_list("skills", required=True),
    csvfile.json_list("knowledges"),
    csvfile.json_list("tools"),
    csvfile.json_list("languages"),
    csvfile.json_list("role_objectives"),
    csvfile.text("description"),
    csvfile.text("video"),
    csvfile.text("image"),
)
SIGNALS = (csvfile.amount("watch_ratio"), csvfile.flag("is_click"), csvfile.flag("is_like"))
INTERACTIONS: tuple[Column, ...] = (
    csvfile.identity("user_id"),
    csvfile.identity("video_id"),
    csvfile.time("timestamp", required=True),
    csvfile.text("type", required=True),
    csvfile.share("reward", required=True),
    *SIGNALS,
)
HISTORY: tuple[Column, ...] = (
    csvfile.identity("user_id"),
    Column("seq", str, "anything: it orders a user's rows, which an import has no use for", required=True),
    csvfile.identity("video_id"),
    csvfile.share("reward", required=True),
    *SIGNALS,
)

Progress = Callable[[str, float], None]


@dataclass(kw_only=True)
class ImportReport:
    """What an import wrote, in rows, and what of the folder could not be mapped, by kind."""

    folder: str
    as_of: float | None = None  # seconds since 1970: newest interaction; without any, newest video, then newest user
    users: int = 0
    profiles: int = 0
    videos: int = 0
    views: int = 0
    activities: int = 0  # client-reported `video_view` and `like`
    likes: int = 0  # ... of which `like`
    interactions: int = 0  # rows read of interactions.csv.gz
    history: int = 0  # rows read of history.csv.gz
    left_out: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same, for a JSON line; `as_of` as ISO 8601."""
        return {**asdict(self), "as_of": None if self.as_of is None else times.iso(self.as_of)}

    def leave_out(self, kind: str) -> None:
        """Count one thing that has no place in the platform's tables."""
        self.left_out[kind] = self.left_out.get(kind, 0) + 1


def import_dataset(
    folder: Path, path: Path, *, now: float | None = None, progress: Progress = lambda _stage, _done: None
) -> ImportReport:
    """Load a dataset folder into a new SQLite database at `path`, whole or not at all.

    `progress` is called with the stage (users, videos, interactions, history) and the share of its file that is read.
    `now` is the wall clock (seconds since 1970): what is later does not make the catalogue's day.
    Raises DatasetError where the folder is not in the documented format, SourceError where `path` exists already.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder; accepted: a folder with users.csv.gz and so on")
    return place.make(path, lambda connection: _Import(folder, connection, now, progress).run())


class _Import:
    def __init__(self, folder: Path, connection: sqlite3.Connection, now: float | None, progress: Progress) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        self.connection = connection
        self.progress = progress
        self.report = ImportReport(folder=self.name)
        clock = datetime.now(UTC) if now is None else datetime.fromtimestamp(now, UTC)
        self.now = clock.replace(tzinfo=None).isoformat(" ", "milliseconds")  # as times are written
        self.newest = {"users": "", "videos": "", "interactions": ""}
        self.users: dict[int, int] = {}  # id → line
        self.videos: dict[int, int] = {}
        self.url_prefix = f"dataset://{quote(self.name)}/videos/"
        self.waiting: dict[str, list[tuple[Any, ...]]] = {}

    def run(self) -> tuple[place.Made, ImportReport]:
        self._read_users()
        self._read_videos()
        self._read_interactions()
        if (self.folder / "history.csv.gz").exists():
            self._read_history()
        for table in tuple(self.waiting):
            self._write(table)
        newest = self.newest["interactions"] or self.newest["videos"] or self.newest["users"]
        if newest:
            self.report.as_of = datetime.fromisoformat(_iso(newest)).timestamp()
        made = place.Made(made_by="import", folder=self.name, as_of=self.report.as_of)
        return made, self.report

    def _rows(self, stage: str, columns: tuple[Column, ...]) -> Iterator[tuple[int, list[Any]]]:
        self.progress(stage, 0.0)
        return csvfile.read(self.folder / f"{stage}.csv.gz", columns, progress=lambda done: self.progress(stage, done))

    def _read_users(self) -> None:
        for line, (user_id, name, city, country, created_at, *profile) in self._rows("users", USERS):
            self._once("users", self.users, user_id, line)
            self._add("users", (user_id, name or "", city, country, created_at, created_at, None))
            self._date("users", created_at)
            self.report.users += 1
            if any(value is not None for value in profile):
                self._add("profiles", (user_id, *profile))
                self.report.profiles += 1

    def _read_videos(self) -> None:
        for line, values in self._rows("videos", VIDEOS):
            video_id, creator, created_at, skills, knowledges, tools, languages, objectives, description, url, image = (
                values
            )
            self._once("videos", self.videos, video_id, line)
            if creator is not None and creator not in self.users:
                # A dangling creator would take the video out of the catalogue; without one it is its own creator.
                creator = None
                self.report.leave_out("creator who is not in users.csv.gz")
            lists = (skills, knowledges, tools, languages, objectives)
            url = url or f"{self.url_prefix}{video_id}"
            times = (created_at, created_at, None)
            self._add("resumes", (video_id, creator, url, None, *lists, description, "send", *times, image))
            self._date("videos", created_at)
            self.report.videos += 1

    def _read_interactions(self) -> None:
        for line, values in self._rows("interactions", INTERACTIONS):
            user_id, video_id, at, _, reward, watch_ratio, is_click, is_like = values
            self.report.interactions += 1
            self._check_known(user_id, video_id)
            if reward or watch_ratio or is_click or is_like:
                self._add_view(user_id, video_id, at)
            row = f"interactions-{line}"
            if at is None:
                self._add_worth(row, user_id, video_id, reward)
                if not reward:
                    self.report.leave_out("activity without time")
                continue
            self._date("interactions", at)
            self._add_activity(
                EventType.VIDEO_VIEW, row, user_id, video_id, at=at, watch_ratio=watch_ratio, reward=reward
            )
            if is_like:
                self._add_activity(EventType.LIKE, row, user_id, video_id, at=at)
                self.report.likes += 1

    def _read_history(self) -> None:
        for line, (user_id, _, video_id, reward, watch_ratio, is_click, is_like) in self._rows("history", HISTORY):
            self.report.history += 1
            self._check_known(user_id, video_id)
            unsaid = watch_ratio is None and is_click is None
            if unsaid or reward or watch_ratio or is_click or is_like:
                self._add_view(user_id, video_id, None)
            self._add_worth(f"history-{line}", user_id, video_id, reward)

    def _add_worth(self, row: str, user_id: int, video_id: int, reward: float | None) -> None:
        """What has no time is no part of anybody's taste, but a reward says what the video is worth."""
        if reward:
            self._add_activity(EventType.VIDEO_VIEW, row, user_id, video_id, at=None, reward=reward)

    def _add_view(self, user_id: int, video_id: int, at: str | None) -> None:
        self._add("views", (video_id, RESUME, user_id, at))
        self.report.views += 1

    def _add_activity(
        self,
        event_type: EventType,
        row: str,
        user_id: int,
        video_id: int,
        *,
        at: str | None,
        watch_ratio: float | None = None,
        reward: float | None = None,
    ) -> None:
        # Written by hand as contracts.Activity has it, without what is None: a general encoder takes most of the time.
        # Ids and times are checked numbers and digits; nothing here needs escaping.
        known = "" if watch_ratio is None else f',"watch_ratio":{watch_ratio}'
        extra = "" if reward is None else f',"extra":{{"reward":{reward:g}}}'
        when = "" if at is None else f'"timestamp":"{_iso(at)}",'
        properties = (
            f'{{"event_type":"{event_type}","event_id":"{row}-{event_type}","user_id":{user_id},'
            f'{when}"source":"client","video_id":{video_id},"item_type":"resume"{known}{extra}}}'
        )
        description = "#video #view" if event_type is EventType.VIDEO_VIEW else f"#video #{event_type}"
        url = f"/api/search/feed/video/{video_id}"
        self._add("activity_log", (None, "app", description, video_id, RESUME, user_id, USER, properties, url, at, at))
        self.report.activities += 1

    def _once(self, stage: str, lines: dict[int, int], number: int, line: int) -> None:
        if number in lines:
            reason = f"line {lines[number]} has it already"
            raise csvfile.wrong(
                self.folder / f"{stage}.csv.gz", line, "id", number, reason=reason, accepted="each id once"
            )
        lines[number] = line

    def _date(self, stage: str, at: str | None) -> None:
        if at is None or at <= self.newest[stage]:
            return
        if at > self.now:
            self.report.leave_out("time later than now (row kept)")
        else:
            self.newest[stage] = at

    def _check_known(self, user_id: int, video_id: int) -> None:
        if user_id not in self.users:
            self.report.leave_out("user who is not in users.csv.gz (rows kept, dangling)")
        if video_id not in self.videos:
            self.report.leave_out("video that is not in videos.csv.gz (rows kept, dangling)")

    def _add(self, table: str, row: tuple[Any, ...]) -> None:
        rows = self.waiting.setdefault(table, [])
        rows.append(row)
        if len(rows) >= BATCH:
            self._write(table)

    def _write(self, table: str) -> None:
        self.connection.executemany(schema.insert_statement(table), self.waiting.pop(table))


def _iso(at: str) -> str:
    return f"{at[:10]}T{at[11:]}Z"
