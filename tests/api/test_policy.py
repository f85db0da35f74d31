"""The whole way: a feed, what came of it, a policy of it, feeds by that policy; and the operator's calls."""

import asyncio
import time
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import LocalService, WiredMaker, admin, small_catalogue
from tests.ranking.signals import with_signals

from talentfeed import policy
from talentfeed.api.app import create_app
from talentfeed.learning import follower, learner, sums, warm
from talentfeed.ranking.feed import prepare
from talentfeed.ranking.presets import PRESETS, preset
from talentfeed.stores.redis import open_redis
from talentfeed.tasks import ended

LEARNS = {"policy_mode": "online", "reward_window_seconds": 0.3, "policy_update_seconds": 0.05}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(learner, "IDLE", 0.05)


@pytest.fixture(autouse=True)
def forget() -> None:
    """What an in-process store holds dies with its process, which the tests share."""
    asyncio.run(forget_all())


async def forget_all() -> None:
    client = open_redis(host=None)
    await client.flushall()
    await client.aclose()


def post(client: TestClient, path: str, body: Any = None) -> Any:
    response = client.post(path, json=body, headers=admin())
    assert response.status_code in (200, 202), response.text
    return response.json()["body"]


def shown(client: TestClient) -> Any:
    response = client.get("/api/admin/policy", headers=admin())
    assert response.status_code == 200, response.text
    return response.json()["body"]


def like_some(client: TestClient, users: range) -> int:
    """→ how many impressions there were."""
    total = 0
    for user in users:
        feed = post(client, "/api/search/total", {"user_id": user})
        events = [
            {"event_type": "like", "user_id": user, "video_id": int(item["id"]), "feed_id": feed["feed_id"]}
            for item in feed["items"][:4]
            if item["type"] == "resume"
        ]
        post(client, "/api/activities", {"activities": events})
        total += len(feed["items"])
    return total


def until_learned(client: TestClient, impressions: int) -> Any:
    deadline = time.monotonic() + 60
    while (found := shown(client))["impressions"] < impressions:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def until_served(client: TestClient, version: str) -> None:
    until_metrics_say(client, f'talentfeed_policy_info{{version="{version}"}} 1.0')


def until_metrics_say(client: TestClient, line: str) -> None:
    deadline = time.monotonic() + 60
    while line not in client.get("/metrics").text:
        assert time.monotonic() < deadline, line
        time.sleep(0.05)


@pytest.mark.parametrize("backend", ["in-process"], indirect=True)
def test_what_people_do_becomes_the_policy_that_ranks_and_outlives_the_process(wired: WiredMaker) -> None:
    with TestClient(create_app(wired(**LEARNS))) as client:
        total = like_some(client, range(1, 9))
        found = until_learned(client, total)
        assert found["reward"] > 0
        assert found["tally"]["refused_impressions"] == 0
        assert found["bandits"]["AU"]["rewards"] > 0
        until_served(client, found["learned"])
        # a policy is served a moment before its progress is read
        until_metrics_say(client, f"talentfeed_learned_impressions_total {total}.0")
        feed = post(client, "/api/search/total", {"user_id": 99})
        again = client.get(f"/api/feeds/{feed['feed_id']}/replay", headers=admin()).json()["body"]
        assert again["identical"]
        assert again["policy"] == found["learned"]
        compared = post(client, "/api/admin/policy/compare", {"policies": ["logged", "epsilon=0.5"], "feeds": 20})
        assert compared["feeds"] == 8
        assert compared["policies"]["logged"]["mean_weight"] == pytest.approx(1.0)
        assert set(compared["differences"]) == {"epsilon=0.5"}
        assert compared["policies"]["logged"]["logged"]["value"] == pytest.approx(found["reward"] / total)
        last = until_learned(client, total + len(feed["items"]))["learned"]
    asyncio.run(forget_all())
    with TestClient(create_app(wired(**LEARNS))) as client:
        until_served(client, last)
        assert shown(client)["impressions"] == total + len(feed["items"])


@pytest.mark.parametrize("backend", ["redis-server"], indirect=True)
def test_beside_redis_the_learner_is_a_process_of_its_own(wired: WiredMaker) -> None:
    service = wired(**LEARNS)
    with TestClient(create_app(service)) as client:
        total = like_some(client, range(1, 5))
        time.sleep(0.2)
        assert shown(client)["impressions"] == 0

        async def learn() -> None:
            task = asyncio.create_task(policy.learn(service.settings))
            deadline = time.monotonic() + 60
            while (await asyncio.to_thread(shown, client))["impressions"] < total:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            await ended(task)

        asyncio.run(learn())
        until_served(client, shown(client)["learned"])


