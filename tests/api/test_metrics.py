"""What /metrics tells is true, well formed, and the same thing from one worker and from several."""

import asyncio
import random
import re
import subprocess
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tests.api.conftest import LocalService, WiredMaker, admin, small_catalogue

from talentfeed.activity import backlog, keys
from talentfeed.activity.backlog import SAMPLE, Backlog
from talentfeed.api.app import create_app
from talentfeed.api.meters import Families, Spread
from talentfeed.api.quality import EVERY
from talentfeed.api.siblings import merged
from talentfeed.health import Probe
from talentfeed.snapshot.outcomes import Outcome
from talentfeed.stores.redis import open_redis


def values(text: str, name: str) -> dict[str, float]:
    """A family's samples of that name, by their labels as they are written."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def check(text: str) -> None:
    """Prometheus' own linter has nothing to say."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def everything(client: TestClient, service: LocalService) -> str:
    """/metrics of a service to which all that is counted has happened."""
    for path in ("total", "discover", "flow"):
        client.post(f"/api/search/{path}", json={"user_id": 1})
    client.post("/api/activities", json={"event_type": "like", "user_id": 1, "video_id": 1_000})
    client.post("/api/search/reload", headers=admin())
    service.probes = {"redis": Probe(up=True, since=1.0, seconds=0.001)}
    service.backlog = Backlog(users=3, activities=75, batches=1, quarantined=2)
    service.live.built = Outcome(at=2.0, seconds={"read": 1.5})
    service.flusher.oldest_waiting = 1_790_000_000.0
    return client.get("/metrics").text


def test_prometheus_finds_nothing_wrong_with_it(client: TestClient, service: LocalService) -> None:
    text = everything(client, service)
    check(text)
    check(merged({"1": text.encode(), "2": text.encode()}).decode())


def test_the_linter_would_find_something() -> None:
    with pytest.raises(AssertionError):
        check("# TYPE talentfeed_things counter\ntalentfeed_things 1\n")


def test_what_rooms_know_is_told(client: TestClient, service: LocalService) -> None:
    text = everything(client, service)
    assert values(text, "talentfeed_store_up") == {'store="redis"': 1}
    assert values(text, "talentfeed_waiting_activities") == {"": 75}
    assert values(text, "talentfeed_quarantined_now") == {"": 2}
    assert values(text, "talentfeed_build_seconds") == {'stage="read"': 1.5}
    assert values(text, "talentfeed_bandit_theta_norm") == dict.fromkeys(('pool="VMP"', 'pool="AU"', 'pool="NU"'), 0.0)
    assert values(text, "talentfeed_bandit_uncertainty")['pool="AU"'] == pytest.approx(1.0)
    assert values(text, "talentfeed_policy_info") == {'version="initial"': 1}
    assert values(text, "talentfeed_client_activities_total")['event_type="like"'] == 1
    assert values(text, "talentfeed_feed_removed_total")['reason="already_seen"'] > 0
    assert values(text, "process_resident_memory_bytes")[""] > values(text, "talentfeed_memory_shared_bytes")[""] > 0


def test_each_stage_of_a_feed_is_timed_and_together_they_are_the_feed(client: TestClient) -> None:
    for _ in range(3):
        client.post("/api/search/total", json={"user_id": 1})
    text = client.get("/metrics").text
    stages = values(text, "talentfeed_feed_stage_seconds_sum")
    assert set(stages) == {f'stage="{stage}"' for stage in ("session", "viewer", "rank", "record", "encode")}
    assert set(values(text, "talentfeed_feed_stage_seconds_count").values()) == {3}
    ranked = stages['stage="viewer"'] + stages['stage="rank"']
    assert ranked == pytest.approx(values(text, "talentfeed_feed_seconds_sum")['endpoint="total"'])
    whole = values(text, "talentfeed_request_seconds_sum")['path="/api/search/total",status="200"']
    assert sum(stages.values()) < whole


def test_what_is_promised_of_feeds_is_judged_on_some_of_them(client: TestClient) -> None:
    client.post("/api/search/flow", json={"user_id": 1})  # no videos: nothing to judge
    for _ in range(EVERY + 10):
        client.post("/api/search/discover", json={"user_id": 2, "size": 24})
    text = client.get("/metrics").text
    for name in ("creator_windows", "skill_diversity", "new_content"):
        assert values(text, f"talentfeed_quality_{name}_count") == {"": 2}
    assert values(text, "talentfeed_quality_creator_windows_sum") == {"": 2}
    assert values(text, "talentfeed_quality_skill_diversity_sum")[""] / 2 >= 0.6


