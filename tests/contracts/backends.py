"""The stores that one suite runs against: the in-process one, and a real server on a free port."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fakeredis
import redis as blocking
from redis.asyncio import Redis
from tests.contracts.ports import free_port

from talentfeed.stores.redis import open_redis


@dataclass
class RedisServer:
    """A real redis-server in a folder of its own, append-only: an answer means that it is on disk."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    arguments: list[str] = field(default_factory=list)

    tls_port: int = 0

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed; `make setup` installs it"
        self.port = self.port or free_port()
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", *self.arguments]
        with (self.folder / "redis.log").open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + 60
        with blocking.Redis(port=self.port, socket_timeout=1) as client:
            while True:
                with contextlib.suppress(blocking.ConnectionError, blocking.TimeoutError):
                    if client.ping():
                        return
                assert time.monotonic() < deadline, (self.folder / "redis.log").read_text()
                time.sleep(0.02)

    def start_tls(self, certificates: Path) -> None:
        """Also on a second port with TLS, with what `make_certificates` made in that folder."""
        self.tls_port = free_port()
        self.arguments = ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
        for name, file in (("cert", "server.crt"), ("key", "server.key"), ("ca-cert", "ca.crt")):
            self.arguments += [f"--tls-{name}-file", str(certificates / file)]
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While inside, it says nothing."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Backend:
    """One store, empty, and clients of it that share what is in it."""

    name: str
    fake: fakeredis.FakeServer | None = None
    real: RedisServer | None = None
    way: Mapping[str, Any] = field(default_factory=dict)  # how to reach the real one, where that is not directly

    def client(self) -> Redis:
        if self.way:
            return open_redis(db=1, **self.way)
        if self.real is not None:
            return open_redis(host="127.0.0.1", port=self.real.port, db=1)
        return open_redis(host=None, server=self.fake)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """While inside, the store does not answer; what is in it stays."""
        if self.real is not None:
            self.real.kill()
            try:
                yield
            finally:
                self.real.start()
            return
        assert self.fake is not None
        self.fake.connected = False
        try:
            yield
        finally:
            self.fake.connected = True


async def strings(client: Redis, key: str) -> list[bytes]:
    """A whole list."""
    found: Any = await client.lrange(key, 0, -1)
    return list(found)
