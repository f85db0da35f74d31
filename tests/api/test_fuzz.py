"""Whatever is sent, the answer is a documented one: raw bytes, JSON of every shape, and cases made from the schema."""

import json
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient
from tests.api.conftest import ADMIN_KEYS, local_service, small_catalogue
from tests.conftest import FUZZED

from talentfeed.api.app import create_app
from talentfeed.api.fields import MAX_ID

POSTS = ["/api/search/total", "/api/search/discover", "/api/search/flow", "/api/activities"]
NAMES = ["user_id", "SELF_ID", "excluded_ids", "LAST_IDS", "videos_excluidos", "session_id", "size", "MAX_SIZE"]
EVENT_NAMES = ["activities", "event_type", "user_id", "video_id", "item_type", "event_id", "value", "watch_ratio"]
CONFORMANCE = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 130),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.text(string.digits + ", ", max_size=30),
    st.sampled_from(["like", "rating", "challenge", "2026-09-21T14:13:20Z"]),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(EVENT_NAMES), inner, max_size=5),
    max_leaves=15,
)


class CountingClient(TestClient):
    """Counts the answers by their status."""

    statuses: Counter[int]

    def request(self, *args: Any, **named: Any) -> Any:
        response = super().request(*args, **named)
        self.statuses[response.status_code] += 1
        return response


@pytest.fixture(scope="module")
def open_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingClient]:
    """One client for all the examples of this module."""
    service = local_service(tmp_path_factory.mktemp("fuzz"), small_catalogue())
    service.next_snapshot = small_catalogue("newer")
    client = CountingClient(create_app(service))
    client.statuses = Counter()
    with client:
        yield client


@pytest.fixture(autouse=True)
def _totals(request: pytest.FixtureRequest, open_client: CountingClient) -> Iterator[None]:
    """What this test sent, for the totals at the end of a run."""
    before = open_client.statuses.copy()
    yield
    sent = open_client.statuses - before
    request.node.user_properties.append((FUZZED, {str(status): count for status, count in sent.items()}))


def check(response: Any, content: bytes) -> None:
    assert response.status_code in {200, 202, 400, 413, 422}, (response.status_code, content, response.text)
    body = response.json()
    assert body["statusCode"] == response.status_code
    assert ("errors" in body) == (response.status_code >= 400)


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(POSTS), content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_raw_bytes_get_a_documented_answer(open_client: CountingClient, path: str, content: bytes) -> None:
    check(open_client.post(path, content=content), content)


@settings(max_examples=250, deadline=None)
@given(
    path=st.sampled_from(POSTS),
    body=st.one_of(
        _values,
        st.dictionaries(st.sampled_from(NAMES), _values, max_size=8),
        st.dictionaries(st.sampled_from(EVENT_NAMES), _values, max_size=8),
    ),
)
def test_json_of_every_shape_gets_a_documented_answer(open_client: CountingClient, path: str, body: Any) -> None:
    content = json.dumps(body).encode()
    check(open_client.post(path, content=content), content)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_mangled_good_body_gets_a_documented_answer(open_client: CountingClient, data: st.DataObject) -> None:
    content = bytearray(b'{"user_id": 1, "excluded_ids": [1000, "1001"], "session_id": "a", "size": 5}')
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    check(open_client.post("/api/search/discover", content=bytes(content)), bytes(content))


def sendable(value: Any) -> Any:
    """What the schema cannot say: 7.0 is no whole number here (JSON Schema calls it one), times end at now; and 2^63-1,
    which the generator rounds as a float."""
    if isinstance(value, dict):
        known = {"timestamp": "2026-01-01T00:00:00Z"} if "timestamp" in value else {}
        return {name: sendable(inner) for name, inner in value.items()} | known
    if isinstance(value, list):
        return [sendable(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return min(value, MAX_ID) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", POSTS)
def test_answers_keep_to_the_schema_and_good_bodies_are_taken(
    open_client: CountingClient, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(open_client.get("/openapi.json").json())[path]["POST"]

    @settings(max_examples=25, deadline=None, phases=[Phase.generate])  # a shrunk case of the schema takes minutes
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: "schemathesis.Case[Any]") -> None:
        body = sendable(case.body) if mode is GenerationMode.POSITIVE else case.body
        content = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
        response = open_client.post(path, content=content, headers={"Content-Type": "application/json"})
        case.validate_response(response, checks=CONFORMANCE)
        if mode is GenerationMode.POSITIVE:
            assert response.status_code in {200, 202}, (content, response.text)

    run()


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/metrics"])
def test_answers_to_get_keep_to_the_schema(open_client: CountingClient, path: str) -> None:
    operation = schemathesis.openapi.from_dict(open_client.get("/openapi.json").json())[path]["GET"]
    operation.Case().validate_response(open_client.get(path), checks=CONFORMANCE)


ADMIN = [
    ("POST", "/api/search/reload"),
    ("POST", "/api/admin/flush"),
    ("GET", "/api/admin/quarantined"),
    ("POST", "/api/admin/quarantined/requeue"),
    ("POST", "/api/admin/quarantined/discard"),
    ("GET", "/api/feeds/{feed_id}/explain"),
    ("GET", "/api/feeds/{feed_id}/replay"),
    ("GET", "/api/admin/policy"),
    ("GET", "/api/admin/policy/export"),
    ("POST", "/api/admin/policy/compare"),
    ("POST", "/api/admin/policy/import"),
    ("POST", "/api/admin/policy/reset"),
    ("POST", "/api/admin/policy/rollback"),
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_what_operators_call_keeps_to_the_schema_with_and_without_a_key(
    open_client: CountingClient, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(open_client.get("/openapi.json").json())[path][method]

    @settings(max_examples=15, deadline=None, phases=[Phase.generate])
    @given(case=operation.as_strategy(generation_mode=mode), key=st.sampled_from([*ADMIN_KEYS, "", "mistaken"]))
    def run(case: "schemathesis.Case[Any]", key: str) -> None:
        given_body = isinstance(case.body, dict | list | str | int | float | bool)
        response = open_client.request(
            method,
            quote(case.formatted_path, safe="/%"),
            params=urlencode(dict(case.query or {}), doseq=True, errors="replace"),
            content=json.dumps(case.body, default=str).encode() if given_body else None,
            headers={"X-Admin-Key": key},
        )
        if key not in ADMIN_KEYS:
            assert response.status_code in {401, 403, 404, 422}, response.text
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=[content_type_conformance, response_schema_conformance])

    run()


def test_every_call_is_fuzzed(open_client: CountingClient) -> None:
    paths = open_client.get("/openapi.json").json()["paths"]
    listed = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    plain = {("GET", path) for path in ("/", "/health/live", "/health/ready", "/metrics")}
    assert listed == {("POST", path) for path in POSTS} | set(ADMIN) | plain
