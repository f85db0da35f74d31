"""Mixed load on a real server for minutes: is anything refused, lost or doubled, does memory grow?"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncmy
import numpy as np
from benchmarks import service
from benchmarks.output import for_tables
from benchmarks.visitors import Account, Connection, visit
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

EXAMPLES = """\
examples:
  python -m benchmarks.load --seconds 120        as `make load`
  python -m benchmarks.load --seconds 1200       as `make soak`
  python -m benchmarks.load --seconds 20 --scale 0.02 | tail -1 | jq .lost

A MariaDB with the demo's data, an append-only Redis and `talentfeed serve` with several workers are started on loopback
in a temporary folder and ended again. Visitors open feeds, scroll, and report events; meanwhile the catalogue changes
and is reloaded again and again. At the end the server is stopped as an operator stops it, and what was answered is
compared with `activity_log`. Ends with 1 where a request failed, or an activity is lost or doubled.
"""


@dataclass
class Watch:
    """What was seen of the server meanwhile."""

    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the start, MB of PSS)
    reloads: int = 0
    errors: list[str] = field(default_factory=list)


def main() -> None:
    """Load, print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=120, help="of load (default 120)")
    parser.add_argument("--scale", type=float, default=0.2, help="of the data; 1 is today's size (default 0.2)")
    parser.add_argument("--workers", type=int, default=2, help="of the server (default 2)")
    parser.add_argument("--visitors", type=int, default=12, help="at a time (default 12)")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between a visitor's pages (default 0.2)")
    parser.add_argument("--reload-every", type=float, default=15, help="seconds (default 15)")
    parser.add_argument("--seed", type=int, default=0, help="of the visitors (default 0)")
    chosen = parser.parse_args()
    progress = Console(stderr=True)

    def said(text: str) -> None:
        if progress.is_terminal:
            progress.print(text, style="dim")

    with tempfile.TemporaryDirectory(prefix="talentfeed-load-") as folder:
        place = Path(folder)
        with service.platform(place, chosen.scale, said=said) as environment:
            service.run(place, environment, "build")
            report = under_load(place, {**environment, "FLUSH_INTERVAL_SECONDS": "10"}, chosen)
    print(json.dumps(report, separators=(",", ":")))
    if report["errors"] or report["lost"] or report["doubled"]:
        sys.exit(1)


def under_load(
    place: Path,
    environment: Mapping[str, str],
    chosen: argparse.Namespace,
    *,
    beside: Callable[[service.Server], AbstractContextManager[object]] = nullcontext,
) -> dict[str, Any]:
    """→ what is printed as JSON. `beside`: what else goes on while the load lasts."""
    first = _query(environment, "SELECT COALESCE(MAX(id), 0) FROM activity_log")[0][0]
    server = service.Server(place, environment, chosen.workers)
    server.start()
    server.wait()
    account, watch = Account(), Watch()
    try:
        with beside(server):
            asyncio.run(_load(server, environment, account, watch, chosen))
        lost_served, degraded = (
            server.count("talentfeed_lost_served_total"),
            server.count("talentfeed_feed_degraded_total"),
        )
    finally:
        code = server.stop()
    if code != 0:
        watch.errors.append(f"the server ended with exit code {code}")
    service.run(place, environment, "flush")
    rows = _query(environment, f"SELECT properties FROM activity_log WHERE id > {int(first)}")  # noqa: S608
    lost, doubled = compared(account, (json.loads(properties) for (properties,) in rows))
    errors = sum(account.errors.values()) + len(watch.errors)
    times = np.array(account.times or [0.0]) * 1_000
    slope = slope_of(watch.memory)
    report = {
        "seconds": chosen.seconds,
        "requests": account.requests,
        "errors": errors,
        "feeds": len(account.times),
        "scrolls": account.scrolls,
        "events": len(account.acknowledged),
        "reloads": watch.reloads,
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p99_ms": round(float(np.percentile(times, 99)), 2),
        "memory_mb": round(watch.memory[-1][1], 1) if watch.memory else 0.0,
        "slope_mb_per_min": round(slope, 3),
        "lost": lost,
        "doubled": doubled,
    }
    _show(report, lost_served=lost_served, degraded=degraded, stored=sum(account.served.values()))
    for text, count in [*account.errors.most_common(5), *((text, 1) for text in watch.errors[:5])]:
        print(f"  {count} x {text}")
    return report


async def _load(
    server: service.Server,
    environment: Mapping[str, str],
    account: Account,
    watch: Watch,
    chosen: argparse.Namespace,
) -> None:
    users = int((await _fetch(environment, "SELECT MAX(id) FROM users"))[0][0])
    begun = time.monotonic()
    until = begun + chosen.seconds
    visitors = [
        visit(server.port, account, users=users, pause=chosen.pause, until=until, seed=chosen.seed * 1_000 + number)
        for number in range(chosen.visitors)
    ]
    reloads = _reload(server.port, environment, watch, every=chosen.reload_every, until=until)
    await asyncio.gather(*visitors, reloads, _sample(server, watch, begun=begun, until=until))


