"""Several workers at one address: they share, are replaced, stop and start anew without anybody noticing."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.backends import RedisServer
from tests.test_commands import Place, stop

BUILDS = ("ibis", "duckdb", "pyarrow", "pandas", "sqlglot", "connectorx", "adbc_driver_manager", "adbc_driver_sqlite")
# what the first feeds do without; each took a hundredth of a start, or more
SPARED = {
    *("numpy.ma", "pydantic.v1", "rich", "typer"),
    *("talentfeed.api.documented", "talentfeed.cli", "talentfeed.comparing", "talentfeed.learning.learner"),
    *("talentfeed.evaluation.slates", "talentfeed.ranking.explain"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("workers")
    made = Place(folder)
    result = made.run("demo", "--scale", "0.02", "--seed", "3", "--no-serve")
    assert result.returncode == 0, result.stderr
    redis = RedisServer(folder)
    redis.start()
    made.environment |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}
    yield made
    redis.kill()


@pytest.fixture(scope="module")
def servers(place: Place) -> Iterator[list[subprocess.Popen[str]]]:
    """The one that runs is the last; tests that end it leave it to the next to start another."""
    started: list[subprocess.Popen[str]] = []
    yield started
    if started and started[-1].poll() is None:
        assert stop(started[-1]) == 0


@pytest.fixture
def server(place: Place, servers: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    if not servers or servers[-1].poll() is not None:
        servers.append(place.start("serve", "--workers", "2"))
        eventually(lambda: answering(place) == {"1", "2"})
    return servers[-1]


def eventually(what: Callable[[], Any], *, within: float = 60.0) -> Any:
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)
    return found


def workers(server: subprocess.Popen[str]) -> set[int]:
    """They and the one that flushes, which was forked last."""
    return {int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()}


def answering(place: Place) -> set[str]:
    """The names of the workers whose metrics are in the answer."""
    return set(re.findall(r'talentfeed_ready\{worker="(\w+)"\} 1\.0', metrics(place)))


def metrics(place: Place) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def said(place: Place) -> str:
    return (place.folder / "out.txt").read_text() + (place.folder / "err.txt").read_text()


@contextlib.contextmanager
def constant_requests(place: Place) -> Iterator[list[Any]]:
    """While inside, feeds are asked for, each on a connection of its own; yields what went wrong."""
    over, wrong, served = threading.Event(), [], threading.Semaphore(0)

    def ask() -> None:
        while not over.is_set():
            try:
                place.feed(user_id=1)
                served.release()
            except (OSError, AssertionError, http.client.HTTPException) as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
        for _ in range(4):
            assert served.acquire(timeout=60)
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.usefixtures("server")
def test_metrics_tell_of_every_worker_whoever_answers(place: Place) -> None:
    before = feeds_counted(place)
    for _ in range(6):
        place.feed(user_id=1)
    text = metrics(place)
    assert feeds_counted(place) == before + 6
    assert answering(place) == {"1", "2"}
    assert text.count("# TYPE talentfeed_feed_seconds histogram") == 1
    assert re.search(r'talentfeed_feed_seconds_count\{worker="1",endpoint="total"\} ', text)


def feeds_counted(place: Place) -> float:
    return sum(map(float, re.findall(r'talentfeed_feed_seconds_count\{.*?endpoint="total"\} (\S+)', metrics(place))))


def test_a_snapshot_is_in_memory_once_for_all_workers(place: Place, server: subprocess.Popen[str]) -> None:
    for _ in range(4):
        place.feed(user_id=1)
    for pid in sorted(workers(server))[:2]:
        sizes = dict.fromkeys(("Shared_Clean", "Private_Dirty", "Shared_Dirty"), 0)
        inside = False
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                inside = line.endswith(".npy")
            elif inside and line.partition(":")[0] in sizes:
                sizes[line.partition(":")[0]] += int(line.split()[1])
        assert sizes["Shared_Clean"] > 0
        assert sizes["Private_Dirty"] == sizes["Shared_Dirty"] == 0


def test_what_ranks_is_derived_once_and_the_parent_lets_go_of_it(
    place: Place, server: subprocess.Popen[str], servers: list[subprocess.Popen[str]]
) -> None:
    assert said(place).count("Serving snapshot") == len(servers)
    held = Path(f"/proc/{server.pid}/maps")
    eventually(lambda: ".npy" not in held.read_text())
    assert all(".npy" in Path(f"/proc/{pid}/maps").read_text() for pid in sorted(workers(server))[:2])
    flusher = Path(f"/proc/{max(workers(server))}/maps")
    eventually(lambda: ".npy" not in flusher.read_text())


def test_a_killed_worker_is_replaced_and_nobody_waits_for_it(place: Place, server: subprocess.Popen[str]) -> None:
    before = workers(server)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert len(place.feed(user_id=1)["mix_ids"]) == 24
    eventually(lambda: victim not in workers(server) and len(workers(server)) == len(before))
    eventually(lambda: answering(place) == {"1", "2"})
    assert "ended with signal 9" in said(place)


def test_a_stop_ends_requests_under_way_and_stores_what_they_served(
    place: Place, server: subprocess.Popen[str]
) -> None:
    body = b'{"user_id": 11}'
    head = f"POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", place.port), timeout=60) as connection:
        connection.sendall(head + body[:5])
        eventually(lambda: place.call("GET", "/health/live")[0] == 200)  # the worker has read it by now, or will
        time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(place.port))
        connection.sendall(body[5:])
        response = http.client.HTTPResponse(connection)
        response.begin()
        feed = json.loads(response.read())["body"]
    assert response.status == 200
    assert server.wait(timeout=60) == 0
    stored = place.rows("select subject_id from activity_log where properties like ?", f"%{feed['feed_id']}%")
    assert len(stored) == 25


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_client_that_never_ends_its_request_does_not_hold_up_a_stop(
    place: Place, server: subprocess.Popen[str]
) -> None:
    head = b"POST /api/search/total HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", place.port), timeout=60) as connection:
        connection.sendall(head)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    assert "are killed" not in said(place)


def test_a_hang_up_starts_the_program_anew_and_no_request_fails(place: Place, server: subprocess.Popen[str]) -> None:
    before = workers(server)
    with constant_requests(place) as wrong:
        server.send_signal(signal.SIGHUP)
        eventually(lambda: workers(server) and not workers(server) & before)
        eventually(lambda: answering(place) == {"1", "2"})
    assert not wrong
    assert server.poll() is None
    assert not any(is_running(pid) for pid in before)


def test_a_hang_up_with_wrong_settings_is_refused_with_the_reason(place: Place, server: subprocess.Popen[str]) -> None:
    before = workers(server)
    file = place.folder / "credentials" / ".env"
    file.parent.mkdir()
    file.write_text("FEED_PATTERN=VMP XX\n")
    try:
        server.send_signal(signal.SIGHUP)
        eventually(lambda: "Not restarted" in said(place))
    finally:
        file.unlink()
        file.parent.rmdir()
    assert "no pool is called XX" in said(place)
    assert workers(server) == before
    assert len(place.feed(user_id=1)["mix_ids"]) == 24


def test_workers_whose_parent_is_killed_stop_and_free_the_port(place: Place, server: subprocess.Popen[str]) -> None:
    orphans = workers(server)
    server.kill()
    server.wait()
    eventually(lambda: not any(is_running(pid) for pid in orphans))
    assert refuses(place.port)


PROGRAM = """
import os, socket, sys
from talentfeed import logs
from talentfeed.supervisor import Supervisor
logs.set_up(file=None)
def work(child):
    {work}
