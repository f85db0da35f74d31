"""The calls behind the operator's commands: who may, and what they take."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import LocalService, admin
from tests.contracts.platforms import Platform

PATHS = ["/api/admin/quarantined/requeue", "/api/admin/quarantined/discard"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ids", [None, [], "some", 7, ["a b"], [7], ["x" * 200], ["a"] * 1_001])
def test_ids_that_are_none_are_refused(client: TestClient, path: str, ids: Any) -> None:
    response = client.post(path, json={"ids": ids}, headers=admin())
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["ids"]


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1"])
def test_a_limit_out_of_range_is_refused(client: TestClient, limit: str) -> None:
    response = client.get(f"/api/admin/quarantined?limit={limit}", headers=admin())
    assert [error["field"] for error in response.json()["errors"]] == ["limit"]


def test_nobody_without_a_key_sees_or_changes_anything(client: TestClient) -> None:
    assert client.get("/api/admin/quarantined").status_code == 401
    for path in PATHS:
        assert client.post(path, json={"ids": "all"}).status_code == 401


def test_an_unknown_id_is_told(client: TestClient) -> None:
    for path in PATHS:
        answer = client.post(path, json={"ids": ["abc.0"]}, headers=admin()).json()
        assert answer == {"statusCode": 200, "body": {"done": 0, "kept": {}, "unknown": ["abc.0"]}}
    assert client.get("/api/admin/quarantined?limit=5", headers=admin()).json()["body"] == {"total": 0, "entries": []}


def test_what_is_refused_is_listed_and_once_that_is_mended_stored_once(
    client: TestClient, service: LocalService
) -> None:
    database = Platform(path=service.settings.embedded_database)
    database.refuse("NEW.description LIKE '#feed%'")
    feed = client.post("/api/search/total", json={"user_id": 1}).json()["body"]
    for _ in range(500):  # recording goes on beside the request
        flushed = client.post("/api/admin/flush", headers=admin()).json()["body"]
        if flushed["quarantined"]:
            break
    listed = client.get("/api/admin/quarantined", headers=admin()).json()["body"]
    [entry] = listed["entries"]
    assert listed["total"] == 1
    assert json.loads(entry["payload"])["event_id"] == feed["feed_id"]
    assert "CHECK constraint failed" in entry["reason"]
    database.accept_again()
    for done in (1, 0):
        answer = client.post(PATHS[0], json={"ids": [entry["batch_id"]]}, headers=admin()).json()["body"]
        assert answer["done"] == done
    assert client.post("/api/admin/flush", headers=admin()).json()["body"]["flushed"] == 1
    stored = [json.loads(row["properties"])["event_id"] for row in database.rows()]
    assert sorted(stored) == sorted([feed["feed_id"], *(f"{feed['feed_id']}:{n}" for n in range(24))])
