"""A small real service behind the door: in-process Redis, SQLite, a snapshot of today's kind but small."""

import dataclasses
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakeredis import FakeServer
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.contracts.backends import Backend
from tests.ranking.factory import NOW, flow, make_snapshot, seen, user, video

from talentfeed.activity import codec
from talentfeed.activity.backlog import Backlog
from talentfeed.activity.feeds_kept import FeedsKept
from talentfeed.activity.flush import Flusher, FlushReport
from talentfeed.activity.quarantine import Quarantine
from talentfeed.activity.recorder import Outbox, Recorder
from talentfeed.activity.sessions import Sessions
from talentfeed.api.app import create_app
from talentfeed.contracts import Snapshot
from talentfeed.demo import schema
from talentfeed.errors import SnapshotError
from talentfeed.health import Probe
from talentfeed.policy import Learning, Rankers
from talentfeed.ranking.feed import Ranker, initial_policy, prepare
from talentfeed.ranking.presets import preset
from talentfeed.settings import Settings
from talentfeed.snapshot import bodies, store
from talentfeed.snapshot.outcomes import Outcome
from talentfeed.stores.database import ActivityLog, sqlite_url
from talentfeed.stores.limits import RateLimit
from talentfeed.stores.redis import line_of, open_redis
from talentfeed.wiring import Service, make_replayer, wire

ADMIN_KEYS = ("first-admin-key", "second-admin-key")
MEDIA = "https://media.example.org"
CLASSIC = preset("classic")  # the catalogues here have no signals
SKILLS = [f"skill {number}" for number in range(40)]


def small_catalogue(version: str = "small") -> Snapshot:
    """200 videos by 100 creators, 24 flows by 24 others, with real bodies; user 1 has a history, user 2 none."""
    snapshot = make_snapshot(
        videos=[
            video(
                1_000 + number,
                creator=100 + number % 100,
                age_days=5 + number if number % 3 == 0 else 60 + number,
                skills=[SKILLS[(number * 7 + step * 3) % 40] for step in range(2)],
                views=number % 50,
                rating=4.0,
                rating_count=number % 5,
            )
            for number in range(200)
        ],
        flows=[flow(5_000 + number, creator=300 + number, age_days=10 + number) for number in range(24)],
        users=[
            user(1, skills=SKILLS[:3], history=[seen(1_000), seen(1_003, liked=False)], connections=[300]),
            user(2, skills=SKILLS[5:7]),
        ],
        version=version,
    )
    resumes = [bodies.resume(resume_row(int(i), 100 + (int(i) - 1_000) % 100), MEDIA) for i in snapshot.videos.id]
    challenges = [bodies.challenge(challenge_row(int(i), int(i) - 4_700), MEDIA) for i in snapshot.flows.id]
    return with_bodies(snapshot, resumes, challenges)


def resume_row(video_id: int, user_id: int | None, **more: Any) -> dict[str, Any]:
    """A video's row as a build reads it, with nothing optional but what is given."""
    row = dict.fromkeys(("creator_name", "image", "description", "role_objectives"))
    return {"id": video_id, "user_id": user_id, "url": f"https://cdn.example.org/{video_id}.mp4", **row, **more}


def challenge_row(flow_id: int, user_id: int, **more: Any) -> dict[str, Any]:
    """A flow's row as a build reads it, with nothing optional but what is given."""
    names = ("creator_name", "name", "description", "slug", "image", "talent_type", "interest_areas")
    row: dict[str, Any] = dict.fromkeys((*names, "type_objectives", "updated_at", "status_at"))
    row |= {"id": flow_id, "user_id": user_id, "url": f"https://cdn.example.org/{flow_id}.mp4", "created_at": NOW}
    return {**row, **more}


def with_bodies(snapshot: Snapshot, resumes: Sequence[bytes], challenges: Sequence[bytes]) -> Snapshot:
    """The same snapshot with other bodies."""

    def packed(parts: Sequence[bytes]) -> dict[str, Any]:
        start = np.cumsum([0, *map(len, parts)]).astype(np.int64)
        return {"json": np.frombuffer(b"".join(parts), np.uint8), "json_start": start}

    return dataclasses.replace(
        snapshot,
        videos=dataclasses.replace(snapshot.videos, **packed(resumes)),
        flows=dataclasses.replace(snapshot.flows, **packed(challenges)),
    )


def ranker_of(snapshot: Snapshot) -> Ranker:
    return prepare(snapshot, initial_policy(), CLASSIC, epsilon=0.02)


@dataclass(frozen=True)
class Serving:
    snapshot: Snapshot
    ranker: Ranker
    loaded_at: float


@dataclass(frozen=True)
class Reloaded:
    version: str
    changed: bool
    seconds: float
    counts: Mapping[str, int]
    skipped: Mapping[str, int]


@dataclass
class Reloads:
    reloads: int = 0
    failures: int = 0
    built: Outcome | None = None
    build_error: object | None = None
    refused: object | None = None
    fetch_error: object | None = None


