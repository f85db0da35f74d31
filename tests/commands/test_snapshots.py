"""Versions listed, gone back to, and carried from a builder to a pod that has no database, by real processes."""

import fcntl
import http.client
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from tests.contracts.backends import RedisServer
from tests.contracts.ports import free_port
from tests.contracts.s3 import BUCKET, S3Server
from tests.ranking.factory import random_snapshot
from tests.test_commands import Place, stop

from talentfeed.commands.snapshots import go_back
from talentfeed.errors import SnapshotError
from talentfeed.settings import Settings
from talentfeed.snapshot import outcomes, store
from talentfeed.snapshot.exchange import Exchange
from talentfeed.snapshot.signals import NEIGHBOURS

KEY = "operators"
LISTS = ("connection", "history_at", "history_video", "history_kind", "history_liked", "flow_history")  # of all users


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("builder"))
    result = place.run("demo", "--scale", "0.02", "--seed", "3", "--no-serve")
    assert result.returncode == 0, result.stderr
    return place


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    """A copy of the demo, to be changed."""
    (tmp_path / "place").mkdir()
    other = Place(tmp_path / "place")
    other.environment["ADMIN_API_KEY"] = KEY
    shutil.copytree(made.folder / "var", other.folder / "var")
    return other


def last_line(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def change(place: Place, text: str) -> None:
    with closing(sqlite3.connect(place.folder / "var/talentfeed.db")) as connection, connection:
        connection.execute("update resumes set description = ? where status = 'send'", (text,))


def eventually(what: Callable[[], Any], *, within: float = 90.0) -> Any:
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)
    return found


def test_versions_are_listed_and_gone_back_to_while_a_server_runs(place: Place) -> None:
    first = last_line(place.run("snapshots"))["versions"][0]
    assert first["current"]
    assert first["counts"]["videos"] == 39
    change(place, "Nuevo")
    second = last_line(place.run("build"))["version"]
    result = place.run("snapshots")
    assert [(one["version"], one["current"]) for one in last_line(result)["versions"]] == [
        (first["version"], False),
        (second, True),
    ]
    assert first["version"] in result.stdout.partition('{"place"')[0]
    server = place.start("serve")
    try:
        assert place.feed(user_id=1)["snapshot"] == second
        assert last_line(place.run("snapshots", "rollback")) == {"version": first["version"], "before": second}
        eventually(lambda: place.feed(user_id=1)["snapshot"] == first["version"])
    finally:
        stop(server)


@pytest.fixture(params=[False, True], ids=["here", "shared"])
def three(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Settings, list[str]]:
    """Settings where three versions are published, here or on a shared folder."""
    url = str(tmp_path / "shared") if request.param else None
    settings = Settings(_env_file=None, data_dir=tmp_path, snapshot_url=url)  # type: ignore[call-arg]
    made = []
    for seed in (1, 2, 3):
        snapshot = store.seal(random_snapshot(30, 4, 20, seed))
        made.append(store.publish(snapshot, settings.snapshot_dir).version)
        if url is not None:
            Exchange(url).push(settings.snapshot_dir, made[-1])
    return settings, made


def test_one_goes_back_to_the_one_before_or_to_the_one_named(three: tuple[Settings, list[str]]) -> None:
    settings, (first, second, third) = three
    assert go_back(settings, None) == (second, third)
    assert go_back(settings, third) == (third, second)
    assert go_back(settings, first) == (first, third)
    assert store.current(settings.snapshot_dir) == first
    if settings.snapshot_url is not None:
        assert Exchange(settings.snapshot_url).current() == first
    with pytest.raises(SnapshotError, match=f"{first} is the oldest snapshot there is"):
        go_back(settings, None)
    with pytest.raises(SnapshotError, match=f"19700101: there is no such snapshot; there are: {first}"):
        go_back(settings, "19700101")


def test_a_version_published_again_is_the_last_to_go_back_from(three: tuple[Settings, list[str]]) -> None:
    settings, (first, _, third) = three
    store.publish(store.seal(random_snapshot(30, 4, 20, 1)), settings.snapshot_dir)
    if settings.snapshot_url is not None:
        Exchange(settings.snapshot_url).push(settings.snapshot_dir, first)
    assert go_back(settings, None) == (third, first)


def test_a_damaged_version_is_not_gone_back_to(three: tuple[Settings, list[str]]) -> None:
    settings, (_, second, third) = three
    for place in (settings.snapshot_dir, Path(settings.snapshot_url or settings.snapshot_dir)):
        file = place / second / "videos.json.npy"
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(SnapshotError, match=r"videos\.json\.npy is not what was published"):
        go_back(settings, None)
    assert store.current(settings.snapshot_dir) == third


def test_what_data_costs_in_a_snapshot_is_what_the_capacity_guide_says(made: Place) -> None:
    snapshots = made.folder / "var/snapshots"
    folder = snapshots / (snapshots / "CURRENT").read_text().strip()
    sizes = {file.stem: np.load(file, mmap_mode="r").nbytes for file in folder.glob("*.npy")}
    counts = {name: len(np.load(folder / f"{name}.id.npy", mmap_mode="r")) for name in ("users", "videos")}
    users = sum(size for name, size in sizes.items() if name.startswith("users.") or name == "signals.event_start")
    users -= sum(sizes.get(f"users.{name}", 0) for name in LISTS)
    videos = sum(size for name, size in sizes.items() if name.startswith("videos."))
    videos += sum(sizes[f"signals.{name}"] for name in ("factors", "items", "apart", "rewarded", "shown"))
    videos += counts["videos"] * NEIGHBOURS * 8  # a small catalogue has not so many
    page = (Path(__file__).parents[2] / "docs/capacity.md").read_text(encoding="utf-8")
    found = {
        what: int(each.replace(",", ""))
        for what, each in re.findall(r"^\| a (user|video)[^|]*\| ([\d,]+) \|", page, re.M)
    }
    assert found == {
        "user": pytest.approx(users / counts["users"], rel=0.05),
        "video": pytest.approx(videos / counts["videos"], rel=0.05),
    }


