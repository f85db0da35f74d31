"""`talentfeed activities`, on a Redis of its own; through the running server: tests/test_commands.py."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis as blocking
from tests.activity.parts import reported
from tests.contracts.backends import RedisServer
from tests.test_commands import Place
from typer.testing import CliRunner

from talentfeed.activity import codec, keys
from talentfeed.activity.quarantine import Quarantined
from talentfeed.commands import activities
from talentfeed.errors import SettingsError


def last(result: Any) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("command", ["quarantined", "requeue", "discard"])
def test_each_explains_itself_with_an_example(command: str) -> None:
    result = CliRunner().invoke(activities.app, [command, "--help"], env={"TERM": "dumb", "COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"talentfeed activities {command}" in result.output.split("Usage", 1)[1].split("\n", 1)[1]


def test_on_a_redis_of_its_own_no_server_is_asked(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    place = Place(tmp_path)
    place.environment |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port)}
    payload = codec.encode(reported(7, "e")).decode()
    entries = [Quarantined("b.0", "too long", 1_772_366_400.0, payload), Quarantined("b.1", "torn", 1.0, "{")]
    try:
        with blocking.Redis(port=server.port, db=1) as client:
            client.rpush(keys.QUARANTINED, *map(msgspec.json.encode, entries))
            listed = place.run("activities", "quarantined", "--json", "--limit", "1")
            assert listed.stdout.count("\n") == 1
            assert last(listed) == {"total": 2, "entries": [msgspec.to_builtins(entries[0])]}
            result = place.run("activities", "requeue", "b")
            assert result.returncode == 1
            assert "b.1 stays: Not an activity" in result.stderr
            assert client.lrange(keys.user_activity(7), 0, -1) == [payload.encode()]
            assert last(place.run("activities", "discard", "--all"))["done"] == 1
            assert client.exists(keys.QUARANTINED) == 0
    finally:
        server.kill()


@pytest.mark.parametrize("arguments", [["requeue"], ["discard"], ["discard", "--all", "b"]])
def test_ids_or_all_must_be_said(arguments: list[str]) -> None:
    result = CliRunner().invoke(activities.app, arguments)
    assert isinstance(result.exception, SettingsError)
    assert "name ids, or give --all" in str(result.exception)
