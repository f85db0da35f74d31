"""The flush's contest: recording's CPU, a flush beside row-by-row inserts, and what one flusher sustains."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncmy
import uvloop
from benchmarks import served
from benchmarks.output import for_tables
from benchmarks.recording import produce
from benchmarks.served import ACTIVITIES, Kitchen
from redis.asyncio import Redis
from rich.table import Table
from tests.contracts import mysql_schema
from tests.contracts.backends import RedisServer
from tests.contracts.mariadb import MariaServer

from talentfeed.activity import keys
from talentfeed.activity.codec import Rows
from talentfeed.activity.flush import Flusher
from talentfeed.activity.outbox import Outbox
from talentfeed.activity.recorder import DRAIN, Recorder
from talentfeed.console import emit, progress
from talentfeed.stores.database import ActivityLog, ledger_ddl
from talentfeed.stores.redis import line_of, open_redis

SCHEMA = "bench"
ROUNDS = 5  # of each measure, by turns, so that what disturbs the machine disturbs all; the median counts
AIMS = {"ratio": 15, "recording_us_per_feed": 60, "sustained_per_s": 10_000}
_ROW_BY_ROW_SECONDS = 0.7  # a round
_LOOK = 0.001  # seconds between looks whether a lot is stored
_WAITING, _WAITING_A_SECOND = 60_000, 4_000  # activities that the sustained rate's producer keeps waiting, at most
_MARIADB = ["--innodb-buffer-pool-size=256M", "--innodb-log-file-size=256M"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured."""

    activities_per_s: float
    row_by_row_per_s: float
    ratio: float
    recording_us_per_feed: float
    sustained_per_s: float
    redis_us_per_feed: float  # CPU of Redis, a feed recorded
    flush_us: tuple[float, float, float]  # CPU of our process, of Redis and of MariaDB, an activity flushed
    waiting: tuple[int, int]  # activities at the sustained rate's begin and end
    seconds: float


def run(*, activities: int, feeds: int, seconds: int) -> None:
    """Measure; the table, then the JSON line, on stdout."""
    with progress() as told, tempfile.TemporaryDirectory(prefix="talentfeed-bench-") as folder, _servers(
        Path(folder)
    ) as (redis, maria):  # fmt: skip
        contest = Contest(redis, maria, served.prepare())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(contest.run(activities=activities, feeds=feeds, seconds=seconds, told=told))
    _show(result)
    emit(
        {
            "activities_per_s": round(result.activities_per_s),
            "row_by_row_per_s": round(result.row_by_row_per_s),
            "ratio": round(result.ratio, 1),
            "recording_us_per_feed": round(result.recording_us_per_feed, 1),
            "sustained_per_s": round(result.sustained_per_s),
        }
    )


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[tuple[RedisServer, MariaServer]]:
    for name in ("redis", "mariadb"):
        (folder / name).mkdir()
    redis, maria = RedisServer(folder / "redis"), MariaServer(folder / "mariadb", arguments=_MARIADB)
    try:
        redis.start()
        maria.start()
        mysql_schema.create(maria, SCHEMA, only_activity_log=True)
        maria.execute(ledger_ddl("mariadb"), database=SCHEMA)
        maria.execute("CREATE TABLE row_by_row LIKE activity_log", database=SCHEMA)
        yield redis, maria
    finally:
        maria.kill()
        redis.kill()


