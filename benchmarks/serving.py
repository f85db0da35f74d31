"""The phases of `benchmarks.serve`: servers started, asked by wrk, and ended again."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.options import PRESET
from benchmarks.output import for_tables
from benchmarks.pulse import Pulse, pulse
from benchmarks.ready import PATH
from rich.table import Table
from tests.contracts.backends import RedisServer
from tests.contracts.ports import free_port

from talentfeed.console import emit, progress

CONNECTIONS = 16
KEY = "an-admin-key-for-a-benchmark"
FEED = "/api/search/total"
_SCRIPT = Path(__file__).with_suffix(".lua")
_LONG = 300_000  # bytes of excluded ids
_PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk saw; times in ms."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def run(*, seconds: int, data: str | None) -> None:
    """Measure; table and JSON line on stdout."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed. Install it:  apt-get install wrk   (`make bench-serve` does)")
    with contextlib.ExitStack() as ends, progress() as told:
        temporary = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="talentfeed-serve-")))
        redis = RedisServer(temporary)
        # what sessions and waiting activities are: kept by a snapshot or a log once a second, not at every write
        # and the log is not written anew meanwhile: that copy would compete with the generator for its core, where a
        # Redis of its own has others
        redis.arguments = ["--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]
        redis.start()
        ends.callback(redis.kill)
        folder = Path(data) if data else temporary / "data"
        environment = _environment(temporary, folder, redis.port)
        told("data", 0.1)
        _demo(environment, folder)
        told("data", 1.0)
        server = ends.enter_context(_serving(environment))
        assert redis.process is not None
        server.others = (redis.process.pid,)
        (temporary / "ready").write_bytes(_post(server.url + FEED, {"user_id": 7}))
        server.hold(1)
        told("the machine", 0.1)
        machine = pulse(seconds=seconds, core=min(os.sched_getaffinity(0)))
        told("the machine", 1.0)
        told("feeds", 0.1)
        _load(server, FEED, seconds=2)
        loads = {"feeds": _load(server, FEED, seconds=seconds)}
        loads["ready bytes"] = _load(server, PATH, seconds=seconds)
        told("feeds", 1.0)
        told("half load", 0.1)
        pause = CONNECTIONS / (loads["feeds"].rate / 2) * 1e3
        loads["half load"] = _load(server, FEED, seconds=seconds, pause=pause)
        # what the machine, the generator and the framework make of the same rate without a feed
        loads["ready bytes at that rate"] = _load(server, PATH, seconds=seconds, pause=pause)
        with _neighbour(server.url):
            loads["half load beside 300,000-byte bodies"] = _load(server, FEED, seconds=seconds, pause=pause)
        told("half load", 1.0)
        told("a reload", 0.1)
        server.hold(None)
        loads["half load, all cores"] = _load(server, FEED, seconds=seconds, pause=pause)
        with _reload(server.url) as answers:
            loads["half load during a reload"] = _load(server, FEED, seconds=seconds, pause=pause)
        told("a reload", 1.0)
    _show(loads, answers, machine)


@dataclass
class _Server:
    url: str
    process: subprocess.Popen[bytes]
    others: Sequence[int] = ()  # processes that are kept off its cores

    def hold(self, cores: int | None) -> None:
        """The process that serves to so many cores; None: to all. Who flushes beside it and Redis have the others."""
        every = sorted(os.sched_getaffinity(0))
        own = self.process.pid
        beside = map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())
        _hold(own, every[:cores])
        for pid in (*self.others, *beside):
            _hold(pid, every[cores:] if cores and cores < len(every) else every)


def _hold(pid: int, cores: list[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _environment(temporary: Path, data: Path, redis_port: int) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "HOME", "LANG"}}
    return {
        **kept,
        "DATA_DIR": str(data),
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_port),
        "API_PORT": str(free_port()),
        "ADMIN_API_KEY": KEY,
        "LOG_FILE": "off",
        "LOG_LEVEL": "WARNING",
        "READY_BYTES": str(temporary / "ready"),
        "PRESET": PRESET,
    }


