"""The processes of a round: MariaDB, Redis, an SSH bastion and three services, on loopback, in one folder."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncmy
import redis as blocking
from tests.contracts import mysql_schema
from tests.contracts.backends import RedisServer
from tests.contracts.mariadb import MariaServer
from tests.contracts.ports import free_port
from tests.contracts.sshd import SshServer
from tests.faults.plan import SERVERS, SERVICES
from tests.faults.service import Clock, Service

from talentfeed.settings import Settings
from talentfeed.stores.database import ledger_ddl

ROOT = Path(__file__).parents[2]
SCHEMA = "talentpitch"
READER, WRITER = ("reader", "r"), ("writer", "w")
POISON = 666  # the database refuses activities on this item
ADMIN = "X-Admin-Key: k\r\n"
LEASE = 1.0  # seconds: shorter than most freezes, so that others take over from holders that come back
PRUNE = 1.0  # seconds: who comes back from a longer freeze finds its batch forgotten
_MOVE = """
for _, key in ipairs(KEYS) do
  local all = redis.call('ZRANGE', key, 0, -1)
  for _, member in ipairs(all) do redis.call('ZINCRBY', key, ARGV[1], member) end
end
"""


@dataclass
class World:
    """All of it. Each fault is over, and what died is up again, when its method returns."""

    folder: Path
    maria: MariaServer = field(init=False)
    redis: RedisServer = field(init=False)
    bastion: SshServer = field(init=False)
    services: list[Service] = field(default_factory=list)
    clocks: dict[str, Clock] = field(default_factory=dict)
    _flushing: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        for name in (*SERVICES, *SERVERS):
            (self.folder / name).mkdir()
        self.maria = MariaServer(self.folder / "mariadb")
        # small files: whatever it must be able to write while the disk is full is below what `activity_log` grows to
        self.maria.arguments = [
            "--innodb-log-file-size=4M",
            "--innodb-data-file-path=ibdata1:5M:autoextend",
            "--innodb-temp-data-file-path=ibtmp1:12M:autoextend",
            "--innodb-autoextend-increment=1",
        ]
        with ThreadPoolExecutor() as pool:
            parts = [pool.submit(self._make_snapshot), pool.submit(self.maria.start)]
            for part in parts:
                part.result()
        self.redis = RedisServer(self.folder / "redis")
        self.redis.start()
        self.bastion = SshServer(self.folder / "bastion")
        self.bastion.start()
        self._make_tables()
        for name in SERVICES:
            clock, port = Clock(self.folder / name / "clock"), free_port()
            clock.set(0)
            self.clocks[name] = clock
            self.services.append(Service(self.folder / name, port, self._environment(port, clock)))
            if name != SERVICES[-1]:  # one of them is beside its stores, as a pod in the same network
                self.services[-1].environment |= self.bastion.settings
        for service in self.services:
            service.launch()
        for service in self.services:
            service.wait()
        self._locks = {name: asyncio.Lock() for name in (*SERVICES, *SERVERS)}

    def switch_ledger_off(self) -> None:
        """Without its primary key it refuses nothing: the protocol goes on, and nothing makes a batch once."""
        self.maria.execute("ALTER TABLE talentfeed_ledger DROP PRIMARY KEY, ADD KEY (batch_id)", database=SCHEMA)

    def stop(self) -> None:
        for one in (*self.services, *(getattr(self, name, None) for name in ("bastion", "redis", "maria"))):
            if one is not None:
                one.kill()

    def _make_tables(self) -> None:
        execute = self.maria.execute
        mysql_schema.create(self.maria, SCHEMA, only_activity_log=True)
        execute(ledger_ddl("mysql"), database=SCHEMA)
        execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON activity_log FOR EACH ROW IF NEW.subject_id = {POISON} THEN "
            "SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 4025, MESSAGE_TEXT = 'CONSTRAINT `subject` failed'; END IF",
            database=SCHEMA,
        )
        self.maria.grant(f"SELECT ON {SCHEMA}.*", *READER)
        self.maria.grant(f"SELECT, INSERT ON {SCHEMA}.activity_log", *WRITER)
        execute(f"GRANT SELECT, INSERT, DELETE ON {SCHEMA}.talentfeed_ledger TO '{WRITER[0]}'@'%'")

    def _environment(self, port: int, clock: Clock) -> dict[str, str]:
        return self._no_settings() | clock.environment() | {
            "API_PORT": str(port),
            "ADMIN_API_KEY": "k",
            "DATA_DIR": str(self.folder / "var"),
            "LOG_FILE": "off",
            "MYSQL_HOST": "127.0.0.1",
            "MYSQL_PORT": str(self.maria.port),
            "MYSQL_USER": READER[0],
            "MYSQL_PASSWORD": READER[1],
            "MYSQL_DB": SCHEMA,
            "MYSQL_WRITE_USER": WRITER[0],
            "MYSQL_WRITE_PASSWORD": WRITER[1],
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis.port),
            "FLUSH_THRESHOLD_ACTIVITIES": "20",
            "FLUSH_INTERVAL_SECONDS": "1",
            "FLUSH_BESIDE": "false",  # so that who is killed or frozen is who flushes
            "FLUSH_LEASE_SECONDS": str(LEASE),
            "LEDGER_PRUNE_SECONDS": str(PRUNE),
        }  # fmt: skip

    def _make_snapshot(self) -> None:
        """A small one, which all services map."""
        environment = self._no_settings() | {"LOG_FILE": "off", "DATA_DIR": str(self.folder / "var")}
        command = [sys.executable, "-m", "talentfeed", "demo", "--scale", "0.02", "--seed", "3", "--no-serve"]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()

    @staticmethod
    def _no_settings() -> dict[str, str]:
        unset = {name.upper() for name in Settings.model_fields}
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        return environment | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "BLACKLIST_PATH": str(ROOT / "data/blacklist.csv"),
        }

    # ------------------------------------------------------------ faults

    def _one(self, target: str) -> Any:
        if target.startswith("service-"):
            return self.services[int(target.removeprefix("service-"))]
        return {"mariadb": self.maria, "redis": self.redis, "bastion": self.bastion}[target]

    async def kill(self, target: str, seconds: float) -> None:
        """kill -9; up again `seconds` later, but for a service: others answer while it starts, or it dies once more."""
        async with self._locks[target]:
            one = self._one(target)
            await asyncio.to_thread(one.kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(one.launch if isinstance(one, Service) else one.start)

    async def freeze(self, target: str, seconds: float) -> None:
        """SIGSTOP for so long."""
        async with self._locks[target]:
            one = self._one(target)
            if isinstance(one, SshServer):  # a process for each connection
                with one.frozen():
                    await asyncio.sleep(seconds)
                return
            one.process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                one.process.send_signal(signal.SIGCONT)

    async def freeze_in_mid_write(self, target: str, seconds: float) -> None:
        """SIGSTOP between a service's statements and its commit, while others go on and take over from it."""
        async with self._locks["mariadb"], self._locks[target]:
            process = self._one(target).process
            holding = self.maria.holding("LOCK TABLES activity_log READ", database=SCHEMA)
            await asyncio.to_thread(holding.__enter__)
            try:
                await asyncio.to_thread(self._until_all_write)
                process.send_signal(signal.SIGSTOP)
            finally:
                await asyncio.to_thread(holding.__exit__, None, None, None)
            try:
                await asyncio.sleep(seconds)
            finally:
                process.send_signal(signal.SIGCONT)

    def _until_all_write(self) -> None:
        """Or for a while: others may be down now, or nothing waits."""
        until, batches = time.monotonic() + 2.5, 0
        while time.monotonic() < until and batches < len(self.services):
            time.sleep(0.05)
            with contextlib.suppress(blocking.RedisError), self.in_redis() as client:
                batches = int(client.zcard("flushing"))

    async def step_clock(self, target: str, amount: float) -> None:
        """A service's wall clock is `amount` seconds from the right time, until the next step.

        Redis' cannot be told from outside. To the protocol a step of it means that all the times it has noted lie so
        much further back, or ahead: so they are moved.
        """
        if target != "redis":
            self.clocks[target].set(amount)
            return
        async with self._locks[target]:
            with self.in_redis() as client:
                client.eval(_MOVE, 2, "flushing", "waiting", -amount)

    async def read_only(self, seconds: float) -> None:
        """MariaDB takes no writes, as a primary that was demoted."""
        async with self._locks["mariadb"]:
            await asyncio.to_thread(self.maria.execute, "SET GLOBAL read_only = 1")
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.maria.execute, "SET GLOBAL read_only = 0")

    async def full_disk(self, seconds: float) -> bool:
        """No file of MariaDB's may grow, and another application has used up the room. → whether it was full."""
        async with self._locks["mariadb"]:
            process = self.maria.process
            assert process is not None
            sizes = [file.stat().st_size for file in (self.folder / "mariadb/data").rglob("*") if file.is_file()]
            unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (max(sizes), unlimited[1]))
            try:
                full = await asyncio.to_thread(self._use_up)
                await asyncio.sleep(seconds)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
                if process.poll() is not None:  # some writes it cannot do without: then it ends itself
                    await asyncio.to_thread(self._one("mariadb").kill)
                    await asyncio.to_thread(self.maria.start)
            return full

    def _use_up(self) -> bool:
        row = "('other app', 'another application', REPEAT('x', 16000))"
        sql = f"INSERT INTO activity_log (log_name, description, properties) VALUES {', '.join([row] * 16)}"  # noqa: S608
        for _ in range(256):
            try:
                self.maria.execute(sql, database=SCHEMA)
            except asyncmy.errors.Error as error:
                if error.args[0] in {1114, 1021, 3}:  # table full, disk full, error writing a file
                    return True
                raise
        return False

    async def flush_command(self, seconds: float) -> None:
        """`talentfeed flush` beside the services from now on; killed if it takes longer, be it in a later round."""
        self._flushing.append(asyncio.create_task(asyncio.to_thread(self._flush_command, seconds)))

    async def flush_commands_end(self) -> None:
        await asyncio.gather(*self._flushing)

    def _flush_command(self, seconds: float) -> None:
        command, environment = [sys.executable, "-m", "talentfeed", "flush"], self.services[0].environment
        with (self.folder / "flush.log").open("ab") as output, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command, cwd=self.folder, env=environment, stdout=output, stderr=output, timeout=seconds, check=False
            )

    # ------------------------------------------------------------ looking

    @contextlib.contextmanager
    def in_redis(self) -> Iterator[blocking.Redis]:
        with blocking.Redis(port=self.redis.port, db=1, socket_timeout=60) as client:
            yield client