class Contest:
    """All measures on one pair of servers."""

    def __init__(self, redis: RedisServer, maria: MariaServer, kitchen: Kitchen) -> None:
        self._servers = redis, maria
        self._kitchen = kitchen
        self._recorded = 0  # activities, by anybody
        self._feeds = 0  # of our own
        self._redis_seconds = 0.0  # of processor time, over them

    async def run(self, *, activities: int, feeds: int, seconds: int, told: Any) -> Result:
        redis, maria = self._servers
        client = open_redis(host="127.0.0.1", port=redis.port)
        log = ActivityLog(maria.account(SCHEMA))
        flusher = Flusher(client, log)
        gc.collect()
        gc.freeze()
        costs: list[float] = []
        plain: list[float] = []
        quick: list[float] = []
        busy: list[tuple[float, float, float]] = []
        for number in range(ROUNDS):
            told("recording and flushing", number / ROUNDS)
            costs.append(await self._recording(client, feeds=max(feeds // ROUNDS, 2 * DRAIN)))
            await self._fill(client, activities // ROUNDS)
            plain.append(await self._row_by_row_rate(client))
            before = self._spent()
            report = await flusher.flush_all()
            if report.error is not None or not report.flushed:
                raise RuntimeError(f"the flush ended early: {report.error}")
            ours, of_redis, of_maria = (
                (now - then) / report.flushed * 1e6 for now, then in zip(self._spent(), before, strict=True)
            )
            busy.append((ours, of_redis, of_maria))
            quick.append(report.flushed / report.seconds)
        told("recording and flushing", 1.0)
        sustained, waiting = await self._sustained(flusher, seconds, told)
        await flusher.flush_all()
        await client.aclose()
        await log.close()
        self._each_once()
        row_by_row = statistics.median(plain)
        return Result(
            activities_per_s=statistics.median(quick),
            row_by_row_per_s=row_by_row,
            ratio=statistics.median(quick) / row_by_row,
            recording_us_per_feed=statistics.median(costs),
            sustained_per_s=sustained,
            redis_us_per_feed=self._redis_seconds / self._feeds * 1e6,
            flush_us=tuple(map(statistics.median, zip(*busy, strict=True))),
            waiting=waiting,
            seconds=seconds,
        )

    async def _recording(self, client: Redis, *, feeds: int) -> float:
        """Microseconds of our processor time that one feed more costs: a run of so many feeds less one of half."""
        half = await self._record(client, feeds // 2)
        whole = await self._record(client, feeds // 2 * 2)
        return (whole - half) / (feeds // 2) * 1e6

    async def _record(self, client: Redis, feeds: int) -> float:
        """From the ranked slate to Redis' answer; → seconds of processor time.

        A lot that the recorder stores in one step after the other, as they come from requests: what piles up for long
        is not at hand in the processor's caches any more, and costs half as much again.
        """
        recorder = Recorder(client, outbox=Outbox(capacity=feeds), line=line_of(client))
        await recorder.start()
        began, _, _ = before = self._spent()
        for number in range(1, feeds + 1):
            recorder.served(self._kitchen.one(self._feeds))
            self._feeds += 1
            while number % DRAIN == 0 and recorder.unstored:  # noqa: ASYNC110 - the recorder tells nobody
                await asyncio.sleep(_LOOK)
        await recorder.stop(patience=120)
        after = self._spent()
        self._redis_seconds += after[1] - before[1]
        assert recorder.lost_served == 0
        assert recorder.recorded_feeds == feeds
        self._recorded += feeds * ACTIVITIES
        return after[0] - began

    def _spent(self) -> tuple[float, float, float]:
        """Seconds of processor time: ours, of Redis and of MariaDB."""
        redis, maria = self._servers
        return time.process_time(), _seconds(redis.process), _seconds(maria.process)

    async def _fill(self, client: Redis, activities: int) -> None:
        waiting = self._recorded - self._stored()
        await self._record(client, max(activities - waiting, ACTIVITIES) // ACTIVITIES)

    def _stored(self) -> int:
        return self._count("SELECT COUNT(*) FROM activity_log")

    def _count(self, sql: str) -> int:
        return int(self._servers[1].execute(sql, database=SCHEMA)[0][0])

    async def _row_by_row_rate(self, client: Redis) -> float:
        """The same rows, a statement and a commit each, by the driver alone."""
        waiting: Any = await client.zrange(keys.WAITING, 0, 0)
        found: Any = await client.lrange(keys.user_activity(int(waiting[0])), 0, 9)
        rows = [Rows().row(payload) for payload in found]
        columns = list(rows[0])
        sql = f"INSERT INTO row_by_row ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608
        connection = await asyncmy.connect(**self._servers[1].account(SCHEMA).arguments())
        written, began = 0, time.perf_counter()
        try:
            async with connection.cursor() as cursor:
                while time.perf_counter() - began < _ROW_BY_ROW_SECONDS:
                    row = rows[written % len(rows)]
                    await cursor.execute(sql, tuple(row.values()))
                    await connection.commit()
                    written += 1
            took = time.perf_counter() - began
        finally:
            await connection.ensure_closed()
        return written / took

    async def _sustained(self, flusher: Flusher, seconds: int, told: Any) -> tuple[float, tuple[int, int]]:
        """Activities stored a second while another process records as many; → and what waited before and after."""
        spawn = multiprocessing.get_context("spawn")
        most = min(_WAITING, _WAITING_A_SECOND * seconds)
        recorded, flushed, stop = spawn.Value("q", 0), spawn.Value("q", 0), spawn.Event()
        other = spawn.Process(target=produce, args=(self._servers[0].port, most, recorded, flushed, stop), daemon=True)
        other.start()
        before = flusher.flushed
        try:
            while recorded.value < most:
                await asyncio.sleep(0.05)
                assert other.is_alive()
            await flusher.start()
            began, first = time.monotonic(), flusher.flushed
            start_waiting = recorded.value
            while (passed := time.monotonic() - began) < seconds:
                await asyncio.sleep(0.02)
                flushed.value = flusher.flushed - before
                told("sustained rate", passed / seconds)
                assert other.is_alive()
            rate = (flusher.flushed - first) / passed
            waiting = start_waiting, recorded.value - (flusher.flushed - before)
        finally:
            stop.set()
            await asyncio.to_thread(other.join, 60)
            if other.is_alive():
                other.kill()
        assert other.exitcode == 0, "the producer failed; its reason stands above"
        self._recorded += recorded.value
        report = await flusher.stop(patience=120)
        if report.error is not None:
            raise RuntimeError(f"the flush ended early: {report.error}")
        return rate, waiting

    def _each_once(self) -> None:
        distinct = self._count("SELECT COUNT(DISTINCT JSON_VALUE(properties, '$.event_id')) FROM activity_log")
        if not self._recorded == self._stored() == distinct:
            raise RuntimeError(
                f"{self._recorded} activities were recorded, {self._stored()} rows are stored, {distinct} of them "
                "different: the figures mean nothing"
            )


def _seconds(process: "subprocess.Popen[bytes] | None") -> float:
    """Processor time of another process, as the kernel counts it: in hundredths of a second."""
    assert process is not None
    words = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _show(result: Result) -> None:
    console = for_tables()
    table = Table(title="Redis synced on each write, MariaDB on each commit")
    table.add_column("measure", no_wrap=True)
    for name in ("measured", "aim"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, value, aim in (
        ("flushed into MariaDB, activities/s", f"{result.activities_per_s:,.0f}", ""),
        ("row by row with a commit each, rows/s", f"{result.row_by_row_per_s:,.0f}", ""),
        ("flush against row by row", f"{result.ratio:.1f}x", f"≥ {AIMS['ratio']}x"),
        (
            f"recording's CPU for a feed of {ACTIVITIES} activities",
            f"{result.recording_us_per_feed:.1f} µs",
            f"≤ {AIMS['recording_us_per_feed']} µs",
        ),
        (
            f"sustained by one flusher for {result.seconds} s, activities/s",
            f"{result.sustained_per_s:,.0f}",
            f"≥ {AIMS['sustained_per_s']:,}",
        ),
    ):
        table.add_row(name, value, aim)
    console.print(table)
    ours, of_redis, of_maria = result.flush_us
    console.print(
        f"Flushing an activity takes {ours:.1f} µs of our CPU, {of_redis:.1f} of Redis', {of_maria:.1f} of MariaDB's; "
        f"recording a feed takes {result.redis_us_per_feed:.0f} of Redis'. Recording is from the ranked slate to "
        f"Redis' answer, record for replay included, in lots of {DRAIN} feeds. While the rate was sustained a second "
        f"process recorded; {result.waiting[0]:,} activities waited at its begin and {result.waiting[1]:,} at its end."
    )