async def _reload(port: int, environment: Mapping[str, str], watch: Watch, *, every: float, until: float) -> None:
    """Change the catalogue and have it taken, again and again."""
    headers = f"X-Admin-Key: {service.ADMIN_KEY}\r\n"
    while time.monotonic() + every < until:
        await asyncio.sleep(every)
        connection = Connection(port)  # a server closes one that is idle for seconds
        try:
            text = f"changed {watch.reloads} times"
            await _fetch(environment, f"UPDATE resumes SET description = '{text}' WHERE id % 97 = 0")  # noqa: S608
            status, answer = await connection.post("/api/search/reload", {}, headers=headers, within=300)
        except (OSError, asyncmy.errors.Error) as error:
            watch.errors.append(f"reload: {error}")
            continue
        finally:
            connection.close()
        if status != 200 or not answer["body"]["changed"]:
            watch.errors.append(f"reload: {status} {json.dumps(answer)[:300]}")
        else:
            watch.reloads += 1


async def _sample(server: service.Server, watch: Watch, *, begun: float, until: float) -> None:
    with Progress(console=Console(stderr=True)) if sys.stderr.isatty() else nullcontext() as bars:
        bar = bars.add_task("load", total=until - begun) if bars is not None else None
        while time.monotonic() < until:
            await asyncio.sleep(1)
            if server.process is not None and server.process.poll() is not None:
                watch.errors.append("the server ended by itself")
                return
            watch.memory.append((time.monotonic() - begun, await asyncio.to_thread(server.memory)))
            if bars is not None and bar is not None:
                bars.update(bar, completed=time.monotonic() - begun)


def slope_of(samples: list[tuple[float, float]]) -> float:
    """MB a minute, by least squares; the first third, in which caches fill, is left out."""
    late = samples[len(samples) // 3 :]
    if len(late) < 3:
        return 0.0
    seconds, memory = np.array(late).T
    return float(np.polyfit(seconds / 60, memory, 1)[0])


def compared(account: Account, stored: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """→ how many activities that were answered are not among those `stored`, and how many are there more than once."""
    served: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for activity in stored:
        if activity["source"] == "client":
            events[activity["event_id"]] += 1
        else:
            served[activity["feed_id"]] += 1
    lost = len(account.acknowledged - set(events)) + (account.served - served).total()
    doubled = sum(count - 1 for count in events.values())
    doubled += sum(max(0, served[feed] - records) for feed, records in account.served.items())
    return lost, doubled


def _query(environment: Mapping[str, str], sql: str) -> list[Any]:
    return asyncio.run(_fetch(environment, sql))


async def _fetch(environment: Mapping[str, str], sql: str) -> list[Any]:
    connection = await asyncmy.connect(
        host=environment["MYSQL_HOST"],
        port=int(environment["MYSQL_PORT"]),
        user=environment["MYSQL_USER"],
        password=environment["MYSQL_PASSWORD"].encode(),
        db=environment["MYSQL_DB"],
        charset="utf8mb4",
        autocommit=True,
    )
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall())
    finally:
        await connection.ensure_closed()


def _show(report: Mapping[str, Any], *, lost_served: float, degraded: float, stored: int) -> None:
    table = Table(title=f"{report['seconds']:g} seconds of feeds, scrolls, events and reloads", title_justify="left")
    table.add_column("")
    table.add_column("wanted", justify="right")
    table.add_column("found", justify="right")
    for name, wanted in (("requests", ""), ("feeds", ""), ("scrolls", ""), ("events", ""), ("reloads", "")):
        table.add_row(name, wanted, f"{report[name]:,}")
    table.add_row("records of what was served", "", f"{stored:,}")
    table.add_row("errors", "0", f"{report['errors']:,}")
    table.add_row("activities lost", "0", f"{report['lost']:,}")
    table.add_row("activities doubled", "0", f"{report['doubled']:,}")
    table.add_row("records dropped by the recorder", "0", f"{lost_served:,.0f}")
    table.add_row("feeds ranked without their session", "0", f"{degraded:,.0f}")
    table.add_row("a feed, median / p99", "", f"{report['p50_ms']} / {report['p99_ms']} ms")
    table.add_row("memory at the end, PSS", "", f"{report['memory_mb']} MB")
    table.add_row("memory grows", "flat", f"{report['slope_mb_per_min']} MB a minute")
    for_tables().print(table)


if __name__ == "__main__":
    main()
