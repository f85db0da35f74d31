"""Redis slow, frozen, gone: feeds are answered all the same, and what clients report is stored or refused."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import WiredMaker
from tests.contracts.backends import Backend, RedisServer
from tests.contracts.proxy import SlowProxy

from talentfeed import wiring
from talentfeed.api.app import create_app

FEEDS = 20
LATE = 3.0  # seconds that each answer of a slow Redis takes
WAITING = FEEDS * LATE / 2  # far below this: not one feed in two waited


@pytest.fixture
def backend(redis_server: RedisServer) -> Backend:
    return Backend("redis-server", real=redis_server)


def feed(client: TestClient) -> Any:
    response = client.post("/api/search/total", json={"user_id": 1, "session_id": uuid.uuid4().hex})
    assert response.status_code == 200, response.text
    body = response.json()["body"]
    assert len(body["items"]) == 24
    return body


def like(client: TestClient) -> Any:
    return client.post("/api/activities", json={"event_type": "like", "user_id": 1, "video_id": 1_000, "event_id": "e"})


def metric(client: TestClient, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


def test_beside_a_slow_redis_no_feed_waits_for_it(wired: WiredMaker, redis_server: RedisServer) -> None:
    with SlowProxy(redis_server.port, LATE) as proxy:
        service = wired(redis_port=proxy.port, session_budget_ms=20)
        with TestClient(create_app(service)) as client:
            began = time.monotonic()
            assert all(feed(client).get("degraded") for _ in range(FEEDS))
            assert time.monotonic() - began < WAITING, "their answers are three seconds away, each"
            assert metric(client, "talentfeed_feed_degraded_total") == FEEDS
            proxy.seconds = 0.0
            eventually(lambda: "degraded" not in feed(client))


def test_beside_a_frozen_redis_feeds_are_answered_and_events_refused(
    wired: WiredMaker, redis_server: RedisServer
) -> None:
    service = wired(session_budget_ms=20)
    with TestClient(create_app(service)) as client:
        with redis_server.frozen():
            began = time.monotonic()
            assert all(feed(client).get("degraded") for _ in range(FEEDS))
            assert time.monotonic() - began < WAITING
            refused = like(client)
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) > 0
        eventually(lambda: like(client).status_code == 202)
        eventually(lambda: "degraded" not in feed(client))
        eventually(lambda: service.recorder.recorded_feeds >= FEEDS)
        assert metric(client, "talentfeed_lost_served_total") == 0, "what was served meanwhile waited in memory"


def test_beside_a_redis_that_is_gone_feeds_are_answered_and_what_is_lost_of_them_is_counted(
    wired: WiredMaker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "OUTBOX_FEEDS", 5)
    monkeypatch.setattr("talentfeed.activity.recorder.DRAIN", 2)
    service = wired(session_budget_ms=20)
    with TestClient(create_app(service)) as client:
        with Backend("redis-server", real=redis_server).away():
            assert all(feed(client).get("degraded") for _ in range(FEEDS))
            assert like(client).status_code == 503
            lost = metric(client, "talentfeed_lost_served_total")
            assert 25 * (FEEDS - 5 - 2) <= lost <= 25 * (FEEDS - 5), "all but what waits, and what was being stored"
        eventually(lambda: service.recorder.recorded_feeds == FEEDS - lost / 25)
        assert metric(client, "talentfeed_lost_served_total") == lost
        eventually(lambda: like(client).status_code == 202)
        eventually(lambda: "degraded" not in feed(client))