@pytest.mark.parametrize("backend", ["in-process"], indirect=True)
@pytest.mark.parametrize("mode", ["shadow", "static"])
def test_other_modes_serve_what_an_operator_chose(wired: WiredMaker, mode: str) -> None:
    with TestClient(create_app(wired(**LEARNS | {"policy_mode": mode}))) as client:
        total = like_some(client, range(1, 5))
        if mode == "shadow":
            found = until_learned(client, total)
            assert found["learned"] != found["served"] == "initial"
        until_served(client, "initial")
        made = post(client, "/api/admin/policy/rollback", {} if mode == "static" else {"version": found["learned"]})
        until_served(client, made["version"])


@pytest.mark.parametrize("backend", ["in-process"], indirect=True)
def test_a_checkpoint_that_is_damaged_is_set_aside_and_feeds_go_on(wired: WiredMaker) -> None:
    service = wired(**LEARNS)
    file = service.settings.data_dir / policy.CHECKPOINT
    file.write_bytes(b"damaged")
    with TestClient(create_app(service)) as client:
        assert post(client, "/api/search/total", {"user_id": 1})["items"]
    assert file.with_suffix(".damaged").read_bytes() == b"damaged"


def test_operators_export_import_and_start_anew(client: TestClient, service: LocalService) -> None:
    exported = client.get("/api/admin/policy/export", headers=admin()).json()["body"]
    assert exported["version"] == "initial"
    first = post(client, "/api/admin/policy/import", exported)["version"]
    second = post(client, "/api/admin/policy/reset")["version"]
    found = shown(client)
    assert (found["learned"], found["versions"]) == (second, [second, first])


@pytest.mark.parametrize("version", ["7-00000000", "../etc", "", 7, ["a"]])
def test_a_version_that_there_is_not_is_refused(client: TestClient, version: Any) -> None:
    response = client.post("/api/admin/policy/rollback", json={"version": version}, headers=admin())
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["version"]


@pytest.mark.parametrize("body", [{}, {"form": 1}, {"form": 1, "state": "eJw="}, {"form": 1, "state": 7}, {"form": 9}])
def test_what_is_no_policy_is_refused(client: TestClient, body: Any) -> None:
    response = client.post("/api/admin/policy/import", json=body, headers=admin())
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["state"]
    assert shown(client)["learned"] == "initial"


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "policies"), ({"policies": ["x"]}, "policies"), ({"policies": ["logged"], "feeds": 0}, "feeds")],
)
def test_what_cannot_be_compared_is_refused(client: TestClient, body: Any, field: str) -> None:
    response = client.post("/api/admin/policy/compare", json=body, headers=admin())
    assert response.status_code == 422
    assert field in [error["field"] for error in response.json()["errors"]]


def test_nobody_without_a_key_sees_or_changes_the_policy(client: TestClient) -> None:
    for path in ("", "/export"):
        assert client.get(f"/api/admin/policy{path}").status_code == 401
    for path in ("import", "reset", "rollback"):
        assert client.post(f"/api/admin/policy/{path}", json={}).status_code == 401


def test_history_teaches_what_viewers_like_and_weighs_less_than_what_will_be_seen() -> None:
    snapshot = small_catalogue()
    found = warm.from_history(snapshot, preset("classic"))
    again = warm.from_history(snapshot, preset("classic"))
    assert found is not None
    assert again is not None
    one = found.bandits["AU"]
    assert one.b.tolist() == again.bandits["AU"].b.tolist()
    assert 0 < one.weight <= min(warm.WEIGHT, warm.SHARE * one.rewards * 1.001)
    assert one.b.any()
    assert one.error_n == 0


def test_history_teaches_the_preset_learned_no_more_than_it_starts_from() -> None:
    learned = PRESETS["learned"]
    assert learned.learned is not None
    assert warm.from_history(small_catalogue(), learned) is None  # no signals
    snapshot = with_signals(small_catalogue(), 1)
    found = warm.from_history(snapshot, learned)
    assert found is not None
    one = found.bandits["AU"]
    assert one.b.shape == (20,)
    assert one.b.any()
    assert 0 < one.weight <= min(learned.learned.trust, warm.SHARE * one.rewards * 1.001)
    prepare(snapshot, sums.policy(found, "from history", learned), learned)
