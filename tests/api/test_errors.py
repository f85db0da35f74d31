"""Every error has its status and the one body; nothing of the inside leaves."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import LocalService

FEEDS = ["/api/search/total", "/api/search/discover", "/api/search/flow"]
POSTS = [*FEEDS, "/api/activities"]


def errors(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["statusCode", "errors"]
    assert body["statusCode"] == status
    assert body["errors"]
    for error in body["errors"]:
        assert list(error) == ["field", "value", "accepted"]
        assert len(str(error["value"])) <= 100
        assert error["accepted"]
    return {error["field"]: error for error in body["errors"]}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("raw", [b"", b"{", b"user_id=1", b"\xff\xfe", b"[" * 50_000, b'{"user_id":NaN}'])
def test_what_is_not_json_is_400(client: TestClient, path: str, raw: bytes) -> None:
    assert list(errors(client.post(path, content=raw), 400)) == ["body"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"5", b"null", b"true", b"[{}]"])
def test_json_that_is_no_object_is_422(client: TestClient, path: str, raw: bytes) -> None:
    assert list(errors(client.post(path, content=raw), 422)) == ["body"]


@pytest.mark.parametrize("path", FEEDS)
def test_wrong_values_are_422_all_at_once(client: TestClient, path: str) -> None:
    body = {"SELF_ID": "me", "videos_excluidos": [1, "two", -3], "session_id": 5}
    found = errors(client.post(path, json=body), 422)
    assert set(found) == {"SELF_ID", "videos_excluidos[1]", "videos_excluidos[2]", "session_id"}
    assert found["SELF_ID"]["value"] == "me"


@pytest.mark.parametrize("path", FEEDS)
def test_more_than_50_000_ids_are_422(client: TestClient, path: str) -> None:
    body = {"user_id": 1, "excluded_ids": [1] * 50_001}
    assert list(errors(client.post(path, json=body), 422)) == ["excluded_ids"]


@pytest.mark.parametrize("path", FEEDS)
def test_50_000_ids_and_300_000_bytes_of_them_are_served(client: TestClient, path: str) -> None:
    assert client.post(path, json={"user_id": 1, "excluded_ids": list(range(100_000, 150_000))}).status_code == 200
    text = ",".join(map(str, range(100_000, 143_000)))
    assert client.post(path, json={"user_id": 1, "excluded_ids": text}).status_code == 200


@pytest.mark.parametrize("path", [*POSTS, "/api/search/reload", "/nowhere"])
def test_a_body_over_1_mib_is_413_by_its_declared_length(client: TestClient, path: str) -> None:
    body = b'{"user_id": 1, "x": "' + b"x" * 1_048_576 + b'"}'
    assert list(errors(client.post(path, content=body), 413)) == ["body"]


@pytest.mark.parametrize("path", POSTS)
def test_a_body_over_1_mib_is_413_also_in_chunks_without_a_length(client: TestClient, path: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"user_id": 1, "x": "'
        for _ in range(17):
            yield b"x" * 65_536
        yield b'"}'

    assert list(errors(client.post(path, content=chunks()), 413)) == ["body"]


def test_a_body_of_just_1_mib_is_read(client: TestClient) -> None:
    body = b'{"user_id": 1, "x": "'
    body += b"x" * (1_048_576 - len(body) - 2) + b'"}'
    assert len(body) == 1_048_576
    assert client.post("/api/search/total", content=body).status_code == 200


@pytest.mark.parametrize("length", ["99999999999999999999999", "-5", "x", "²"])
def test_an_odd_declared_length_breaks_nothing(client: TestClient, length: str) -> None:
    response = client.post("/api/search/total", content=b'{"user_id": 1}', headers={b"Content-Length": length.encode()})
    assert response.status_code in {200, 413}


@pytest.mark.parametrize("path", ["/nowhere", "/api/search", "/api/search/total/", "/api/feeds", "/%00", "/ü"])
def test_an_unknown_path_is_404(client: TestClient, path: str) -> None:
    assert list(errors(client.post(path, json={}), 404)) == ["path"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *[("GET", path, "POST") for path in [*POSTS, "/api/search/reload", "/api/admin/flush"]],
        ("POST", "/health/live", "GET"),
        ("DELETE", "/api/search/total", "POST"),
        ("PUT", "/", "GET"),
    ],
)
def test_another_method_is_405_and_names_the_allowed(client: TestClient, method: str, path: str, allowed: str) -> None:
    response = client.request(method, path)
    assert list(errors(response, 405)) == ["method"]
    assert allowed in response.headers["Allow"]


def test_an_unforeseen_error_is_500_with_an_id_and_its_trace_in_the_log_alone(
    client: TestClient, service: LocalService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> float:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(service, "clock", broken)
    with caplog.at_level(logging.ERROR):
        response = client.post("/api/search/total", json={"user_id": 1}, headers={"X-Request-ID": "mine-1"})
    assert errors(response, 500)["request"]["value"] == "mine-1"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert "ZeroDivisionError: secret inside" in caplog.text
    assert "mine-1" in caplog.text
    monkeypatch.undo()
    assert client.post("/api/search/total", json={"user_id": 1}).status_code == 200


def test_one_bad_request_does_not_disturb_the_next(client: TestClient) -> None:
    for raw in (b"", b"[", b"[]", b'{"user_id": -1}', b"\x00" * 1_000):
        assert client.post("/api/search/total", content=raw).status_code in {400, 422}
        assert client.post("/api/search/total", json={"user_id": 1}).status_code == 200


def test_every_answer_has_a_request_id_and_the_clients_own_where_well_formed(client: TestClient) -> None:
    assert client.get("/", headers={"X-Request-ID": "abc-1.2:3_4"}).headers["X-Request-ID"] == "abc-1.2:3_4"
    for odd in ("", "a b", "x" * 129, "<script>", "é"):
        given = client.get("/nowhere", headers={b"X-Request-ID": odd.encode()}).headers["X-Request-ID"]
        assert len(given) == 32
        assert given != odd


@pytest.mark.parametrize("path", ["/", "/nowhere", "/metrics", "/docs", "/openapi.json"])
def test_every_answer_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/api/search/total", "/api/activities"])
@pytest.mark.parametrize(
    "raw", [b'{"a":1e999,"user_id":"\\ud800"}', b'[1e999,"\\ud800"]', b'{"value":1e999,"event_type":"\\ud800"}']
)
def test_a_lone_surrogate_behind_a_number_out_of_range_is_400(client: TestClient, path: str, raw: bytes) -> None:
    errors(client.post(path, content=raw), 400)
