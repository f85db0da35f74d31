"""The commands and the server on a real MariaDB and a real Redis, which come and go."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts import mysql_schema
from tests.contracts.backends import RedisServer
from tests.contracts.mariadb import MariaServer
from tests.test_commands import Place, stop

from talentfeed.demo.generate import generate

MIGRATING = (Path(__file__).parents[1] / "docs/migrating.md").read_text(encoding="utf-8")
READER, WRITER = ("tf_reader", "re@der/pw"), ("tf_writer", "wr:iter%pw")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    generate(path, scale=0.02, seed=3, progress=lambda _stage, _done: None)
    return path


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Iterator[MariaServer]:
    """The platform's schema with demo data, an account that may read and one that may write what is ours."""
    server = MariaServer(tmp_path_factory.mktemp("mariadb"))
    server.start()
    mysql_schema.create(server, "talentpitch")
    mysql_schema.copy(demo, server, "talentpitch")
    server.grant("SELECT ON talentpitch.*", *READER)
    server.grant("SELECT, INSERT ON talentpitch.activity_log", *WRITER)
    yield server
    server.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def place(tmp_path: Path, maria: MariaServer, redis: RedisServer) -> Place:
    place = Place(tmp_path)
    place.environment |= {
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_PORT": str(maria.port),
        "MYSQL_USER": READER[0],
        "MYSQL_PASSWORD": READER[1],
        "MYSQL_WRITE_USER": WRITER[0],
        "MYSQL_WRITE_PASSWORD": WRITER[1],
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis.port),
        "FLUSH_THRESHOLD_ACTIVITIES": "1",
        "ADMIN_API_KEY": "k",
    }
    return place


@pytest.fixture
def ledger(maria: MariaServer, place: Place) -> None:
    """Made by who may: the platform's administrator, from what `talentfeed ledger` prints."""
    maria.execute(place.run("ledger").stdout, database="talentpitch")
    maria.execute(f"GRANT SELECT, INSERT, DELETE ON talentpitch.talentfeed_ledger TO '{WRITER[0]}'@'%'")


def eventually(what: Callable[[], Any], *, within: float = 120.0) -> Any:
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.2)
    return found


def stored(maria: MariaServer, event_id: str) -> int:
    sql = f"SELECT COUNT(*) FROM activity_log WHERE properties LIKE '%\"{event_id}\"%'"  # noqa: S608
    return int(maria.execute(sql, database="talentpitch")[0][0])


def like(place: Place, event_id: str) -> int:
    event = {"event_type": "like", "user_id": 7, "video_id": 100001, "event_id": event_id}
    return place.call("POST", "/api/activities", event)[0]


def test_check_says_what_is_wrong_and_the_way_out_and_nothing_secret(place: Place, maria: MariaServer) -> None:
    maria.execute("DROP TABLE IF EXISTS talentfeed_ledger", database="talentpitch")
    result = place.run("check")
    assert result.returncode == 1, result.stdout
    lines = result.stdout.splitlines()
    assert "✓ read users: may be read" in lines
    (line,) = [line for line in lines if line.startswith("✗ write talentfeed_ledger, INSERT")]
    assert "`talentfeed ledger --create`" in line
    report = json.loads(lines[-1])
    assert report["ok"] is False
    assert {check["check"] for check in report["checks"] if check["state"] == "wrong"} == {
        f"write talentfeed_ledger, {right}" for right in ("SELECT", "INSERT", "DELETE")
    }
    for secret in (READER[1], WRITER[1]):
        assert secret not in result.stdout + result.stderr
    before = maria.execute("SELECT COUNT(*) FROM activity_log", database="talentpitch")
    wrong = place.run("check", MYSQL_PASSWORD="guess", REDIS_PORT="1")
    assert wrong.returncode == 1
    assert "✗ read: " in wrong.stdout
    assert "check MYSQL_USER and MYSQL_PASSWORD" in wrong.stdout
    assert "check REDIS_HOST, REDIS_PORT" in wrong.stdout
    assert maria.execute("SELECT COUNT(*) FROM activity_log", database="talentpitch") == before


