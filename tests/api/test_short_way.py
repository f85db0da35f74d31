"""What is asked most does not go through the framework's layers; nobody can tell from the answers."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from tests.api.conftest import ServiceMaker, small_catalogue

from talentfeed.api.app import Application, create_app

ASKED = [
    ("/api/search/total", b'{"user_id": 1}'),
    ("/api/search/discover", b'{"user_id": "1", "size": 3}'),
    ("/api/search/flow", b'{"user_id": 1}'),
    ("/api/activities", b'{"event_type": "like", "user_id": 1, "video_id": 1000}'),
]
WRONG = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b'{"user_id": -1, "excluded_ids": ["x"]}',
    b'{"activities": [1]}',
    b" " * 1_048_577,
]


@pytest.fixture
def app(make_service: ServiceMaker) -> Application:
    return create_app(make_service(small_catalogue(), cors_origins=["https://app.example.org"]))


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the framework was asked")


def test_feeds_and_activities_are_answered_without_the_framework(app: Application) -> None:
    with TestClient(app) as client:
        app.middleware_stack = broken
        for path, body in ASKED:
            assert client.post(path, content=body).status_code in (200, 202)


@pytest.mark.parametrize(("path", "right"), ASKED)
def test_both_ways_answer_alike(app: Application, path: str, right: bytes) -> None:
    def asked(client: TestClient, path: str, body: bytes, **headers: str) -> tuple[int, Any, Any]:
        answer = client.post(path, content=body, headers={"X-Request-ID": "r-1", **headers})
        found = answer.json()
        errors = found.get("errors", sorted(found["body"]) if "body" in found else None)
        return answer.status_code, errors, {k: v for k, v in answer.headers.items() if k != "content-length"}

    long_way = TestClient(app, root_path="/below")  # the framework alone knows of such a path
    with TestClient(app) as client:
        for body in (right, *WRONG):
            for origin in ({}, {"Origin": "https://app.example.org"}):
                short, long = asked(client, path, body, **origin), asked(long_way, f"/below{path}", body, **origin)
                assert short == long
                assert short[2]["x-request-id"] == "r-1"
                assert ("access-control-allow-origin" in short[2]) == bool(origin)


def test_both_ways_are_counted_under_one_path(app: Application) -> None:
    with TestClient(app) as client:
        client.post("/api/search/total", json={"user_id": 1})
        TestClient(app, root_path="/below").post("/below/api/search/total", json={"user_id": 1})
        client.post("/api/search/total", content=b"{")
        lines = client.get("/metrics").text.splitlines()
    counted = [line for line in lines if line.startswith("talentfeed_request_seconds_count")]
    assert 'talentfeed_request_seconds_count{path="/api/search/total",status="200"} 2.0' in counted
    assert 'talentfeed_request_seconds_count{path="/api/search/total",status="400"} 1.0' in counted


def test_other_methods_are_refused_as_before(app: Application) -> None:
    with TestClient(app) as client:
        for path, _ in ASKED:
            answer = client.get(path)
            assert answer.status_code == 405
            assert answer.headers["Allow"] == "POST"
