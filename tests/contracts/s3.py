"""A real S3 server on loopback, in memory: moto's, in a process of its own."""

import contextlib
import http.client
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.ports import free_port

BUCKET = "snapshots"


@dataclass
class S3Server:
    """Started once; each test takes a prefix of its own in `BUCKET`."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Ready, and with its bucket, when this returns."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with (self.folder / "s3.log").open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                with contextlib.closing(connection):
                    connection.request("PUT", f"/{BUCKET}")
                    assert connection.getresponse().status == 200
                    return
            assert self.process.poll() is None, (self.folder / "s3.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "s3.log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def environment(self) -> dict[str, str]:
        """What the libraries of S3 read."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret-of-s3",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
