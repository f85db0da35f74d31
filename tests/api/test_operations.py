"""Reload, flush, health, metrics, CORS, the root and the docs."""

import logging
import re
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import ADMIN_KEYS, LocalService, ServiceMaker, admin, small_catalogue
from tests.ranking.factory import make_snapshot

from talentfeed import __version__
from talentfeed.api.app import create_app

ADMIN_PATHS = ["/api/search/reload", "/api/admin/flush"]


def test_the_root_tells_name_status_and_version(client: TestClient, service: LocalService) -> None:
    assert client.get("/").json() == {"name": "talentfeed", "status": "ok", "version": __version__}
    service.serving = None
    assert client.get("/").json()["status"] == "starting"


@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_without_an_admin_key_it_is_401(client: TestClient, path: str) -> None:
    for headers in ({}, admin("")):
        response = client.post(path, headers=headers)
        assert response.status_code == 401
        assert response.json()["errors"][0]["field"] == "X-Admin-Key"
        assert "X-Admin-Key" in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ADMIN_PATHS)
@pytest.mark.parametrize("key", ["mistaken", ADMIN_KEYS[0] + "x", ADMIN_KEYS[0][:-1], ",".join(ADMIN_KEYS), "ü"])
def test_with_a_wrong_key_it_is_403_and_the_key_is_told_nowhere(
    client: TestClient, path: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="talentfeed"):
        response = client.post(path, headers=admin(key))
    assert response.status_code == 403
    assert all(secret not in response.text for secret in ADMIN_KEYS)
    assert response.json()["errors"][0]["value"] == "(not shown)"
    assert key not in caplog.text or key == "ü"


@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_with_no_key_configured_it_is_403_and_how_to_set_one(make_service: ServiceMaker, path: str) -> None:
    with TestClient(create_app(make_service(small_catalogue(), admin_keys=()))) as client:
        for headers in ({}, admin("anything")):
            response = client.post(path, headers=headers)
            assert response.status_code == 403
            assert "ADMIN_API_KEY" in response.json()["errors"][0]["accepted"]


@pytest.mark.parametrize("key", ADMIN_KEYS)
def test_each_configured_key_reloads(client: TestClient, service: LocalService, key: str) -> None:
    service.next_snapshot = small_catalogue("newer")
    response = client.post("/api/search/reload", headers=admin(key))
    assert response.status_code == 200
    body = response.json()["body"]
    assert (body["version"], body["changed"]) == ("newer", True)
    assert body["counts"]["videos"] == 200
    assert client.post("/api/search/total", json={"user_id": 1}).json()["body"]["snapshot"] == "newer"
    assert "talentfeed_reloads_total 1.0" in client.get("/metrics").text


def test_a_reload_that_fails_is_503_with_the_reason_and_the_feeds_go_on(client: TestClient) -> None:
    response = client.post("/api/search/reload", headers=admin())
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "lacks the column user_id" in response.json()["errors"][0]["accepted"]
    assert client.post("/api/search/total", json={"user_id": 1}).status_code == 200
    assert "talentfeed_reload_failures_total 1.0" in client.get("/metrics").text


def test_a_flush_writes_what_was_served(client: TestClient) -> None:
    client.post("/api/search/total", json={"user_id": 1})

    def flushed() -> int:
        response = client.post("/api/admin/flush", headers=admin())
        assert response.status_code == 200, response.text
        return int(response.json()["body"]["flushed"])

    total = 0
    for _ in range(50):  # the feed's records are stored by a task of their own
        total += flushed()
        if total == 25:
            break
    assert total == 25
    text = client.get("/metrics").text
    assert "talentfeed_flushed_activities_total 25.0" in text
    assert "\ntalentfeed_oldest_waiting_seconds" not in text


def test_metrics_tell_since_when_something_waits(client: TestClient, service: LocalService) -> None:
    service.flusher.oldest_waiting = 1_790_000_000.0
    assert "\ntalentfeed_oldest_waiting_seconds 1.79e+09\n" in client.get("/metrics").text


def test_a_flush_that_ends_early_is_503_with_the_reason(client: TestClient, service: LocalService) -> None:
    client.post("/api/search/total", json={"user_id": 1})
    service.server.connected = False
    response = client.post("/api/admin/flush", headers=admin())
    service.server.connected = True
    assert response.status_code == 503
    assert "ConnectionError" in response.json()["errors"][0]["accepted"]


