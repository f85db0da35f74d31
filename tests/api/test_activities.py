"""What clients report, from the request to the row."""

import logging
import sqlite3
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import LocalService

from talentfeed.errors import RowsRefusedError, StoreUnavailableError


def rows(service: LocalService) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(service.settings.embedded_database)
    try:
        return connection.execute(
            "SELECT causer_id, subject_id, subject_type, description, created_at FROM activity_log "
            "WHERE json_extract(properties, '$.source') = 'client' ORDER BY id"
        ).fetchall()
    finally:
        connection.close()


def report(client: TestClient, body: dict[str, Any], status: int = 202) -> Any:
    response = client.post("/api/activities", json=body)
    assert response.status_code == status, response.text
    return response.json()


def like(video_id: int = 1_000, **more: Any) -> dict[str, Any]:
    return {"event_type": "like", "user_id": 1, "video_id": video_id, **more}


def test_one_event_is_committed_before_it_is_acknowledged(client: TestClient, service: LocalService) -> None:
    assert report(client, like()) == {"statusCode": 202, "body": {"accepted": 1}}
    [(causer, subject, subject_type, description, _)] = rows(service)
    assert (causer, subject) == (1, 1_000)
    assert subject_type == r"App\Interacpedia\Resumes\Resume"
    assert description.startswith("#video #like")


def test_several_events_are_counted_and_all_stored(client: TestClient, service: LocalService) -> None:
    events = [like(1_000 + number) for number in range(500)]
    assert report(client, {"activities": events})["body"] == {"accepted": 500}
    assert len(rows(service)) == 500


def test_a_repeated_event_id_is_acknowledged_and_stored_once(client: TestClient, service: LocalService) -> None:
    for _ in range(2):
        assert report(client, like(event_id="e-1"))["body"] == {"accepted": 1}
    again = {"activities": [like(event_id="e-1"), like(event_id="e-2"), like(event_id="e-2")]}
    assert report(client, again)["body"] == {"accepted": 3}
    assert len(rows(service)) == 2


def test_the_same_event_id_of_another_user_is_another_event(client: TestClient, service: LocalService) -> None:
    report(client, like(event_id="e-1"))
    report(client, like(event_id="e-1", user_id=2))
    assert len(rows(service)) == 2


def test_one_wrong_event_keeps_all_of_them_out(client: TestClient, service: LocalService) -> None:
    answer = report(client, {"activities": [like(), like(), like(), {**like(), "event_type": "rating"}]}, 422)
    assert [error["field"] for error in answer["errors"]] == ["activities[3].value"]
    assert rows(service) == []


def test_a_flow_is_reported_as_a_challenge(client: TestClient, service: LocalService) -> None:
    report(client, like(5_000, item_type="challenge"))
    assert rows(service)[0][2] == r"App\Interacpedia\Challenges\Challenge"


def test_events_are_taken_before_there_is_a_snapshot(client: TestClient, service: LocalService) -> None:
    service.serving = None
    assert report(client, like())["body"] == {"accepted": 1}


def test_while_an_event_cannot_be_stored_the_answer_is_503_and_when_to_come_again(
    client: TestClient, service: LocalService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def locked(events: object) -> set[str]:
        raise StoreUnavailableError("10.1.2.3 does not answer", retry_after=7)

    monkeypatch.setattr(service.activity_log, "write_events", locked)
    with caplog.at_level(logging.WARNING):
        response = client.post("/api/activities", json=like())
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "7"
    assert "10.1.2.3" not in response.text
    assert "may have been stored: with the same event_id" in response.text
    assert "10.1.2.3" in caplog.text


def test_what_the_database_refuses_for_its_content_is_422(
    client: TestClient, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(events: object) -> set[str]:
        raise RowsRefusedError("url is too long")

    monkeypatch.setattr(service.activity_log, "write_events", refuse)
    assert "url is too long" in report(client, like(), 422)["errors"][0]["accepted"]


def test_accepted_events_are_counted_by_type(client: TestClient) -> None:
    report(client, {"activities": [like(), like(), {**like(), "event_type": "share"}]})
    text = client.get("/metrics").text
    assert 'talentfeed_client_activities_total{event_type="like"} 2.0' in text
    assert 'talentfeed_client_activities_total{event_type="share"} 1.0' in text