sys.exit(Supervisor(socket.socket(), {{"a": work}}, rehearse=lambda: None, patience={patience}).run())
"""


def supervised(work: str, patience: float = 10) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(work=work, patience=patience)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_worker_that_keeps_crashing_is_started_less_and_less_often() -> None:
    process = supervised("child.ready(); os._exit(3)")
    assert process.stdout is not None
    pauses = []
    for line in process.stdout:
        assert "ended with exit code 3" in line
        pauses.append(re.findall(r"replaced in (\S+) s", line)[0])
        if len(pauses) == 4:
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert pauses == ["0.0", "0.5", "1.0", "2.0"]


def test_where_no_worker_can_start_the_parent_ends_with_the_reason() -> None:
    process = supervised("raise OSError('no room')")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no room" in out
    assert "giving up" in out


def test_one_that_does_not_stop_is_killed() -> None:
    work = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); child.ready(); print('up', flush=True); time.sleep(99)"
    )
    process = supervised(work, patience=0.5)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 workers did not stop within 0.5 s and are killed" in out


def test_serving_imports_nothing_of_what_builds(place: Place, servers: list[subprocess.Popen[str]]) -> None:
    """In the process itself: Python lists on stderr what it imports."""
    if servers and servers[-1].poll() is None:
        stop(servers[-1])
    folder = place.folder
    command = [sys.executable, "-X", "importtime", "-m", "talentfeed", "serve", "--workers", "2"]
    with (folder / "imports.txt").open("w") as file:
        running = subprocess.Popen(command, cwd=folder, env=place.environment, stdout=file, stderr=file, text=True)
    try:
        eventually(lambda: not refuses(place.port))
        eventually(lambda: place.call("GET", "/health/ready")[0] == 200)
        assert len(place.feed(user_id=1)["mix_ids"]) == 24
    finally:
        assert stop(running) == 0
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", (folder / "imports.txt").read_text(), re.MULTILINE))
    assert {"numpy", "fastapi", "redis", "talentfeed.ranking.feed"} <= imported
    assert not [name for name in imported if name.partition(".")[0] in BUILDS]
    assert not [name for name in imported if name.partition(".")[0] in {"asyncssh", "fakeredis", "asyncmy"}]
    assert imported & SPARED == set()
