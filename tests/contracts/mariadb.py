"""A real MariaDB in a folder of its own; or a MySQL, where MYSQLD names its program."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncmy
from tests.contracts.ports import free_port

from talentfeed.stores.mysql import Account

Result = TypeVar("Result")
USER, PASSWORD = "talentfeed", "p@ss:w/ör%d#?"  # what has a meaning in a URL, and more than latin-1's ASCII


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is not installed; `make setup` installs it"
    return found


@dataclass
class MariaServer:
    """Started once; each test takes a schema of its own."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    arguments: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Ready when this returns; the account of the service may do everything."""
        data = self.folder / "data"
        # two of them that install at once meet in a common folder for temporary tables
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        fresh = not data.exists()
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        server = os.environ.get("MYSQLD") or program("mariadbd")
        mysql = "MYSQLD" in os.environ
        if fresh:
            if mysql:
                command = [server, "--no-defaults", "--initialize-insecure", f"--datadir={data}", *as_root]
            else:
                command = [program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"]
                command += ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
            done = subprocess.run(command, capture_output=True, check=False, env=environment)
            assert done.returncode == 0, done.stdout + done.stderr
        self.port = self.port or free_port()
        command = [server, "--no-defaults", f"--datadir={data}", f"--port={self.port}", *as_root]
        command += [f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid", "--bind-address=127.0.0.1"]
        command += ["--skip-log-bin", "--innodb-buffer-pool-size=64M", "--default-time-zone=-05:00"]
        # MySQL's root is root@localhost alone, which is a name; and it listens and refuses more than MariaDB
        command += ["--mysqlx=OFF", "--secure-file-priv="] if mysql else ["--skip-name-resolve"]
        command += ["--innodb-log-file-size=16M", *self.arguments]
        with (self.folder / "mariadb.log").open("ab") as output:
            # restore_signals: a file that may not grow is an error to it, as it is to us, and no end
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, restore_signals=False
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.execute("SELECT 1")
                break
            except (asyncmy.errors.Error, OSError):
                assert self.process.poll() is None, (self.folder / "mariadb.log").read_text()
                assert time.monotonic() < deadline, (self.folder / "mariadb.log").read_text()
                time.sleep(0.05)
        if fresh:
            self.grant("ALL PRIVILEGES ON *.*", USER, PASSWORD)

    def grant(self, rights: str, user: str, password: str) -> None:
        self.execute(f"CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}'")
        self.execute(f"GRANT {rights} TO '{user}'@'%'")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def account(self, database: str, **more: Any) -> Account:
        parts: dict[str, Any] = {"host": "127.0.0.1", "user": USER, "password": PASSWORD, **more}
        return Account(port=self.port, database=database, **parts)

    def use_tls(self, certificates: Path) -> None:
        """With what `make_certificates` made in that folder, for clients that ask for it."""
        self.arguments += [f"--ssl-cert={certificates}/server.crt", f"--ssl-key={certificates}/server.key"]

    def execute(self, sql: str, *, database: str | None = None) -> list[tuple[Any, ...]]:
        """As root; → the rows."""

        async def run(connection: Any) -> list[tuple[Any, ...]]:
            async with connection.cursor() as cursor:
                await cursor.execute(sql)
                return list(await cursor.fetchall())

        rows: list[tuple[Any, ...]] = self._alone(run, database)
        return rows

    def load(self, table: str, rows: Path, columns: Sequence[str], *, database: str) -> None:
        """A file's rows into a table, as root: comma-separated cells, texts in quotes, `NULL`.

        As a server of old takes it: what does not fit is bent to fit.
        """
        path = rows.absolute()

        async def run(connection: Any) -> None:
            async with connection.cursor() as cursor:
                await cursor.execute("SET SESSION sql_mode = '', time_zone = '+00:00', max_error_count = 0")
                await cursor.execute(
                    f"LOAD DATA INFILE '{path}' INTO TABLE {table} CHARACTER SET utf8mb4 FIELDS TERMINATED "
                    f"BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' ({', '.join(columns)})"
                )

        path.chmod(0o644)  # the server may run as another user
        self._alone(run, database)

    def _alone(self, work: Any, database: str | None) -> Any:
        async def connected() -> Any:
            connection = await asyncmy.connect(
                host="127.0.0.1", port=self.port, user="root", db=database, charset="utf8mb4", autocommit=True
            )
            try:
                return await work(connection)
            finally:
                await connection.ensure_closed()

        return in_a_thread(connected())

    @contextlib.contextmanager
    def holding(self, sql: str, *, database: str) -> Iterator[None]:
        """While inside, a session of root's holds what it has got by this statement."""
        held, done = threading.Event(), threading.Event()

        async def hold(connection: Any) -> None:
            async with connection.cursor() as cursor:
                await cursor.execute(sql)
            held.set()
            await asyncio.to_thread(done.wait)

        thread = threading.Thread(target=self._alone, args=(hold, database))
        thread.start()
        assert held.wait(60)
        try:
            yield
        finally:
            done.set()
            thread.join()


def in_a_thread(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it to its end, also from where a loop runs."""
    answer: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever asked
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]
