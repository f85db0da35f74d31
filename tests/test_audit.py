"""The dependency audit finds what is known, and says that it is skipped where nobody can be asked."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.loopback import answering

ROOT = Path(__file__).parents[1]
PIN = "tomli==1.0.0 --hash=sha256:" + "0" * 64 + "\nidna==3.0 --hash=sha256:" + "1" * 64 + "\n"


class Vulnerabilities(ThreadingHTTPServer):
    """Answers as OSV does; knows what is in `known`: a package's name to an advisory's id."""

    daemon_threads = True

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: Vulnerabilities

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, version = query["package"]["name"], query["version"]
        self.server.asked.add(name)
        found: dict[str, Any] = {}
        if name in self.server.known:
            affected = {"package": {"name": name, "ecosystem": "PyPI"}, "versions": [version]}
            when = "2026-01-01T00:00:00Z"
            vulnerability = {"id": self.server.known[name], "summary": "bad", "affected": [affected]}
            found = {"vulns": [{**vulnerability, "details": "bad", "published": when, "modified": when}]}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def advisories() -> Iterator[Vulnerabilities]:
    with answering(Vulnerabilities()) as server:
        yield server


def audit(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`scripts/audit.sh` on two pins."""
    pins = folder / "pins.txt"
    pins.write_text(PIN)
    return subprocess.run(
        [ROOT / "scripts/audit.sh", pins],
        env={**os.environ, "OSV_URL": url, "PYTHON": sys.executable, "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_known_is_well(advisories: Vulnerabilities, tmp_path: Path) -> None:
    done = audit(f"http://127.0.0.1:{advisories.server_port}/v1/query", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "SKIPPED" not in done.stdout
    assert {"tomli", "idna"} <= advisories.asked


def test_what_is_known_fails_with_its_name(advisories: Vulnerabilities, tmp_path: Path) -> None:
    advisories.known = {"idna": "PYSEC-2026-1"}
    done = audit(f"http://127.0.0.1:{advisories.server_port}/v1/query", tmp_path)
    assert done.returncode == 1
    assert "idna" in done.stdout
    assert "PYSEC-2026-1" in done.stdout


def test_where_nobody_can_be_asked_it_is_skipped_in_one_clear_line(tmp_path: Path) -> None:
    done = audit("http://127.0.0.1:9/v1/query", tmp_path)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("SKIPPED: no dependency audit")
