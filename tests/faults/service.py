"""A service as a process of its own, with a wall clock of its own."""

import http.client
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 120.0  # any start, on a machine that is busy
LIBFAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")


@dataclass
class Clock:
    """A file that libfaketime reads: how far a process' wall clock is from the right time."""

    file: Path

    def set(self, seconds: float) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{seconds:+.0f}\n")
        draft.replace(self.file)

    def environment(self) -> dict[str, str]:
        found = [path for pattern in LIBFAKETIME for path in Path("/").glob(pattern.lstrip("/"))]
        assert found, "libfaketime is not installed; `make setup` installs it (Debian package faketime)"
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",  # no clock of an operating system steps that one
        }


@dataclass
class Service:
    """`talentfeed serve`, with a flusher in it."""

    folder: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """It will answer by and by."""
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "talentfeed", "serve"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
            )

    def wait(self) -> None:
        """Until it serves."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
