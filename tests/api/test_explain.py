"""Replay and explain at the door: the real service, in-process and with a Redis server."""

import asyncio
import dataclasses
import json
import random
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import WiredMaker, admin, small_catalogue
from tests.api.explain_example import example, rounded

from talentfeed.activity import keys
from talentfeed.api.app import create_app
from talentfeed.ranking import sentences
from talentfeed.ranking.explanation import Explanation, SlotExplanation
from talentfeed.snapshot import store
from talentfeed.wiring import Service, replay_once


def get(client: TestClient, feed_id: str, what: str = "explain") -> Any:
    return client.get(f"/api/feeds/{feed_id}/{what}", headers=admin())


def ask(client: TestClient, endpoint: str, **body: Any) -> Any:
    response = client.post(f"/api/search/{endpoint}", json=body)
    assert response.status_code == 200
    return response.json()["body"]


def stored(client: TestClient, service: Service, feed_id: str) -> None:
    """Wait until the feed's record is in the store."""
    deadline = time.monotonic() + 60
    assert client.portal is not None
    while not client.portal.call(service.stores.redis.exists, keys.feed(feed_id)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_any_feed_is_replayed_identically_and_explained(wired: WiredMaker) -> None:
    service = wired()
    rng = random.Random(8)
    with TestClient(create_app(service)) as client:
        feeds = []
        for number in range(40):
            endpoint = rng.choice(["total", "total", "discover", "flow"])
            body: dict[str, Any] = {"user_id": rng.choice([1, 2, 99]), "size": rng.choice([1, 7, 24, 100])}
            if rng.random() < 0.7:
                body["session_id"] = f"s{body['user_id']}"
            if rng.random() < 0.5:
                body["excluded_ids"] = rng.sample(range(900, 1_300), rng.choice([3, 150]))
            feeds.append((endpoint, ask(client, endpoint, **body)))
            if number % 4 == 0:
                event = {"event_type": rng.choice(["like", "save", "skip"]), "video_id": rng.randrange(1_000, 1_200)}
                assert client.post("/api/activities", json={"user_id": body["user_id"], **event}).status_code == 202
        for endpoint, feed in feeds:
            replayed = get(client, feed["feed_id"], "replay").json()["body"]
            ids = feed[{"total": "mix_ids", "discover": "resume_ids", "flow": "challenge_ids"}[endpoint]]
            assert replayed["identical"]
            assert replayed["served"] is None
            assert [str(slot["id"]) for slot in replayed["slots"]] == ids
            assert [slot["pool"] for slot in replayed["slots"]] == [item["pool"] for item in feed["items"]]
            explained = get(client, feed["feed_id"]).json()["body"]
            assert explained["identical"]
            assert explained["endpoint"] == endpoint
            assert [str(slot["item"]["id"]) for slot in explained["slots"]] == ids
            assert explained["fallbacks"] == feed["fallbacks"]
            assert explained["gave_way"] == feed["gave_way"]


def test_a_feed_of_a_former_snapshot_is_explained_while_its_folder_is_there(wired: WiredMaker) -> None:
    service = wired()
    folder = service.settings.snapshot_dir
    with TestClient(create_app(service)) as client:
        former = ask(client, "total", user_id=1)
        stored(client, service, former["feed_id"])
        newer = store.publish(store.seal(_shorter(small_catalogue())), folder)
        assert service.live.load()
        latter = ask(client, "total", user_id=1)
        assert (former["snapshot"] == latter["snapshot"], latter["snapshot"]) == (False, newer.version)
        for feed in (former, latter, former):
            answer = get(client, feed["feed_id"])
            assert answer.status_code == 200
            assert (answer.json()["body"]["identical"], answer.json()["body"]["snapshot"]) == (True, feed["snapshot"])


def _shorter(snapshot: Any) -> Any:
    created = snapshot.videos.created_at - 86_400.0
    return dataclasses.replace(snapshot, videos=dataclasses.replace(snapshot.videos, created_at=created))


def test_a_snapshot_that_is_gone_is_410_and_a_record_that_is_gone_404(wired: WiredMaker) -> None:
    service = wired(session_ttl_seconds=1)
    with TestClient(create_app(service)) as client:
        feed = ask(client, "total", user_id=1)
        stored(client, service, feed["feed_id"])
        store.publish(store.seal(_shorter(small_catalogue())), service.settings.snapshot_dir)
        assert service.live.load()
        shutil.rmtree(service.settings.snapshot_dir / feed["snapshot"])
        for what in ("explain", "replay"):
            answer = get(client, feed["feed_id"], what)
            assert answer.status_code == 410
            assert feed["snapshot"] in answer.json()["errors"][0]["accepted"]
        time.sleep(1.1)
        answer = get(client, feed["feed_id"])
        assert answer.status_code == 404
        assert "not kept any more" in answer.json()["errors"][0]["accepted"]


def test_a_policy_that_is_gone_is_410(wired: WiredMaker) -> None:
    service = wired()
    with TestClient(create_app(service)) as client:
        serving = service.live.serving
        assert serving is not None
        learned = dataclasses.replace(serving.ranker.policy, version="learned-7")
        service.live.serving = dataclasses.replace(serving, ranker=dataclasses.replace(serving.ranker, policy=learned))
        feed = ask(client, "total", user_id=1)
        assert get(client, feed["feed_id"]).status_code == 200
        service.live.serving = serving
        answer = get(client, feed["feed_id"])
        assert answer.status_code == 410
        assert "Policy learned-7 is not kept any more" in answer.json()["errors"][0]["accepted"]


@pytest.mark.parametrize("backend", ["redis-server"], indirect=True)
def test_an_operator_without_a_server_replays_from_redis(wired: WiredMaker) -> None:
    service = wired()
    with TestClient(create_app(service)) as client:
        feed = ask(client, "total", user_id=1)
    report = asyncio.run(replay_once(service.settings, feed["feed_id"]))
    assert report is not None
    assert report.identical
    assert [str(slot.id) for slot in report.slots] == feed["mix_ids"]
    assert asyncio.run(replay_once(service.settings, "0" * 32)) is None


@pytest.mark.parametrize("feed_id", ["xyz", "0" * 31, "0" * 33, "G" * 32, "A" * 32])
def test_what_is_no_feeds_id_is_422(client: TestClient, feed_id: str) -> None:
    answer = get(client, feed_id)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "feed_id"


def test_only_admins_see_explanations(client: TestClient) -> None:
    for what in ("explain", "replay"):
        assert client.get(f"/api/feeds/{'0' * 32}/{what}").status_code == 401
        assert client.get(f"/api/feeds/{'0' * 32}/{what}", headers={"X-Admin-Key": "no"}).status_code == 403
        assert get(client, "0" * 32, what).status_code == 404


def test_the_schema_describes_the_answer(client: TestClient) -> None:
    spec = client.get("/openapi.json").json()["components"]["schemas"]
    body = get(client, ask(client, "total", user_id=1)["feed_id"]).json()["body"]
    assert set(body) == set(spec["Explanation"]["properties"])
    assert set(body["slots"][0]) == set(spec["SlotExplanation"]["properties"])
    assert json.dumps(body)


# ---------------------------------------------------------------- docs/explain.md


PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")


def test_the_explanation_on_the_page_is_what_the_code_says() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    documented = json.loads(shown)["body"]
    found = rounded(example())
    assert list(_flat(documented)) == list(_flat(found))
    for (path, value), (_, wanted) in zip(_flat(documented).items(), _flat(found).items(), strict=True):
        assert value == (pytest.approx(wanted, abs=2e-6) if isinstance(wanted, float) else wanted), path


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {p: v for name, one in inner for p, v in _flat(one, f"{path}.{name}").items()}
    return {path: value}


def test_every_field_and_reason_is_on_the_page() -> None:
    for shape in (Explanation, SlotExplanation):
        for field in dataclasses.fields(shape):
            assert f"`{field.name}`" in PAGE or f'"{field.name}"' in PAGE, field.name
    for reason in sentences.REASONS:
        assert f"| `{reason}` |" in PAGE
    for status in ("404", "410", "422", "503"):
        assert f"| {status} |" in PAGE
