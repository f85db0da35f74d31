"""The rate limit at the door: who is counted, what is answered, what is never refused."""

import re
import time

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import ServiceMaker, WiredMaker, small_catalogue
from tests.contracts.backends import Backend, RedisServer

from talentfeed.api.app import create_app
from talentfeed.stores import limits


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time to answer, and that is not what is tested here."""
    monkeypatch.setattr(limits, "BUDGET_SECONDS", 60.0)


@pytest.fixture
def backend(redis_server: RedisServer) -> Backend:
    return Backend("redis-server", real=redis_server)


def refused(client: TestClient, headers: dict[str, str] | None = None, *, calls: int = 40) -> int:
    """How many of so many calls are refused."""
    found = [client.post("/api/search/total", json={"user_id": 1}, headers=headers) for _ in range(calls)]
    assert {response.status_code for response in found} <= {200, 429}
    return sum(response.status_code == 429 for response in found)


def test_there_is_no_limit_unless_one_is_set(client: TestClient) -> None:
    assert refused(client) == 0


def test_who_calls_too_often_is_told_when_to_come_again(make_service: ServiceMaker) -> None:
    service = make_service(small_catalogue(), rate_limit_per_minute=6, cors_origins=["https://app.example"])
    with TestClient(create_app(service)) as client:
        assert refused(client) >= 30
        headers = {"Origin": "https://app.example"}
        answers = [client.post("/api/search/total", json={"user_id": 1}, headers=headers) for _ in range(5)]
        answer = next(answer for answer in answers if answer.status_code == 429)  # one may come just when it may
        assert answer.json()["errors"][0]["field"] == "client"
        assert 1 <= int(answer.headers["Retry-After"]) <= 10
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        for path in ("/", "/health/live", "/health/ready", "/metrics"):
            assert client.get(path).status_code == 200
        text = client.get("/metrics").text
        assert 'talentfeed_request_seconds_count{path="/api/search/total",status="429"}' in text
        assert service.limiter is not None
        assert f"talentfeed_rate_limited_total {float(service.limiter.refused)}" in text


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_keys_are_not_tried_out_faster_than_the_limit(make_service: ServiceMaker, prefix: str) -> None:
    service = make_service(small_catalogue(), rate_limit_per_minute=6, api_prefix=prefix)
    with TestClient(create_app(service)) as client:
        found = [client.post(f"{prefix}/admin/flush", headers={"X-Admin-Key": str(n)}).status_code for n in range(20)]
    assert found.count(429) >= 10


def test_behind_a_proxy_clients_are_those_that_it_names(make_service: ServiceMaker) -> None:
    service = make_service(small_catalogue(), rate_limit_per_minute=6, rate_limit_header="X-Forwarded-For")
    with TestClient(create_app(service)) as client:
        assert refused(client, {"X-Forwarded-For": "198.51.100.9, 203.0.113.7"}) >= 30
        # the first names are the client's own words; the proxy's is the last
        assert refused(client, {"X-Forwarded-For": "somebody else, 203.0.113.7"}, calls=10) >= 5
        assert refused(client, {"X-Forwarded-For": "198.51.100.9, 203.0.113.8"}, calls=1) == 0


def test_keys_are_not_tried_out_at_a_probe_either(make_service: ServiceMaker) -> None:
    with TestClient(create_app(make_service(small_catalogue(), rate_limit_per_minute=6))) as client:
        found = [client.get("/health/ready", headers={"X-Admin-Key": str(n)}).status_code for n in range(20)]
        assert found.count(429) >= 10
        assert client.get("/health/ready").status_code == 200


def test_who_has_a_whole_network_of_addresses_is_one_client(make_service: ServiceMaker) -> None:
    service = make_service(small_catalogue(), rate_limit_per_minute=6, rate_limit_header="X-Forwarded-For")
    with TestClient(create_app(service)) as client:

        def statuses(*addresses: str) -> list[int]:
            asked = [{"X-Forwarded-For": address} for address in addresses]
            return [client.post("/api/search/total", json={"user_id": 1}, headers=one).status_code for one in asked]

        assert statuses(*(f"2001:db8:1:2::{n:x}" for n in range(20))).count(429) >= 10
        assert statuses("2001:db8:1:3::1", "not:an:address", "fe80::1%eth0") == [200, 200, 200]
        assert statuses(*(f"::ffff:203.0.113.{n}" for n in range(20))) == [200] * 20


def test_without_redis_nobody_is_refused_and_it_says_so(wired: WiredMaker, backend: Backend) -> None:
    with TestClient(create_app(wired(rate_limit_per_minute=6))) as client:
        with backend.away():
            assert refused(client) == 0
            degraded = client.get("/health/ready").json()["degraded"]
            assert "rate_limit" in {one["part"] for one in degraded}
            unchecked = re.search(r"^talentfeed_rate_unchecked_total (.*)$", client.get("/metrics").text, re.MULTILINE)
            assert unchecked is not None
            assert float(unchecked[1]) == 40
        until = time.monotonic() + 60
        while refused(client, calls=1) == 0:
            assert time.monotonic() < until, "it does not hold again"
        degraded = client.get("/health/ready").json()["degraded"]
        assert "rate_limit" not in {one["part"] for one in degraded}