def test_a_shadow_run_leaves_the_platforms_table_alone_until_it_is_switched(place: Place, maria: MariaServer) -> None:
    """As docs/migrating.md has it, word by word."""
    steps = MIGRATING.split("```sql\n")[1].split("```")[0]
    for statement in steps.replace("feed_writer", WRITER[0]).split(";")[:-1]:
        maria.execute(statement)

    def make_ledger(schema: str) -> None:
        maria.execute(place.run("ledger").stdout, database=schema)
        maria.execute(f"GRANT SELECT, INSERT, DELETE ON {schema}.talentfeed_ledger TO '{WRITER[0]}'@'%'")

    def rows(schema: str) -> int:
        return int(maria.execute(f"SELECT COUNT(*) FROM {schema}.activity_log")[0][0])  # noqa: S608

    before = rows("talentpitch")
    shadow = {"MYSQL_WRITE_DB": "talentfeed_shadow", "POLICY_MODE": "static"}
    wrong = place.run("check", **shadow)
    assert (
        "GRANT SELECT ON `talentfeed_shadow`.`talentfeed_ledger`" in wrong.stdout or "ledger --create" in wrong.stdout
    )
    make_ledger("talentfeed_shadow")
    assert place.run("check", **shadow).returncode == 0
    assert place.run("build", **shadow).returncode == 0
    place.environment |= shadow
    server = place.start("serve")
    try:
        assert len(place.feed(user_id=7)["mix_ids"]) == 24
        eventually(lambda: rows("talentfeed_shadow") == 25)
    finally:
        stop(server)
    assert rows("talentpitch") == before

    flushed = place.run("flush")
    assert json.loads(flushed.stdout.splitlines()[-1])["error"] is None
    del place.environment["MYSQL_WRITE_DB"]
    place.environment["REDIS_DB"] = "2"
    make_ledger("talentpitch")
    assert place.run("check").returncode == 0
    server = place.start("serve")
    try:
        place.feed(user_id=7)
        eventually(lambda: rows("talentpitch") == before + 25)
    finally:
        stop(server)
    assert rows("talentfeed_shadow") == 25
    maria.execute("DROP TABLE talentfeed_ledger", database="talentpitch")


@pytest.mark.usefixtures("ledger")
def test_check_passes_where_all_is_as_it_should_be(place: Place) -> None:
    result = place.run("check")
    assert result.returncode == 0, result.stdout
    assert json.loads(result.stdout.splitlines()[-1])["ok"] is True
    assert "✓ redis appendfsync: always" in result.stdout


def test_without_the_ledger_activities_wait_and_health_says_so(place: Place, maria: MariaServer) -> None:
    maria.execute("DROP TABLE IF EXISTS talentfeed_ledger", database="talentpitch")
    assert place.run("build").returncode == 0
    server = place.start("serve")
    try:
        assert like(place, "waits-for-the-ledger") == 202
        eventually(lambda: place.call("GET", "/health/ready")[1]["stores"]["database"] == "LedgerMissingError")
        flushed = place.run(
            "flush"
        )  # it fails where it meets the missing ledger itself; else the server holds the batch
        assert flushed.returncode == 0 or "talentfeed ledger --create" in flushed.stdout + flushed.stderr
        assert stored(maria, "waits-for-the-ledger") == 0
        assert not maria.execute("SHOW TABLES LIKE 'talentfeed_ledger'", database="talentpitch"), "never made silently"
        maria.execute(place.run("ledger").stdout, database="talentpitch")
        maria.execute(f"GRANT SELECT, INSERT, DELETE ON talentpitch.talentfeed_ledger TO '{WRITER[0]}'@'%'")
        eventually(lambda: stored(maria, "waits-for-the-ledger") == 1)
        eventually(lambda: place.call("GET", "/health/ready")[1]["status"] == "ok")
    finally:
        stop(server)


@pytest.mark.usefixtures("ledger")
def test_build_serve_like_and_an_outage_of_the_database_without_a_restart(place: Place, maria: MariaServer) -> None:
    assert place.run("build").returncode == 0
    server = place.start("serve")
    try:
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
        assert like(place, "before") == 202
        eventually(lambda: stored(maria, "before") == 1)
        maria.kill()
        try:
            assert like(place, "meanwhile") == 202
            assert len(place.feed(user_id=2)["mix_ids"]) == 24
            status, health = place.call("GET", "/health/ready")
            assert (status, health["status"]) == (200, "degraded")
            assert [part["part"] for part in health["degraded"]] == ["database"]
            assert place.call("POST", "/api/search/reload", **{"X-Admin-Key": "k"})[0] == 503
        finally:
            maria.start()
        eventually(lambda: stored(maria, "meanwhile") == 1)
        status, answer = place.call("POST", "/api/search/reload", **{"X-Admin-Key": "k"})
        assert status == 200, answer
        eventually(lambda: place.call("GET", "/health/ready")[1]["status"] == "ok")
    finally:
        stop(server)