def test_a_build_that_lost_too_much_is_refused_and_every_reader_of_the_folder_hears_why(place: Place) -> None:
    server = place.start("serve")
    try:
        before = place.feed(user_id=1)["snapshot"]
        with closing(sqlite3.connect(place.folder / "var/talentfeed.db")) as connection, connection:
            connection.execute("delete from resumes where id % 4 = 0")
        result = place.run("build", SNAPSHOT_TOLERANCE="0.1")
        assert result.returncode == 1
        assert "where the current snapshot has 400; if that is right, build with --force" in result.stderr
        health = eventually(lambda: place.call("GET", "/health/ready", **{"X-Admin-Key": KEY})[1]["degraded"])
        assert [(one["part"], "has 400" in one["reason"]) for one in health] == [("build", True)]
        assert 'talentfeed_snapshot_fault{part="build"} 1.0' in metrics(place)
        assert "talentfeed_reload_failures_total 1.0" in metrics(place)
        assert "has 400" in (place.folder / "out.txt").read_text()
        assert place.feed(user_id=1)["snapshot"] == before
    finally:
        stop(server)


def metrics(place: Place) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_build_that_comes_while_another_runs_shares_what_comes_of_it(place: Place) -> None:
    folder = place.folder / "var/snapshots"
    current = (folder / "CURRENT").read_text().strip()
    change(place, "Nuevo")  # its own build would make another version
    with (folder / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "talentfeed", "build"]
        with (place.folder / "told.txt").open("w") as told:
            second = subprocess.Popen(
                command, cwd=place.folder, env=place.environment, stdout=subprocess.PIPE, stderr=told, text=True
            )
            eventually(lambda: "Another build is under way" in (place.folder / "told.txt").read_text())
        shared = outcomes.Outcome(at=time.time(), version=current, seconds={"read": 1.25}, bytes=5)
        outcomes.tell(folder, outcomes.BUILD, shared)
    out, _ = second.communicate(timeout=120)
    report = json.loads(out.splitlines()[-1])
    assert (report["version"], report["seconds"], report["bytes"]) == (current, 1.25, 5)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_a_pod_without_a_database_serves_what_a_builder_publishes_on_s3(
    place: Place, s3: S3Server, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.environment |= s3.environment | {"SNAPSHOT_URL": f"s3://{BUCKET}/feed"}
    (tmp_path / "pod").mkdir()
    pod = Place(tmp_path / "pod")
    pod.environment |= s3.environment | {
        "ADMIN_API_KEY": KEY,
        "SNAPSHOT_URL": f"s3://{BUCKET}/feed",
        "MYSQL_HOST": "127.0.0.1",
        "MYSQL_PORT": str(free_port()),
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis.port),
    }
    server = pod.start("serve", "--workers", "2", ready=(503,))
    try:
        first = last_line(place.run("build"))["version"]
        eventually(lambda: len(re.findall(r'talentfeed_ready\{worker="\w+"\} 1\.0', metrics(pod))) == 2)
        feeds = [pod.feed(user_id=user) for user in range(1, 9)]
        assert {feed["snapshot"] for feed in feeds} == {first}
        assert all(len(feed["mix_ids"]) == 24 for feed in feeds)

        change(place, "Nuevo")
        second = last_line(place.run("build"))["version"]
        eventually(lambda: {pod.feed(user_id=user)["snapshot"] for user in range(1, 9)} == {second})
        assert [one["version"] for one in last_line(pod.run("snapshots"))["versions"]] == [first, second]
        assert last_line(place.run("snapshots", "rollback"))["version"] == first
        eventually(lambda: {pod.feed(user_id=user)["snapshot"] for user in range(1, 9)} == {first})

        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        files = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
        shutil.rmtree(pod.folder / "var/snapshots" / second)
        content = files.cat_file(f"{BUCKET}/feed/{second}/users.id.npy")
        files.pipe_file(f"{BUCKET}/feed/{second}/users.id.npy", content[:-1] + b"!")
        files.pipe_file(f"{BUCKET}/feed/CURRENT", second.encode())

        def fault(**headers: str) -> Any:
            return [one for one in pod.call("GET", "/health/ready", **headers)[1]["degraded"] if one["part"] == "fetch"]

        told = eventually(lambda: fault(**{"X-Admin-Key": KEY}))
        untold = eventually(fault)  # of whichever worker answers
        assert "cannot be fetched; the log and X-Admin-Key tell why" in untold[0]["reason"]
        assert "users.id.npy is not what was published" in told[0]["reason"]
        assert {pod.feed(user_id=user)["snapshot"] for user in range(1, 9)} == {first}
        eventually(lambda: 'talentfeed_snapshot_fault{worker="2",part="fetch"} 1.0' in metrics(pod))
    finally:
        assert stop(server) == 0
