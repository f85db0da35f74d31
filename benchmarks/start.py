"""How soon a server answers, what four workers hold in memory, how long a build takes. `--help` says more."""

import argparse
import compileall
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import service
from benchmarks.output import for_tables
from rich.console import Console
from rich.table import Table

EXAMPLES = """\
examples:
  python -m benchmarks.start                       today's scale: 198,000 users, 1,962 videos
  python -m benchmarks.start --scale 0.05 --runs 2 a quick look
  python -m benchmarks.start | tail -1 | jq .start_s

A MariaDB with the demo's data and a Redis are started on loopback in a temporary folder and ended again. A start is
timed from starting the process to the first feed of 24 items, with a snapshot and compiled files there, as `make setup`
leaves them; of several runs the median. Memory is PSS, parent and workers together, also after each worker served
feeds, all was flushed, and another snapshot was taken. A build is `talentfeed build`, process and all; the first writes
its statements, which those after it follow, and is a figure of its own.
"""
WORKERS = 4
FEEDS = 400
AIMS = {"start": 1.0, "start4": 1.2, "build": 4.0, "memory": 300.0}
OLD = {"start": 18.5, "memory": 4 * 556.0}  # the service that is replaced, on this kind of machine


def main() -> None:
    """Measure, print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.start",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1 is today's size (default)")
    parser.add_argument("--runs", type=int, default=5, help="starts of each kind, and builds but the first (default 5)")
    chosen = parser.parse_args()
    progress = Console(stderr=True)

    def said(text: str) -> None:
        if progress.is_terminal:
            progress.print(text, style="dim")

    compileall.compile_dir(service.ROOT / "src", quiet=2)
    with tempfile.TemporaryDirectory(prefix="talentfeed-bench-") as folder:
        place = Path(folder)
        with service.platform(place, chosen.scale, said=said) as environment:
            measure(place, environment, runs=chosen.runs, said=said)


def measure(place: Path, environment: dict[str, str], *, runs: int, said: Callable[[str], None]) -> None:
    """All of it, with the servers running."""
    builds = []
    for number in range(1 + runs):
        said(f"build {number} of {runs}" if number else "the first build")
        begun = time.perf_counter()
        service.run(place, environment, "build")
        builds.append(time.perf_counter() - begun)
    starts: dict[int, list[float]] = {1: [], WORKERS: []}
    for number in range(runs):
        for workers, times in starts.items():
            said(f"start {number + 1} of {runs} with {workers} workers")
            times.append(_start(service.Server(place, environment, workers)))
    said("memory")
    memory = _memory(service.Server(place, environment, WORKERS))
    _show(starts, builds, memory)
    report = {
        "start_s": round(statistics.median(starts[1]), 3),
        "build_s": round(statistics.median(builds[1:]), 3),
        "first_build_s": round(builds[0], 3),
        "pss_mb_4_workers": round(memory["after a reload"], 1),
    }
    print(json.dumps(report, separators=(",", ":")))


def _start(server: service.Server) -> float:
    """Seconds until every worker has answered with a feed."""
    begun = time.perf_counter()
    server.start()
    user = 0
    while True:
        user += 1
        try:
            status, answer = server.ask("POST", "/api/search/total", {"user_id": user})
        except OSError:
            assert server.process is not None
            if server.process.poll() is not None:
                raise RuntimeError((server.folder / "server.log").read_text()[-2_000:]) from None
            time.sleep(0.003)
            continue
        if status == 200 and len(answer["body"]["items"]) == 24 and (server.workers == 1 or _all_served(server)):
            took = time.perf_counter() - begun
            break
    server.stop()
    return took


def _all_served(server: service.Server) -> bool:
    text = server.metrics()
    return all(
        any(
            line.startswith(f'talentfeed_feed_seconds_count{{worker="{n}"') and not line.endswith(" 0.0")
            for line in text.splitlines()
        )
        for n in range(1, server.workers + 1)
    )


def _memory(server: service.Server) -> dict[str, float]:
    server.start()
    server.wait()
    found = {"at start": server.memory()}
    for user in range(1, FEEDS + 1):
        server.ask("POST", "/api/search/total", {"user_id": 97 * user})
    server.ask("POST", "/api/admin/flush")
    for _ in range(4 * server.workers):  # the database is probed, so its driver is loaded, in every worker
        server.ask("GET", "/health/ready")
    found["after feeds and a flush"] = server.memory()
    mapped = [service.snapshot_memory(pid) for pid in server.pids()[1:]]
    found["snapshot, in each worker"] = max(one[0] for one in mapped)
    found["snapshot, all together"] = sum(one[1] for one in mapped)
    before = _snapshots(server)
    service.run(server.folder, server.environment, "build", "--force", "--as-of", str(time.time() - 30 * 86_400.0))
    deadline = time.monotonic() + 60
    while len(now := _snapshots(server)) != 1 or now == before:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the new snapshot is not taken within a minute; served are {sorted(now)}")
        time.sleep(0.1)
    for user in range(1, FEEDS + 1):
        server.ask("POST", "/api/search/total", {"user_id": 89 * user})
    found["after a reload"] = server.memory()
    server.stop()
    return found


def _snapshots(server: service.Server) -> set[str]:
    lines = server.metrics().splitlines()
    return {line.partition('version="')[2].partition('"')[0] for line in lines if "talentfeed_snapshot_info{" in line}


def _show(starts: dict[int, list[float]], builds: list[float], memory: dict[str, float]) -> None:
    table = Table(title="Start, build and memory", title_justify="left")
    for name in ("", "old service", "aim", "median", "best", "worst"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)

    def seconds(name: str, times: list[float], aim: float, old: str = "") -> None:
        shown = [f"{value:.2f} s" for value in (statistics.median(times), min(times), max(times))]
        table.add_row(name, old, f"≤ {aim:g} s", *shown)

    seconds("first feed, one worker", starts[1], AIMS["start"], f"{OLD['start']} s")
    seconds(f"a feed of each of {WORKERS} workers", starts[WORKERS], AIMS["start4"])
    seconds("talentfeed build", builds[1:], AIMS["build"])
    table.add_row("the first one", "", "", f"{builds[0]:.2f} s", "", "")
    for name, value in memory.items():
        total = not name.startswith("snapshot")
        aims = ("", "") if not total else (f"{OLD['memory']:,.0f} MB", f"≤ {AIMS['memory']:g} MB")
        table.add_row(f"{WORKERS} workers, PSS {name}" if total else name, *aims, f"{value:.1f} MB", "", "")
    for_tables().print(table)


if __name__ == "__main__":
    main()