@pytest.mark.usefixtures("ledger")
def test_of_several_workers_none_imports_what_only_writing_needs(place: Place, maria: MariaServer) -> None:
    assert place.run("build").returncode == 0
    server = place.start("serve", "--workers", "2")
    try:
        assert like(place, "by-two") == 202
        eventually(lambda: stored(maria, "by-two") == 1)
        eventually(lambda: place.call("GET", "/health/ready")[1]["stores"]["database"] == "ok")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        using = {
            name
            for name, pid in zip(("parent", "one", "two", "flusher"), (server.pid, *children), strict=True)
            if "sqlalchemy" in Path(f"/proc/{pid}/maps").read_text()
        }
        assert using == {"flusher"}
    finally:
        assert stop(server) == 0


@pytest.mark.usefixtures("ledger")
def test_a_server_that_starts_while_the_database_is_away_serves_its_last_snapshot_or_waits_for_one(
    place: Place, maria: MariaServer
) -> None:
    maria.kill()
    try:
        server = place.start("serve", ready=(503,))
        try:
            assert place.call("POST", "/api/search/total", {"user_id": 1})[0] == 503
            health = eventually(lambda: place.call("GET", "/health/ready", **{"X-Admin-Key": "k"})[1]["degraded"][1:])
            assert "cannot connect" in health[0]["reason"]
            [_, untold] = place.call("GET", "/health/ready")[1]["degraded"]
            assert untold == {**health[0], "reason": "the last build failed; the log and X-Admin-Key tell why"}
            assert place.environment["MYSQL_USER"] not in json.dumps(untold)
        finally:
            maria.start()
        eventually(lambda: place.call("GET", "/health/ready")[0] == 200)
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
        stop(server)
        maria.kill()
        server = place.start("serve")
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
        assert place.call("GET", "/health/ready")[1]["status"] == "degraded"
    finally:
        stop(server)
        if maria.process is None:
            maria.start()


@pytest.mark.usefixtures("ledger")
def test_a_server_that_starts_while_redis_is_away_serves_refuses_events_and_recovers_without_a_restart(
    place: Place, maria: MariaServer, redis: RedisServer
) -> None:
    assert place.run("build").returncode == 0
    redis.kill()
    server = place.start("serve")
    try:
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
        assert like(place, "while-redis-was-away") == 503
        health = eventually(lambda: place.call("GET", "/health/ready")[1]["degraded"])
        assert [part["part"] for part in health] == ["redis"]
        redis.start()
        eventually(lambda: like(place, "after-redis-came") == 202)
        eventually(lambda: stored(maria, "after-redis-came") == 1)
        eventually(lambda: place.call("GET", "/health/ready")[1]["status"] == "ok")
        assert "degraded" not in place.feed(user_id=1)
        assert stored(maria, "while-redis-was-away") == 0
    finally:
        stop(server)


def test_an_empty_platform_database_is_served_as_nothing_and_filled_later(
    place: Place, maria: MariaServer, demo: Path
) -> None:
    mysql_schema.create(maria, "newborn")
    place.environment["MYSQL_DB"] = "newborn"
    maria.execute("GRANT ALL ON newborn.* TO 'tf_reader'@'%'")
    place.environment |= {"MYSQL_WRITE_USER": READER[0], "MYSQL_WRITE_PASSWORD": READER[1]}
    result = place.run("ledger", "--create")
    assert result.returncode == 0, result.stderr
    server = place.start("serve", ready=(200, 503))
    try:
        eventually(lambda: place.call("GET", "/health/ready")[0] == 200)
        assert place.feed(user_id=1)["mix_ids"] == []
        eventually(lambda: maria.execute("SELECT id FROM activity_log", database="newborn"))
        maria.execute("DELETE FROM activity_log", database="newborn")  # of the empty feed: its ids are the demo's
        mysql_schema.copy(demo, maria, "newborn")
        assert place.call("POST", "/api/search/reload", **{"X-Admin-Key": "k"})[0] == 200
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
    finally:
        stop(server)