class LocalService:
    """The real parts, wired as the process wires them; a reload takes what the test laid out as `next_snapshot`."""

    def __init__(self, settings: Settings, snapshot: Snapshot | None) -> None:
        self.settings = settings
        self.serving = self._serve(snapshot)
        self.next_snapshot: Snapshot | None = None
        self.live = Reloads()
        self.now = NOW
        rows = codec.Rows()
        outbox = Outbox(capacity=1_000)
        self.server = FakeServer(server_type="redis", version=(7, 0))
        self.redis = open_redis(host=None, server=self.server)
        self.activity_log = ActivityLog(sqlite_url(settings.embedded_database))
        self.sessions = Sessions(line_of(self.redis), outbox=outbox, budget=None)
        self.recorder = Recorder(self.redis, outbox=outbox, event_log=self.activity_log, rows=rows)
        self.flusher = Flusher(self.redis, self.activity_log, rows=rows)
        self.quarantine = Quarantine(self.redis)
        self.probes: dict[str, Probe] = {}
        self.backlog: Backlog | None = None
        per_minute = settings.rate_limit_per_minute
        self.limiter = RateLimit(self.redis, per_minute=per_minute) if per_minute else None
        self.learning = Learning(settings, self.redis, Rankers(settings), lambda: None, in_process=True)
        self.replayer = make_replayer(
            settings,
            self.redis,
            FeedsKept(self.redis, outbox=outbox),
            serving=lambda: self.serving.ranker if self.serving is not None else None,
        )

    @staticmethod
    def _serve(snapshot: Snapshot | None) -> Serving | None:
        return None if snapshot is None else Serving(snapshot, ranker_of(snapshot), time.time())

    @property
    def bastion(self) -> None:
        return None

    def clock(self) -> float:
        return self.now

    async def start(self) -> None:
        await self.activity_log.ensure_ledger()
        await self.recorder.start()

    async def stop(self) -> None:
        await self.recorder.stop()
        await self.flusher.flush_all()
        await self.redis.aclose()
        await self.activity_log.close()

    async def reload(self) -> Reloaded:
        if self.next_snapshot is None:
            self.live.failures += 1
            raise SnapshotError("The build failed: the table resumes lacks the column user_id")
        before = self.serving
        self.serving = self._serve(self.next_snapshot)
        self.live.reloads += 1
        manifest = self.next_snapshot.manifest
        changed = before is None or before.snapshot.manifest.version != manifest.version
        return Reloaded(manifest.version, changed, 0.1, manifest.counts, manifest.skipped)

    async def flush(self) -> FlushReport:
        return await self.flusher.flush_all()

    async def health(self) -> dict[str, Any]:
        serving = self.serving
        return {
            "status": "unavailable" if serving is None else "ok",
            "snapshot": None if serving is None else {"version": serving.snapshot.manifest.version},
            "stores": {"redis": "ok", "database": "ok"},
            "degraded": [],
        }


ServiceMaker = Callable[..., LocalService]


def local_service(
    folder: Path, snapshot: Snapshot | None, *, admin_keys: Sequence[str] = ADMIN_KEYS, **more: Any
) -> LocalService:
    """A service on a new database in this folder, of the preset classic; keyword arguments are settings."""
    folder.mkdir(exist_ok=True)
    more = {"preset": CLASSIC.name, **more}
    keys = [SecretStr(key) for key in admin_keys]
    settings = Settings(_env_file=None, data_dir=folder, admin_api_key=keys, **more)  # type: ignore[call-arg]
    with sqlite3.connect(settings.embedded_database) as connection:
        schema.create(connection)
    connection.close()
    return LocalService(settings, snapshot)


@pytest.fixture
def make_service(tmp_path: Path) -> ServiceMaker:
    """Makes services, each on its own database."""
    numbers = itertools.count()
    return lambda snapshot, **more: local_service(tmp_path / str(next(numbers)), snapshot, **more)


@pytest.fixture
def service(make_service: ServiceMaker) -> LocalService:
    return make_service(small_catalogue())


@pytest.fixture
def client(service: LocalService) -> Iterator[TestClient]:
    with TestClient(create_app(service)) as client:
        yield client


WiredMaker = Callable[..., Service]


@pytest.fixture
def wired(tmp_path: Path, backend: Backend) -> WiredMaker:
    """Makes the service as the process makes it, on a published snapshot without signals; the preset is classic."""

    def make(**more: Any) -> Service:
        where = {"redis_host": "127.0.0.1", "redis_port": backend.real.port} if backend.real is not None else {}
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            data_dir=tmp_path,
            admin_api_key=[SecretStr(key) for key in ADMIN_KEYS],
            **{"preset": CLASSIC.name, **where, **more},
        )
        if not settings.embedded_database.exists():
            with sqlite3.connect(settings.embedded_database) as connection:
                schema.create(connection)
            connection.close()
            store.publish(store.seal(small_catalogue()), settings.snapshot_dir)
        return wire(settings, as_of=NOW)

    return make


def admin(key: str = ADMIN_KEYS[0]) -> dict[bytes, bytes]:
    """Headers with an admin key; bytes, because a key may hold any character."""
    return {b"X-Admin-Key": key.encode()}