def test_a_feed_that_is_shorter_than_asked_is_counted_by_its_endpoint(client: TestClient) -> None:
    ids = client.post("/api/search/flow", json={"user_id": 1, "size": 100}).json()["body"]["challenge_ids"]
    text = client.get("/metrics").text
    assert len(ids) < 100
    short = {'endpoint="total"': 0, 'endpoint="discover"': 0, 'endpoint="flow"': 1}
    assert values(text, "talentfeed_feed_short_total") == short


def test_the_loop_is_watched(client: TestClient) -> None:
    until = time.monotonic() + 60
    while values(client.get("/metrics").text, "talentfeed_loop_lag_seconds_count")[""] < 2:
        assert time.monotonic() < until, "nobody looks"
        time.sleep(0.05)


def test_a_histograms_buckets_hold_what_is_no_higher() -> None:
    spread = Spread((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        spread.observe(value)
    assert spread.numbers() == [2, 4, 5, 5, 7.5]


def test_a_family_keeps_apart_what_is_labelled_apart() -> None:
    families = Families()
    things = families.counts("things", "Things", "colour", "size")
    things("red", "big").inc()
    things("red", "small").inc(2.0)
    things("red", "big").inc()
    assert values(families.text(), "things_total") == {
        'colour="red",size="big"': 2.0,
        'colour="red",size="small"': 2.0,
    }


def test_the_service_looks_around_by_itself(wired: WiredMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talentfeed.wiring.LOOK_SECONDS", 0.05)
    service = wired()
    with TestClient(create_app(service)) as client:

        def shown(name: str, wanted: Callable[[dict[str, float]], bool]) -> None:
            until = time.monotonic() + 60
            while not wanted(found := values(client.get("/metrics").text, name)):
                assert time.monotonic() < until, (name, found)
                time.sleep(0.05)

        shown("talentfeed_store_up", lambda found: found == {'store="redis"': 1, 'store="database"': 1})
        shown("talentfeed_waiting_users", lambda found: found == {"": 0})
        client.post("/api/search/total", json={"user_id": 1})
        shown("talentfeed_waiting_users", lambda found: found == {"": 1})
        shown("talentfeed_waiting_activities", lambda found: found == {"": 25})
        check(client.get("/metrics").text)


def test_a_stop_that_meets_a_look_ends_it(wired: WiredMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("talentfeed.wiring.LOOK_SECONDS", 0.0)

    async def run() -> None:
        service = wired()
        for _ in range(20):
            task = asyncio.create_task(service._look_around())
            await asyncio.sleep(random.uniform(0.0, 0.02))
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=60)
            assert done
        await service.stores.close()

    asyncio.run(run())


def test_the_backlog_is_exact_while_it_is_small_and_estimated_beyond() -> None:
    async def run() -> None:
        redis = open_redis(host=None)
        assert await backlog.look(redis) == Backlog(users=0, activities=0, batches=0, quarantined=0)
        for user in range(40):
            await redis.zadd(keys.WAITING, {str(user): user})
            for _ in range(user % 5):
                await redis.lpush(keys.user_activity(user), b"{}")
        await redis.set(keys.user_activity(3), "no list")  # somebody else's
        await redis.zadd(keys.WAITING, {b"\xff": 50.0})
        await redis.rpush(keys.QUARANTINED, b"{}", b"{}")
        await redis.zadd(keys.FLUSHING, {"batch": 1.0})
        found = await backlog.look(redis)
        assert found == Backlog(users=41, activities=80 - 3, batches=1, quarantined=2)
        for user in range(1_000, 1_000 + 2 * SAMPLE):
            await redis.zadd(keys.WAITING, {str(user): user})
            await redis.lpush(keys.user_activity(user), *[b"{}"] * 10)
        found = await backlog.look(redis)
        assert found.users == 41 + 2 * SAMPLE
        assert found.activities == pytest.approx(20 * SAMPLE, rel=0.1)
        await redis.aclose()

    asyncio.run(run())


def test_what_is_shown_can_be_parsed(client: TestClient, service: LocalService) -> None:
    service.next_snapshot = small_catalogue('it\'s "new"\\')
    text = everything(client, service)
    versions = [
        sample.labels["version"]
        for family in text_string_to_metric_families(text)
        if family.name == "talentfeed_snapshot_info"
        for sample in family.samples
    ]
    assert versions == ['it\'s "new"\\']
