"""Which preset ranks: the one that is set, and `classic` where a snapshot has no signals for it."""

import logging

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import WiredMaker, admin, small_catalogue
from tests.ranking.signals import with_signals

from talentfeed.api.app import create_app
from talentfeed.settings import Settings
from talentfeed.snapshot import store

FEED = "/api/search/total"


def test_the_default_is_learned() -> None:
    assert Settings(_env_file=None).preset == "learned"  # type: ignore[call-arg]


def test_a_snapshot_without_signals_is_served_by_classic_until_one_has_them(
    wired: WiredMaker, caplog: pytest.LogCaptureFixture
) -> None:
    service = wired(preset="learned")
    with caplog.at_level(logging.WARNING, "talentfeed.policy"), TestClient(create_app(service)) as client:
        feed = client.post(FEED, json={"user_id": 1})
        assert feed.status_code == 200
        assert len(feed.json()["body"]["items"]) == 24
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        (told,) = [one for one in ready.json()["degraded"] if one["part"] == "preset"]
        assert f"{feed.json()['body']['snapshot']} has no signals" in told["reason"]
        assert "talentfeed build" in told["reason"]
        assert ready.json()["status"] == "degraded"
        client.post("/api/admin/flush", headers=admin())
        explained = client.get(f"/api/feeds/{feed.json()['body']['feed_id']}/explain", headers=admin())
        assert explained.json()["body"]["preset"] == "classic"
        assert explained.json()["body"]["identical"]

        newer = store.seal(with_signals(small_catalogue(), 1))
        store.publish(newer, service.settings.snapshot_dir)
        service.live.try_load()  # or whoever watches was there before
        feed = client.post(FEED, json={"user_id": 1})
        assert feed.json()["body"]["snapshot"] == newer.manifest.version
        client.post("/api/admin/flush", headers=admin())
        explained = client.get(f"/api/feeds/{feed.json()['body']['feed_id']}/explain", headers=admin())
        assert explained.json()["body"]["preset"] == "learned"
        assert not [one for one in client.get("/health/ready").json()["degraded"] if one["part"] == "preset"]
    assert [record.message for record in caplog.records if "has no signals" in record.message] == [told["reason"]]