def _demo(environment: Mapping[str, str], folder: Path) -> None:
    """Data and snapshot at today's scale, unless they are there."""
    if (folder / "snapshots").exists():
        return
    code = (
        "from talentfeed import embedded, settings\n"
        "embedded.demo_data(settings.load(), scale=None, seed=None, reset=False)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=sys.stderr)


@contextlib.contextmanager
def _serving(environment: Mapping[str, str]) -> Iterator[_Server]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.ready", "serve"], env=environment, stdout=sys.stderr)
    server = _Server(f"http://127.0.0.1:{environment['API_PORT']}", process)
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(server.url + "/health/ready", timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the server did not start; what it said is above")
            time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _post(url: str, body: Mapping[str, Any], **headers: str) -> bytes:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(asked, timeout=_PATIENCE) as answer:
        found: bytes = answer.read()
    return found


def _load(server: _Server, path: str, *, seconds: int, pause: float = 0.0) -> Load:
    """By wrk, on the last core where there are several."""
    cores = sorted(os.sched_getaffinity(0))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT), server.url]
    done = subprocess.run(
        command,
        env={**os.environ, "TARGET": path, "PAUSE": f"{pause:.3f}"},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores[-1:]),
    )
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))


@contextlib.contextmanager
def _neighbour(url: str) -> Iterator[None]:
    """Somebody who sends long bodies."""
    ids = "1234567," * (_LONG // 8)
    stop, failed = threading.Event(), list[Exception]()

    def send() -> None:
        try:
            while not stop.wait(0.1):
                _post(url + FEED, {"user_id": 3, "excluded_ids": ids[:-1]})
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


@contextlib.contextmanager
def _reload(url: str) -> Iterator[list[Any]]:
    """Reloads, one after the other, while the block lasts; their answers."""
    answers: list[Any] = []
    stop = threading.Event()

    def reload() -> None:
        while not stop.is_set():
            answers.append(json.loads(_post(url + "/api/search/reload", {}, **{"X-Admin-Key": KEY})))

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def _show(loads: Mapping[str, Load], answers: list[Any], machine: Pulse) -> None:
    table = Table(title=f"One worker on one core, {CONNECTIONS} connections, Redis recording")
    for name in ("", "a second", "p50 ms", "p99 ms", "errors"):
        table.add_column(name, justify="left" if not name else "right")
    for name, one in loads.items():
        table.add_row(name, f"{one.rate:,.0f}", f"{one.p50:.2f}", f"{one.p99:.2f}", str(one.errors))
    console = for_tables()
    console.print(table)
    feeds, ready = loads["feeds"], loads["ready bytes"]
    ratio = loads["half load during a reload"].p99 / loads["half load, all cores"].p99
    console.print(
        f"{feeds.rate / ready.rate:.0%} of what ready-made bytes reach; a reload takes p99 to {ratio:.2f}x "
        f"({len(answers)} reloads)."
    )
    console.print(
        f"The machine alone: a fixed computation took {machine.p50:.2f} ms at the median, {machine.p99:.2f} at the "
        f"99th percentile, {machine.worst:.1f} at worst; {machine.slow:.1%} took over three times the median."
    )
    emit(
        {
            "feeds_per_s": round(feeds.rate, 1),
            "ready_bytes_per_s": round(ready.rate, 1),
            "share": round(feeds.rate / ready.rate, 4),
            "p50_ms": round(feeds.p50, 3),
            "p99_ms_half_load": round(loads["half load"].p99, 3),
            "p99_ms_ready_bytes_at_that_rate": round(loads["ready bytes at that rate"].p99, 3),
            "p99_ms_beside_long_bodies": round(loads["half load beside 300,000-byte bodies"].p99, 3),
            "reload_p99_ratio": round(ratio, 3),
            "machine": {name: round(value, 4) for name, value in dataclasses.asdict(machine).items()},
            "errors": sum(one.errors for one in loads.values()),
        }
    )
