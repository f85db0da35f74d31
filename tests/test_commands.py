"""The commands, as a newcomer runs them: real processes, real files, real HTTP."""

import copy
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.backends import RedisServer

from talentfeed.settings import Settings

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "demo",
    "import",
    "build",
    "serve",
    "evaluate",
    "fit",
    "judge",
    "simulate",
    "flush",
    "replay",
    "ledger",
    "check",
    "settings",
    "snapshots",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Place:
    """A folder of its own to run commands in, as on a fresh machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        unset = {name.upper() for name in Settings.model_fields}
        self.environment = {k: v for k, v in os.environ.items() if k not in unset}
        self.environment |= {"API_PORT": str(self.port), "BLACKLIST_PATH": str(ROOT / "data/blacklist.csv")}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "talentfeed", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, *arguments: str, ready: tuple[int, ...] = (200,)) -> subprocess.Popen[str]:
        with (self.folder / "out.txt").open("w") as out, (self.folder / "err.txt").open("w") as err:
            command = [sys.executable, "-m", "talentfeed", *arguments]
            server = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=err, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if server.poll() is not None:
                raise AssertionError((self.folder / "err.txt").read_text() + (self.folder / "out.txt").read_text())
            try:
                if self.call("GET", "/health/ready")[0] in ready:
                    return server
            except OSError:
                time.sleep(0.05)
        server.kill()
        raise AssertionError("no answer within a minute")

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def feed(self, endpoint: str = "total", **body: Any) -> Any:
        status, answer = self.call("POST", f"/api/search/{endpoint}", body)
        assert status == 200, answer
        return answer["body"]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "var/talentfeed.db")) as connection:
            return connection.execute(query, values).fetchall()


def stop(server: subprocess.Popen[str]) -> int:
    server.send_signal(signal.SIGTERM)
    return server.wait(timeout=20)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("demo"))
    result = place.run("demo", "--scale", "0.02", "--seed", "3", "--no-serve")
    assert result.returncode == 0, result.stderr
    return place


@pytest.fixture
def served(made: Place) -> Iterator[Place]:
    server = made.start("serve")
    try:
        yield made
    finally:
        stop(server)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str, tmp_path: Path) -> None:
    result = Place(tmp_path).run(command, "--help", TERM="dumb", COLUMNS="200")
    assert result.returncode == 0
    assert f"talentfeed {command}" in result.stdout.split("Usage", 1)[1].split("\n", 1)[1]


def test_a_second_demo_reuses_what_is_there(made: Place) -> None:
    before = (made.folder / "var/talentfeed.db").stat().st_ino
    result = made.run("demo", "--scale", "0.02", "--seed", "3", "--no-serve")
    assert result.returncode == 0
    assert "Using the data" in result.stderr
    assert (made.folder / "var/talentfeed.db").stat().st_ino == before


def test_the_demo_keeps_its_admin_key_to_its_owner(made: Place) -> None:
    assert (made.folder / "var/admin.key").stat().st_mode & 0o777 == 0o600


def test_a_build_ends_with_one_raw_json_line(made: Place) -> None:
    result = made.run("build")
    assert result.returncode == 0
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["counts"]["videos"] == 39
    assert sum(report["skipped"].values()) > 0
    assert "resumes.bad_json" in result.stderr


def test_evaluate_ends_with_its_measures_as_one_json_line(made: Place) -> None:
    result = made.run("evaluate", "--feeds", "20")
    assert result.returncode == 0, result.stderr
    measures = json.loads(result.stdout.splitlines()[-1])
    keys = {"creator_windows", "skill_diversity", "new_content", "catalogue_coverage", "top100_share", "gave_way"}
    assert {*keys, "feed_ms_p50"} <= set(measures)
    assert measures["feeds"] == 20
    assert "catalogue coverage" in result.stdout


def test_the_same_input_builds_the_same_snapshot(made: Place) -> None:
    first, second = (json.loads(made.run("build").stdout.splitlines()[-1])["version"] for _ in range(2))
    assert first == second


def test_a_feed_is_served_recorded_and_flushed_on_shutdown(made: Place) -> None:
    server = made.start("serve")
    feed = made.feed(user_id=1)
    assert len(feed["mix_ids"]) == 24
    assert stop(server) == 0
    recorded = made.rows(
        "select subject_id, properties from activity_log where properties like ? order by id",
        f"%{feed['feed_id']}%",
    )
    assert [str(item) for item, _ in recorded if item is not None] == feed["mix_ids"]
    assert len(recorded) == 25


def test_what_a_client_reports_counts_from_the_next_request_and_survives_a_kill(made: Place) -> None:
    server = made.start("serve")
    liked = int(made.feed("discover", user_id=2)["resume_ids"][0])
    event = {"event_type": "like", "user_id": 2, "video_id": liked, "event_id": "tap-1"}
    assert made.call("POST", "/api/activities", event) == (202, {"statusCode": 202, "body": {"accepted": 1}})
    server.kill()  # no shutdown, no flush
    server.wait()
    stored = ("select count(*) from activity_log where subject_id = ? and properties like '%tap-1%'", liked)
    assert made.rows(*stored) == [(1,)]

    server = made.start("serve")
    try:
        assert made.call("POST", "/api/activities", event)[0] == 202  # a repeat is acknowledged, and stored once
        for _ in range(3):
            page = made.feed("discover", user_id=2, size=20)
            assert str(liked) not in page["resume_ids"]
    finally:
        stop(server)
    assert made.rows(*stored) == [(1,)]


def test_reload_serves_a_new_video_without_a_restart(served: Place) -> None:
    key = (served.folder / "var/admin.key").read_text().strip()
    with closing(sqlite3.connect(served.folder / "var/talentfeed.db")) as connection, connection:
        connection.execute(
            "insert into resumes (id, user_id, video, status, skills, description, created_at) "
            "values (900001, 1, 'https://media.example/900001.mp4', 'send', '[\"Glassblowing\"]', 'Vidrio', "
            "(select max(created_at) from resumes where created_at < datetime('now')))"
        )
    status, answer = served.call("POST", "/api/search/reload", **{"X-Admin-Key": key})
    assert (status, answer["body"]["changed"]) == (200, True), answer
    seen: set[str] = set()
    while page := served.feed("discover", user_id=3, excluded_ids=sorted(seen))["resume_ids"]:
        assert seen.isdisjoint(page)
        seen |= set(page)
    assert "900001" in seen
    assert len(seen) == answer["body"]["counts"]["videos"]


def test_a_build_of_another_process_is_picked_up(served: Place) -> None:
    before = served.feed(user_id=1)["snapshot"]
    with closing(sqlite3.connect(served.folder / "var/talentfeed.db")) as connection, connection:
        connection.execute("update resumes set description = 'Nuevo' where id = (select min(id) from resumes)")
        connection.execute("update resumes set description = 'Otro' where status = 'send'")
    built = json.loads(served.run("build").stdout.splitlines()[-1])["version"]
    assert built != before
    deadline = time.monotonic() + 60
    while served.feed(user_id=1)["snapshot"] != built:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_flush_acts_through_the_running_server(served: Place) -> None:
    feed = served.feed("flow", user_id=4, size=3)
    result = served.run("flush")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["flushed"] >= len(feed["items"]) + 1
    count = "select count(*) from activity_log where properties like ?"
    assert served.rows(count, f"%{feed['feed_id']}%") == [(len(feed["items"]) + 1,)]


def test_what_is_set_aside_is_asked_of_the_running_server(served: Place) -> None:
    result = served.run("activities", "quarantined")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == {"total": 0, "entries": []}
    result = served.run("activities", "discard", "b.0")
    assert result.returncode == 1
    assert "Nothing is set aside under b.0" in result.stderr


def test_replay_acts_through_the_running_server(served: Place) -> None:
    feed = served.feed(user_id=5)
    result = served.run("replay", feed["feed_id"])
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert (report["feed_id"], report["identical"]) == (feed["feed_id"], True)
    assert [str(slot["id"]) for slot in report["slots"]] == feed["mix_ids"]
    assert f"Feed {feed['feed_id']}: identical" in result.stdout
    for place, (item_id, item) in enumerate(zip(feed["mix_ids"], feed["items"], strict=True)):
        assert re.search(rf"│\s+{place} │ {item['type']} {item_id}\s+│ {item['pool']}\s+│", result.stdout)


def test_replay_of_what_is_not_kept_is_one_text(served: Place) -> None:
    result = served.run("replay", "0" * 32)
    assert (result.returncode, result.stdout) == (1, "")
    assert "not kept any more" in result.stderr
    assert "Traceback" not in result.stderr


def test_replay_with_a_redis_of_its_own_asks_redis(made: Place, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    place = copy.copy(made)
    place.environment = made.environment | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}
    try:
        server = place.start("serve")
        feed = place.feed(user_id=5)
        stop(server)
        result = place.run("replay", feed["feed_id"])
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout.splitlines()[-1])["identical"] is True
        gone = place.run("replay", "f" * 32)
    finally:
        redis.kill()
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "not kept any more" in gone.stderr


def test_an_imported_catalogue_is_served_as_on_its_day_without_flows(tmp_path: Path) -> None:
    dataset = tmp_path / "tiny"
    dataset.mkdir()
    (dataset / "users.csv").write_text("id,role\n" + "".join(f"{n},viewer\n" for n in range(1, 40)))
    (dataset / "videos.csv").write_text(
        "id,user_id,created_at,skills\n"
        + "".join(f'{n},,2022-04-0{n % 9 + 1},"[""tag_{n % 7}""]"\n' for n in range(60))
    )
    (dataset / "interactions.csv").write_text(
        "user_id,video_id,timestamp,type,reward,watch_ratio,is_click,is_like\n"
        + "".join(
            f"{n % 39 + 1},{n % 60},2022-04-20T10:{n % 60:02d}:00Z,impression,{n % 2},0.7,1,0\n" for n in range(300)
        )
    )
    for file in list(dataset.glob("*.csv")):
        subprocess.run(["gzip", str(file)], check=True)
    place = Place(tmp_path)
    result = place.run("import", str(dataset))
    assert result.returncode == 0, result.stderr
    assert "--as-of 2022-04-20T10:59:00" in result.stderr
    server = place.start("serve")
    try:
        feed = place.feed(user_id=1)
    finally:
        stop(server)
    assert len(feed["items"]) == 24
    assert {item["type"] for item in feed["items"]} == {"resume"}
    assert [fallback["planned"] for fallback in feed["fallbacks"] if fallback["planned"] == "FW"] == ["FW"] * 4
    assert "new_content" in feed["gave_way"]  # every video is new on that day: the rule cannot hold


def test_an_import_that_fails_changes_nothing(made: Place, tmp_path: Path) -> None:
    before = (made.folder / "var/talentfeed.db").read_bytes()
    result = made.run("import", str(tmp_path))
    assert result.returncode == 1
    assert "users.csv.gz" in result.stderr
    assert "Traceback" not in result.stderr
    assert (made.folder / "var/talentfeed.db").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["serve"], {"API_PORT": "70000"}, "API_PORT: Input should be less than or equal to 65535"),
        (["build"], {}, "talentfeed demo"),
        (["serve"], {}, "talentfeed demo"),
        (["flush"], {"ADMIN_API_KEY": "k"}, "No server answers at 127.0.0.1"),
        (["replay", "0" * 32], {"ADMIN_API_KEY": "k"}, "No server answers at 127.0.0.1"),
        (["replay", "latest"], {}, "'latest' is no feed's id: 32 hex digits"),
        (["build", "--as-of", "soon"], {}, "--as-of 'soon' is no time"),
        (["build", "--as-of", "nan"], {}, "--as-of 'nan' is no time"),
        (["build", "--as-of", "1e30"], {}, "--as-of '1e30' is no time"),
        (["build"], {"BLACKLIST_PATH": "nowhere.csv"}, "BLACKLIST_PATH: nowhere.csv is no file"),
        (["serve"], {"DATA_DIR": "/etc/hostname"}, "DATA_DIR /etc/hostname cannot be written"),
        (["demo"], {"DATA_DIR": "/proc/nowhere"}, "DATA_DIR /proc/nowhere cannot be written"),
        (["flush"], {"ADMIN_API_KEY": "clé"}, "ADMIN_API_KEY: key 1 (not shown) does not fit"),
        (["serve"], {"FEED_PATTERN": "VMP XX"}, "no pool is called XX"),
        (["serve"], {"PRESET": "turbo"}, "turbo"),
        (["serve", "--workers", "2"], {}, "WORKERS: 2, but the in-process store lives in one process"),
        (["serve"], {"ENVIRONMENT": "prod"}, "MYSQL_HOST: missing"),
        (["build"], {"MYSQL_HOST": "127.0.0.1", "MYSQL_PORT": "1"}, "check MYSQL_HOST and MYSQL_PORT"),
    ],
)
def test_what_is_wrong_is_said_in_one_text_without_a_trace(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    result = Place(tmp_path).run(*arguments, **environment)
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", ["0", "257", "²", "-1", "two"])
def test_a_number_of_workers_that_cannot_be_is_refused_by_the_parser(tmp_path: Path, number: str) -> None:
    result = Place(tmp_path).run("serve", "--workers", number)
    assert result.returncode == 2
    assert "--workers" in result.stderr


def test_a_flush_that_cannot_reach_redis_is_a_failure(made: Place) -> None:
    result = made.run("flush", REDIS_HOST="127.0.0.1", REDIS_PORT="1")
    assert result.returncode == 1
    assert "The flush ended early" in result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["flushed"] == 0


def test_a_port_in_use_is_named(made: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", made.port))
        other.listen()
        result = made.run("serve")
    assert result.returncode == 1
    assert re.search(rf"Cannot listen on 127\.0\.0\.1:{made.port}: .*API_PORT", result.stderr)


def test_nobody_replaces_a_database_that_is_served(served: Place) -> None:
    result = served.run("demo", "--reset", "--no-serve", "--scale", "0.01")
    assert result.returncode == 1
    assert "in use by another talentfeed process" in result.stderr
