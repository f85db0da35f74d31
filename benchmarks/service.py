"""Real servers for benchmarks and load tests: the platform's database, Redis, and `talentfeed serve` on loopback."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.database import demo_on_mariadb
from tests.contracts.backends import RedisServer
from tests.contracts.ports import free_port

ADMIN_KEY = "benchmark"
ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def platform(folder: Path, scale: float, *, said: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """MariaDB with the demo's data and our ledger, and an append-only Redis; → the environment of commands."""
    (folder / "database").mkdir()
    redis = RedisServer(folder)
    with demo_on_mariadb(folder / "database", scale, said=said) as database:
        redis.start()
        try:
            environment = {
                **database,
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis.port),
                "ADMIN_API_KEY": ADMIN_KEY,
                "LOG_FILE": "off",
                "BLACKLIST_PATH": str(ROOT / "data/blacklist.csv"),
            }
            run(folder, environment, "ledger", "--create")
            yield environment
        finally:
            redis.kill()


def run(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    """One command to its end; → stdout. Raises RuntimeError with what it said where it fails."""
    command = [sys.executable, "-m", "talentfeed", *arguments]
    done = subprocess.run(command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"talentfeed {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


@dataclass
class Server:
    """`talentfeed serve` in a process of its own."""

    folder: Path
    environment: Mapping[str, str]
    workers: int = 1
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns at once."""
        command = [sys.executable, "-m", "talentfeed", "serve", "--workers", str(self.workers)]
        environment = {**self.environment, "API_PORT": str(self.port)}
        with (self.folder / "server.log").open("ab") as output:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=output, stderr=output)

    def wait(self) -> None:
        """Until every worker serves. Raises RuntimeError with the log where the server ends."""
        while self.ready() < self.workers:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError((self.folder / "server.log").read_text()[-2_000:])
            time.sleep(0.02)

    def ready(self) -> int:
        """How many workers have a snapshot to serve."""
        try:
            return len(re.findall(r"^talentfeed_ready(?:\{.*\})? 1\.0$", self.metrics(), re.MULTILINE))
        except OSError:
            return 0

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = 120.0) -> tuple[int, Any]:
        """On a connection of its own; → status and answer."""
        status, content = self._ask(method, path, None if body is None else json.dumps(body), timeout)
        return status, json.loads(content)

    def metrics(self) -> str:
        """What /metrics shows."""
        return self._ask("GET", "/metrics", None, 30.0)[1].decode()

    def count(self, metric: str) -> float:
        """A metric's sum over workers and labels."""
        found = re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", self.metrics(), re.MULTILINE)
        return sum(map(float, found))

    def _ask(self, method: str, path: str, body: str | None, timeout: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"X-Admin-Key": ADMIN_KEY, "Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()

    def stop(self) -> int:
        """→ the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def pids(self) -> list[int]:
        """The server's process and its workers, those that are there now."""
        assert self.process is not None
        own = self.process.pid
        return [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]

    def memory(self) -> float:
        """PSS of all its processes, MB: a page that several share is counted once."""
        return sum(map(_pss, self.pids())) / 1024


def _pss(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.findall(r"^Pss: +(\d+) kB$", text, re.MULTILINE)[0])


def snapshot_memory(pid: int) -> tuple[float, float]:
    """Of a snapshot's files, by smaps: MB that a process has mapped and read, and its share of them (PSS)."""
    resident = share = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(".npy")
        elif inside and line.startswith("Rss:"):
            resident += int(line.split()[1])
        elif inside and line.startswith("Pss:"):
            share += int(line.split()[1])
    return resident / 1024, share / 1024
