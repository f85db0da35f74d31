"""The three feeds over HTTP: SPEC 9 row by row."""

import json
import logging
import re
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.api.conftest import LocalService, ServiceMaker, small_catalogue
from tests.ranking.factory import make_snapshot, video

from talentfeed.api.app import create_app
from talentfeed.contracts import CREATOR_WINDOW, Kind

IDS = {"total": "mix_ids", "discover": "resume_ids", "flow": "challenge_ids"}
TYPES = {"total": {"resume", "challenge"}, "discover": {"resume"}, "flow": {"challenge"}}


def ask(client: TestClient, endpoint: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"/api/search/{endpoint}", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["statusCode"] == 200
    return dict(answer["body"])


def creators(service: LocalService, body: dict[str, Any]) -> list[int]:
    return [item["user_id"] for item in body["items"]]


@pytest.mark.parametrize("endpoint", list(IDS))
def test_a_feed_has_24_items_of_its_kind_and_their_ids_as_texts_in_order(client: TestClient, endpoint: str) -> None:
    body = ask(client, endpoint, user_id=1)
    assert len(body["items"]) == 24
    assert body[IDS[endpoint]] == [str(item["id"]) for item in body["items"]]
    assert {item["type"] for item in body["items"]} == TYPES[endpoint]
    assert len(set(body[IDS[endpoint]])) == 24


@pytest.mark.parametrize("endpoint", list(IDS))
def test_the_known_fields_come_first_and_the_new_ones_beside_them(client: TestClient, endpoint: str) -> None:
    body = ask(client, endpoint, user_id=1)
    assert list(body) == [
        IDS[endpoint],
        "items",
        "feed_id",
        "session_id",
        "gave_way",
        "fallbacks",
        "snapshot",
    ]
    assert re.fullmatch("[0-9a-f]{32}", body["feed_id"])
    assert re.fullmatch("[0-9]{13}", body["session_id"])
    assert body["snapshot"] == "small"


def test_items_are_the_snapshots_bytes_with_the_pool_behind(client: TestClient, service: LocalService) -> None:
    assert service.serving is not None
    videos = service.serving.snapshot.videos
    for item in ask(client, "discover", user_id=1)["items"]:
        assert next(iter(item)) == "type"
        assert list(item)[-1] == "pool"
        row = int(np.searchsorted(videos.id, item["id"]))
        stored = json.loads(videos.json[videos.json_start[row] : videos.json_start[row + 1]].tobytes())
        assert {**stored, "pool": item["pool"]} == item


@pytest.mark.parametrize("user_id", [1, 2, 999_999, 0, 2**63 - 1])
def test_a_user_with_history_without_or_unknown_gets_a_feed(client: TestClient, user_id: int) -> None:
    assert len(ask(client, "total", user_id=user_id)["items"]) == 24


@pytest.mark.parametrize(
    "names",
    [
        {"user_id": 1, "excluded_ids": [1_001, 1_002]},
        {"SELF_ID": 1, "LAST_IDS": [1_001, 1_002]},
        {"SELF_ID": "1", "videos_excluidos": "1001,1002"},
        {"user_id": "1", "excluded_ids": ["1001", "1002"], "session_id": None},
    ],
)
@pytest.mark.parametrize("endpoint", list(IDS))
def test_every_alias_and_form_is_understood(client: TestClient, endpoint: str, names: dict[str, Any]) -> None:
    body = ask(client, endpoint, **names)
    assert not {"1001", "1002"} & set(body[IDS[endpoint]])
    assert body["items"]


def test_excluded_ids_are_never_served(client: TestClient) -> None:
    excluded = [*range(1_000, 1_150), *range(5_000, 5_010)]
    for endpoint, ids in IDS.items():
        assert not set(map(str, excluded)) & set(ask(client, endpoint, user_id=1, excluded_ids=excluded)[ids])


@pytest.mark.parametrize("endpoint", ["discover", "flow"])
@pytest.mark.parametrize(("sent", "items"), [({"size": 1}, 1), ({"MAX_SIZE": "7"}, 7), ({"size": None}, 24)])
def test_discover_and_flow_have_a_size(client: TestClient, endpoint: str, sent: dict[str, Any], items: int) -> None:
    assert len(ask(client, endpoint, user_id=1, **sent)["items"]) == items


def test_size_reaches_100(client: TestClient) -> None:
    assert len(ask(client, "discover", user_id=1, size=100)["items"]) == 100


def test_total_stays_at_24_whatever_size_says(client: TestClient) -> None:
    assert len(ask(client, "total", user_id=1, size=5)["items"]) == 24


@pytest.mark.parametrize("endpoint", list(IDS))
def test_a_session_alone_scrolls_without_repeats_to_the_end(client: TestClient, endpoint: str) -> None:
    seen: list[str] = []
    session_id = None
    for _ in range(20):
        body = ask(client, endpoint, user_id=2, session_id=session_id)
        session_id = body["session_id"]
        if not body["items"]:
            break
        seen += body[IDS[endpoint]]
    assert body["items"] == []
    assert len(seen) == len(set(seen))
    assert len(seen) == {"total": 224, "discover": 200, "flow": 24}[endpoint]


def test_the_creator_window_goes_on_across_the_pages_of_a_session(client: TestClient, service: LocalService) -> None:
    first = ask(client, "total", user_id=2)
    second = ask(client, "total", user_id=2, session_id=first["session_id"])
    row = creators(service, first) + creators(service, second)
    assert "creator_window" not in first["gave_way"] + second["gave_way"]
    for start in range(len(row) - CREATOR_WINDOW + 1):
        assert len(set(row[start : start + CREATOR_WINDOW])) == CREATOR_WINDOW


def test_without_a_session_the_window_goes_on_from_the_last_excluded_ids(
    client: TestClient, service: LocalService
) -> None:
    first = ask(client, "discover", user_id=2)
    second = ask(client, "discover", user_id=2, excluded_ids=first["resume_ids"])
    row = creators(service, first) + creators(service, second)
    for start in range(len(row) - CREATOR_WINDOW + 1):
        assert len(set(row[start : start + CREATOR_WINDOW])) == CREATOR_WINDOW


def test_a_young_session_continues_the_window_of_the_clients_own_ids(client: TestClient, service: LocalService) -> None:
    for user_id in range(1, 9):
        first = ask(client, "discover", user_id=user_id)  # another session, or one that has expired
        second = ask(client, "discover", user_id=user_id, size=2, excluded_ids=first["resume_ids"])
        ids = first["resume_ids"] + second["resume_ids"]
        third = ask(client, "discover", user_id=user_id, size=12, excluded_ids=ids, session_id=second["session_id"])
        row = creators(service, first) + creators(service, second) + creators(service, third)
        for start in range(len(row) - CREATOR_WINDOW + 1):
            assert len(set(row[start : start + CREATOR_WINDOW])) == CREATOR_WINDOW


def test_two_users_may_hold_the_same_session_id_without_meeting(client: TestClient, service: LocalService) -> None:
    ask(client, "flow", user_id=1, session_id="same")
    assert len(ask(client, "flow", user_id=2, session_id="same")["items"]) == 24


def test_what_a_client_reports_counts_from_the_next_request_on(client: TestClient) -> None:
    shown = ask(client, "discover", user_id=2, size=100)["resume_ids"]
    for batch in (shown[:50], shown[50:]):
        events = [{"event_type": "like", "user_id": 2, "video_id": video_id} for video_id in batch]
        assert client.post("/api/activities", json={"activities": events}).status_code == 202
    again = ask(client, "discover", user_id=2, size=50)["resume_ids"]
    assert not set(shown) & set(again)


def test_flow_slots_that_fall_through_are_told(make_service: ServiceMaker) -> None:
    skills = [[f"a{n}", f"b{n}"] for n in range(60)]
    catalogue = make_snapshot(videos=[video(n + 1, creator=n, age_days=10 + n, skills=skills[n]) for n in range(60)])
    with TestClient(create_app(make_service(catalogue))) as client:
        body = ask(client, "total", user_id=1)
        fallen = [one for one in body["fallbacks"] if one["planned"] == "FW"]
        assert len(fallen) == 4
        for one in fallen:
            assert one["pool"] == body["items"][one["slot"]]["pool"] != "FW"
        assert ask(client, "flow", user_id=1)["items"] == []


def test_an_empty_catalogue_gives_an_empty_feed(make_service: ServiceMaker) -> None:
    with TestClient(create_app(make_service(make_snapshot()))) as client:
        for endpoint, ids in IDS.items():
            body = ask(client, endpoint, user_id=1)
            assert body[ids] == body["items"] == []


def test_rules_that_gave_way_are_named(make_service: ServiceMaker) -> None:
    catalogue = make_snapshot(videos=[video(n, creator=1, age_days=100) for n in range(1, 31)])
    with TestClient(create_app(make_service(catalogue))) as client:
        assert "creator_window" in ask(client, "total", user_id=1)["gave_way"]


@pytest.mark.parametrize("endpoint", list(IDS))
def test_before_there_is_a_snapshot_a_feed_answers_503_and_when_to_come_again(
    make_service: ServiceMaker, endpoint: str
) -> None:
    with TestClient(create_app(make_service(None))) as client:
        response = client.post(f"/api/search/{endpoint}", json={"user_id": 1})
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert response.json()["errors"][0]["field"] == "snapshot"


def test_a_feed_goes_out_without_its_session_when_redis_is_away(client: TestClient, service: LocalService) -> None:
    service.server.connected = False
    body = ask(client, "total", user_id=1)
    assert body["degraded"] is True
    assert len(body["items"]) == 24
    assert "talentfeed_feed_degraded_total 1.0" in client.get("/metrics").text
    service.server.connected = True


def test_a_feed_goes_out_although_recording_fails(
    client: TestClient, service: LocalService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(feed: object) -> None:
        raise OSError("no room left")

    monkeypatch.setattr(service.recorder, "served", broken)
    with caplog.at_level(logging.ERROR):
        assert len(ask(client, "total", user_id=1)["items"]) == 24
    assert "could not be recorded" in caplog.text
    assert "talentfeed_feed_unrecorded_total 1.0" in client.get("/metrics").text


def test_what_was_served_is_recorded_as_served(client: TestClient, service: LocalService) -> None:
    body = ask(client, "total", user_id=1, session_id="abc")
    assert service.recorder.lost_served == 0

    async def shown() -> list[tuple[Kind, int]]:
        return list((await service.sessions.read(1, "abc", endpoint="total")).shown)

    assert client.portal is not None
    stored = client.portal.call(shown)
    kinds = {"resume": Kind.VIDEO, "challenge": Kind.FLOW}
    assert stored == [(kinds[item["type"]], item["id"]) for item in body["items"]]


def test_two_feeds_of_one_user_differ_in_their_id(client: TestClient) -> None:
    assert ask(client, "total", user_id=1)["feed_id"] != ask(client, "total", user_id=1)["feed_id"]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "x"]
)
def test_the_content_type_does_not_matter_as_long_as_the_body_is_json(
    client: TestClient, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client.post("/api/search/total", content=b'{"user_id": 1}', headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


def test_the_path_prefix_can_be_set(make_service: ServiceMaker) -> None:
    with TestClient(create_app(make_service(small_catalogue(), api_prefix="/v2/feed"))) as client:
        assert client.post("/v2/feed/search/total", json={"user_id": 1}).status_code == 200
        assert client.post("/api/search/total", json={"user_id": 1}).status_code == 404
        assert client.get("/health/live").status_code == 200
    with TestClient(create_app(make_service(small_catalogue(), api_prefix=""))) as client:
        assert client.post("/search/total", json={"user_id": 1}).status_code == 200
