"""The process that flushes beside those that serve: it does it, it ends with them, and it is missed."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.contracts.backends import RedisServer
from tests.test_commands import Place, stop
from tests.test_workers import eventually, is_running, metrics, said, workers

PAGE = 25  # activities of a feed


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("beside"))
    result = made.run("demo", "--scale", "0.02", "--seed", "3", "--no-serve")
    assert result.returncode == 0, result.stderr
    redis = RedisServer(made.folder)
    redis.start()
    made.environment |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port)}
    yield made
    redis.kill()


@contextlib.contextmanager
def served(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    server = place.start("serve", *arguments)
    try:
        yield server
    finally:
        if server.poll() is None:
            assert stop(server) == 0


def stored(place: Place, feed: Any) -> int:
    """How many activities of a feed are in the database."""
    found = place.rows("select count(*) from activity_log where properties like ?", f"%{feed['feed_id']}%")
    return int(found[0][0])


def is_stored(place: Place, *feeds: Any) -> Callable[[], bool]:
    return lambda: [stored(place, feed) for feed in feeds] == [PAGE] * len(feeds)


def two_feeds(place: Place, user_id: int) -> list[Any]:
    """Enough of one user to be flushed at once."""
    return [place.feed(user_id=user_id) for _ in range(2)]


def test_one_process_beside_a_single_worker_flushes_and_the_worker_counts_it(place: Place) -> None:
    with served(place) as server:
        [flusher] = workers(server)
        eventually(is_stored(place, *two_feeds(place, 1)))
        eventually(lambda: "talentfeed_flushed_activities_total 50.0" in metrics(place))
        assert os.getpriority(os.PRIO_PROCESS, flusher) > os.getpriority(os.PRIO_PROCESS, server.pid)
        last = place.feed(user_id=2)
        assert stop(server) == 0
    assert stored(place, last) == PAGE, "what waits is flushed when it stops"
    assert not is_running(flusher)


def test_of_several_workers_one_counts_what_the_process_beside_them_does(place: Place) -> None:
    with served(place, "--workers", "2") as server:
        assert len(eventually(lambda: len(found := workers(server)) == 3 and found)) == 3
        eventually(is_stored(place, *two_feeds(place, 3)))
        pattern = r'talentfeed_flushed_activities_total\{worker="(\d)"\} (\S+)'
        eventually(lambda: dict(re.findall(pattern, metrics(place))) == {"1": "50.0", "2": "0.0"})


def test_without_it_the_worker_flushes_itself(place: Place) -> None:
    with served(place) as server:
        [flusher] = workers(server)
        os.kill(flusher, signal.SIGKILL)
        eventually(is_stored(place, *two_feeds(place, 4)))
        assert "gives no sign of life" in said(place)
        eventually(lambda: "talentfeed_flushed_activities_total 50.0" in metrics(place))


def test_it_ends_with_a_worker_that_is_killed_and_leaves_the_port_free(place: Place) -> None:
    with served(place) as server:
        [flusher] = workers(server)
        server.kill()
        server.wait()
        eventually(lambda: not is_running(flusher))
    with served(place):
        assert len(place.feed(user_id=5)["mix_ids"]) == 24


def test_what_serves_flushes_itself_where_that_is_asked_for(place: Place) -> None:
    place.environment["FLUSH_BESIDE"] = "false"
    try:
        with served(place) as server:
            assert not workers(server)
            eventually(is_stored(place, *two_feeds(place, 6)))
    finally:
        del place.environment["FLUSH_BESIDE"]


def test_a_stop_does_not_wait_for_a_flusher_that_is_frozen(place: Place) -> None:
    with served(place) as server:
        [flusher] = workers(server)
        os.kill(flusher, signal.SIGSTOP)
        began = time.monotonic()
        last = place.feed(user_id=7)
        assert stop(server) == 0
        assert time.monotonic() - began < 18, "a host kills after its patience"
    assert stored(place, last) == PAGE
    assert not is_running(flusher)
