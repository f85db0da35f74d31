"""What requests leave in the log: their id on every line, and of persons nothing but ids."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import LocalService, admin, small_catalogue

from talentfeed import logs

PERSONAL = (
    "Ana Restrepo",
    "ana@example.org",
    "Medellín",
    "+57 300 1234567",
    "203.0.113.7",
    "Curious-Agent",
    "my-cookie",
)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log's file, as the service writes it at INFO."""
    monkeypatch.setattr(logging.getLogger("httpx2"), "disabled", True)  # the tests' client speaks too
    root = logging.getLogger()
    handlers, level, file = root.handlers[:], root.level, tmp_path / "talent.log"
    logs.set_up(file=file, form="json")
    yield file
    for handler in root.handlers[:]:
        handler.close()
    root.handlers, root.level = handlers, level


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_line_of_a_request_has_its_id_also_beside_others(
    client: TestClient, service: LocalService, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.recorder, "served", refuse)  # a line for each feed

    def feed(number: int) -> None:
        headers = {"X-Request-ID": f"request-{number}"}
        assert client.post("/api/search/total", json={"user_id": number}, headers=headers).status_code == 200

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(feed, range(1, 21)))
    found = [line["request_id"] for line in lines(written) if "could not be recorded" in line["message"]]
    assert sorted(found) == sorted(f"request-{number}" for number in range(1, 21))
    client.post("/api/admin/flush", headers={**admin("mistaken"), b"X-Request-ID": b"by-admin"})
    assert lines(written)[-1]["request_id"] == "by-admin"


def test_at_info_the_log_tells_of_persons_nothing_but_ids(
    client: TestClient, service: LocalService, written: Path
) -> None:
    headers = {"User-Agent": "Curious-Agent/1", "X-Forwarded-For": "203.0.113.7", "Cookie": "session=my-cookie"}
    about = {"name": "Ana Restrepo", "email": "ana@example.org", "city": "Medellín", "phone": "+57 300 1234567"}
    event = {"event_type": "like", "user_id": 7, "video_id": 1_000, **about}
    service.next_snapshot = small_catalogue("newer")
    for path, body in (
        ("/api/search/total", {"user_id": 7, **about}),
        ("/api/search/total", {"user_id": "ana@example.org"}),
        ("/api/search/discover", {"user_id": 7, "session_id": "Ana Restrepo"}),
        ("/api/activities", event),
        ("/api/activities", {**event, "event_type": "Ana Restrepo"}),
        ("/api/activities", [about]),
        ("/api/search/reload", about),
        ("/nowhere/ana@example.org", about),
    ):
        client.post(path, json=body, headers=headers)
    client.post("/api/admin/flush", headers={**admin("ana@example.org"), b"X-Request-ID": b"ana@example.org"})
    client.post("/api/admin/flush", headers=admin())
    text = written.read_text()
    assert "Refused an admin call" in text, "nothing was logged, so nothing is shown"
    assert not [value for value in PERSONAL if value in text]