def test_health_tells_alive_from_ready(make_service: ServiceMaker) -> None:
    service = make_service(None)
    with TestClient(create_app(service)) as client:
        assert client.get("/health/live").status_code == 200
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert response.json()["status"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0
        service.next_snapshot = small_catalogue()
        assert client.post("/api/search/reload", headers=admin()).status_code == 200
        response = client.get("/health/ready")
        assert response.status_code == 200
        assert response.json()["snapshot"]["version"] == "small"


def test_a_pod_whose_feeds_do_not_come_out_is_not_ready(
    make_service: ServiceMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(make_snapshot())  # without a video or flow
    with TestClient(create_app(service)) as client:
        assert client.get("/health/ready").status_code == 200  # an empty feed is what such a platform has
        service.next_snapshot = small_catalogue()
        assert client.post("/api/search/reload", headers=admin()).status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert "talentfeed_ready 1.0" in client.get("/metrics").text
        monkeypatch.setattr(service, "clock", lambda: "no time")
        response = client.get("/health/ready")
        assert response.status_code == 503
        assert "ranking fails" in response.json()["degraded"][-1]["reason"]
        assert client.get("/health/live").status_code == 200
        assert "talentfeed_ready 0.0" in client.get("/metrics").text


def test_why_a_part_is_degraded_is_told_to_operators_alone(
    client: TestClient, service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "mysql://reader@db.example.org:3306/talentpitch: it refuses this account"
    parts = {"redis": "TimeoutError"} | dict.fromkeys(("build", "snapshot", "fetch"), secret)
    degraded = [{"part": part, "reason": reason, "since": 1.0} for part, reason in parts.items()]

    async def health() -> dict[str, Any]:
        return {"status": "degraded", "degraded": degraded}

    monkeypatch.setattr(service, "health", health)
    told = client.get("/health/ready").json()["degraded"]
    assert [one["part"] for one in told] == list(parts)
    assert told[0] == degraded[0]
    assert "example.org" not in str(told)
    assert client.get("/health/ready", headers=admin()).json()["degraded"] == degraded
    response = client.get("/health/ready", headers=admin("mistaken"))
    assert response.status_code == 403
    assert "example.org" not in response.text


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/metrics"])
def test_head_is_answered_where_get_is(client: TestClient, path: str) -> None:
    response = client.head(path)
    assert response.status_code == 200


def test_metrics_count_requests_by_path_and_status_and_feeds_by_pool(client: TestClient) -> None:
    client.post("/api/search/total", json={"user_id": 1})
    client.post("/api/search/total", json={"user_id": "x"})
    client.get("/nowhere/" + "x" * 50)
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    assert 'talentfeed_request_seconds_count{path="/api/search/total",status="200"} 1.0' in text
    assert 'talentfeed_request_seconds_count{path="/api/search/total",status="422"} 1.0' in text
    assert 'talentfeed_request_seconds_count{path="unmatched",status="404"} 1.0' in text
    assert "/nowhere" not in text
    assert 'talentfeed_feed_seconds_count{endpoint="total"} 1.0' in text
    served = re.findall(r'talentfeed_feed_items_total\{pool="\w+"\} ([0-9.]+)', text)
    assert sum(map(float, served)) == 24
    assert 'talentfeed_snapshot_info{version="small"} 1.0' in text
    assert 'talentfeed_snapshot_rows{kind="videos"} 200.0' in text
    assert "talentfeed_lost_served_total 0.0" in text
    assert "talentfeed_ready 1.0" in text


def test_two_applications_count_apart(make_service: ServiceMaker) -> None:
    first, second = make_service(small_catalogue()), make_service(small_catalogue())
    with TestClient(create_app(first)) as one, TestClient(create_app(second)) as other:
        one.post("/api/search/total", json={"user_id": 1})
        assert 'talentfeed_feed_seconds_count{endpoint="total"} 0.0' in other.get("/metrics").text


def test_metrics_are_there_before_a_snapshot(make_service: ServiceMaker) -> None:
    with TestClient(create_app(make_service(None))) as client:
        text = client.get("/metrics").text
    assert "talentfeed_ready 0.0" in text
    assert "talentfeed_snapshot_info{" not in text


def test_browsers_of_other_origins_are_kept_out_by_default(client: TestClient) -> None:
    preflight = client.options(
        "/api/search/total", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 405
    answer = client.post("/api/search/total", json={"user_id": 1}, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_configured_origins_are_let_in_and_no_others(make_service: ServiceMaker) -> None:
    service = make_service(small_catalogue(), cors_origins=["https://app.example"])
    with TestClient(create_app(service)) as client:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        good = client.options("/api/search/total", headers={"Origin": "https://app.example", **asked})
        assert good.status_code == 200
        assert good.headers["access-control-allow-origin"] == "https://app.example"
        bad = client.options("/api/search/total", headers={"Origin": "https://evil.example", **asked})
        assert "access-control-allow-origin" not in bad.headers
        answer = client.post("/api/search/total", json={}, headers={"Origin": "https://app.example"})
        assert answer.status_code == 422
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


def test_the_docs_page_needs_nobody_else(client: TestClient) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", response.text)
    assert "@import" not in response.text
    assert 'style="' not in response.text  # the policy would not let it in
    assert 'onclick="' not in response.text


def test_openapi_lists_every_call_with_examples_that_work(client: TestClient) -> None:
    spec = client.get("/openapi.json").json()
    assert set(spec["paths"]) == {
        "/",
        "/api/activities",
        "/api/admin/flush",
        "/api/admin/policy",
        "/api/admin/policy/compare",
        "/api/admin/policy/export",
        "/api/admin/policy/import",
        "/api/admin/policy/reset",
        "/api/admin/policy/rollback",
        "/api/admin/quarantined",
        "/api/admin/quarantined/discard",
        "/api/admin/quarantined/requeue",
        "/api/feeds/{feed_id}/explain",
        "/api/feeds/{feed_id}/replay",
        "/api/search/discover",
        "/api/search/flow",
        "/api/search/reload",
        "/api/search/total",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    tried = 0
    for path, methods in spec["paths"].items():
        for method, call in methods.items():
            assert call["summary"]
            content = call.get("requestBody", {}).get("content", {})
            for example in content.get("application/json", {}).get("examples", {}).values():
                response = client.request(method, path, json=example["value"])
                assert response.status_code in {200, 202}, response.text
                tried += 1
    assert tried == 13
